//! Loads a function and deploys it for requests.

use std::path::PathBuf;
use std::sync::Arc;

use sampan_engine::{Engine, Wasm};
use sampan_runner::{Deployed, FunctionObserver, Metrics};
use sampan_spec::HttpMode;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::source::Source;

use super::catalog::Live;

/// A version that serves requests.
pub(crate) type Version = Live<Arc<Deployed>>;

/// Loads a function.
pub(crate) async fn load(
    engine: &Engine,
    metrics: &Metrics,
    source: Source,
) -> Result<Version, Failure> {
    let function = source.resolved();
    let wasm = source.wasm;
    let observer = Arc::new(FunctionObserver::new(function.name.clone(), metrics));
    let loaded = engine
        .load(
            Arc::clone(&function),
            Wasm::File(PathBuf::clone(&wasm)),
            observer,
        )
        .await
        .map_err(|error| Failure::load(&wasm, &error))?;
    let kind = loaded.kind();
    if !kind.handles_http() && function.http != Some(HttpMode::Cgi) {
        return Err(Failure::new(
            Exit::NotRunnable,
            format!("{} is {kind}, not an HTTP handler", wasm.display()),
            "run it with `sampan run`, or write `http: cgi` in its function.yaml if it answers the CGI way",
        ));
    }
    let digest = loaded.digest().to_owned();
    Ok(Live {
        function,
        kind,
        digest,
        deployed: Deployed::new(loaded, metrics),
    })
}
