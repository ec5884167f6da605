//! Warm-up component: called once, so that the first call of a function finds its code paths in
//! memory.
//!
//! `warm_up.wat` is the source of `warm_up.wasm`; a test compares them. The component runs on the
//! engine of the function. A call thus touches what both have in common: the host's side of
//! `wasi:http`, a stack and an instance slot of the pool.

use std::sync::Arc;

use bytes::Bytes;
use sampan_spec::{Function, FunctionName};

use crate::call::function::LoadedFunction;
use crate::compile::wasm::Wasm;
use crate::context::function_context::FunctionContext;
use crate::error::LoadError;
use crate::kind::Kind;
use crate::module::precompiler::{Precompiler, Prepared};
use crate::module::reloadable::ReloadableModule;
use crate::observer::NoObserver;

/// The component.
const WASM: &[u8] = include_bytes!("warm_up.wasm");

/// The component's specification, with the default of every limit.
fn function() -> Function {
    let name: FunctionName = "warm-up".parse().expect("it is a name");
    Function::bare(name)
}

impl Precompiler {
    /// Prepares the warm-up component for functions of this kind, as [`Precompiler::prepare`] prepares
    /// a function. `None` for kinds other than `wasi:http` 0.2 handlers, which have no such
    /// component.
    ///
    /// # Errors
    ///
    /// As [`Precompiler::prepare`].
    pub fn prepare_warm_up(&self, kind: Kind) -> Result<Option<Prepared>, LoadError> {
        if kind != Kind::HttpHandler02 {
            return Ok(None);
        }
        let wasm = Wasm::Bytes(Bytes::from_static(WASM));
        self.prepare(&function(), &wasm, &NoObserver).map(Some)
    }
}

impl LoadedFunction {
    /// Loads the prepared warm-up component on the engine of this function, without an observer.
    ///
    /// # Errors
    ///
    /// [`LoadError`], when it does not link, or when its kind differs from this function's.
    pub fn load_warm_up(&self, prepared: Prepared) -> Result<Self, LoadError> {
        let loader = Arc::clone(&self.0.loader);
        let module = prepared.link(loader.runtime(prepared.kind)?)?;
        let Prepared { kind, digest, .. } = prepared;
        let engine = Arc::clone(&loader.engine);
        let function = Arc::new(function());
        // Without an identity: a function of the same name has other accounts.
        let function = FunctionContext::new(function, None, Arc::new(NoObserver), kind, engine)?;
        let wasm = Wasm::Bytes(Bytes::new());
        // The engine does not sweep it, so it is never unloaded: it lives for one call.
        Ok(Self(ReloadableModule::new(
            function, digest, wasm, loader, module,
        )))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// `SAMPAN_WRITE_FIXTURES=1` writes the bytes anew.
    #[test]
    fn the_wasm_matches_its_source() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/load");
        let made = wat::parse_file(source.join("warm_up.wat")).expect("the text is WebAssembly");
        if std::env::var_os("SAMPAN_WRITE_FIXTURES").is_some() {
            std::fs::write(source.join("warm_up.wasm"), &made).expect("failed to write");
        }
        assert_eq!(made, WASM);
    }

    #[test]
    fn the_component_is_an_http_handler() {
        let kind = crate::module::check::checked_kind(&function(), WASM);
        assert_eq!(kind.expect("it can be run"), Kind::HttpHandler02);
    }
}
