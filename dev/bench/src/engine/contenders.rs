//! The contenders: servers of the same answer by a native program, by fresh instances and by reused
//! instances, and `wasmtime serve` on request.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use sampan_measure::files::Files;
use sampan_measure::process::Process;
use tempfile::TempDir;

use crate::programs::{Sampan, Server};

/// The function of the comparison, which answers a few bytes and does nothing else.
pub(super) const HELLO: &str = "hello";

/// All contenders, running.
pub(super) struct Contenders {
    native: Server,
    sampan: Sampan,
    wasmtime: Option<Server>,
    _folder: TempDir,
}

/// A contender.
pub(super) struct Contender {
    pub(super) name: &'static str,
    pub(super) url: String,
    pub(super) process: Process,
}

impl Contenders {
    pub(super) async fn start(files: &Files, wasmtime: Option<&Path>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let component = folder.path().join(format!("{HELLO}.wasm"));
        fs::write(&component, files.component(HELLO)?)?;
        for (name, more) in [("fresh", ""), ("reused", REUSE)] {
            let function = folder.path().join(name);
            fs::create_dir(&function)?;
            fs::copy(&component, function.join("hello.wasm"))?;
            let file = format!("name: {name}\nfile: hello.wasm\n{more}");
            fs::write(function.join("function.yaml"), file)?;
        }
        let functions = ["fresh", "reused"].map(|name| folder.path().join(name));
        let sampan = Sampan::up(files, &folder.path().join("data"), &functions).await?;
        let wasmtime = match wasmtime {
            Some(program) => Some(
                Server::wasmtime(program, &component)
                    .await
                    .context("failed at --against")?,
            ),
            None => None,
        };
        Ok(Self {
            native: Server::native(files, HELLO, &[]).await?,
            sampan,
            wasmtime,
            _folder: folder,
        })
    }

    /// The native program.
    pub(super) fn native(&self) -> Result<Contender> {
        contender("native", &self.native, "/")
    }

    /// All except the native program.
    pub(super) fn others(&self) -> Result<Vec<Contender>> {
        let sampan = &self.sampan.server;
        let mut others = vec![
            contender("fresh instances", sampan, "/function/fresh/")?,
            contender("reused instances", sampan, "/function/reused/")?,
        ];
        if let Some(wasmtime) = &self.wasmtime {
            others.push(contender("wasmtime serve", wasmtime, "/")?);
        }
        Ok(others)
    }
}

const REUSE: &str = "instances: { reuse: { requests: 1000 } }\n";

fn contender(name: &'static str, server: &Server, path: &str) -> Result<Contender> {
    Ok(Contender {
        name,
        url: server.url(path),
        process: server.process()?,
    })
}
