//! A function of nobody's, which is called so that the first call of another finds in memory what a call takes.
//!
//! `rehearsal.wat` is its text, and `rehearsal.wasm` made of it, as a test sees to. It runs on the other function's engine, so that what the two have in common is touched: the host's
//! side of `wasi:http`, a stack, a place in the pool of instances.

use std::sync::Arc;

use bytes::Bytes;
use sampan_spec::{Function, FunctionName};

use crate::engine::Wasm;
use crate::error::LoadError;
use crate::function::{Inner, LoadedFunction};
use crate::kind::Kind;
use crate::module::Module;
use crate::observer::NoObserver;
use crate::prepared::{Prepared, Workshop};

/// The component.
const WASM: &[u8] = include_bytes!("rehearsal.wasm");

/// With every limit's default.
fn function() -> Function {
    let name: FunctionName = "rehearsal".parse().expect("it is a name");
    Function::bare(name)
}

impl Workshop {
    /// Prepares a rehearsal of functions of this kind, as [`Workshop::prepare`] prepares a function. `None` when there is none:
    /// it answers as `wasi:http` 0.2 has it.
    ///
    /// # Errors
    ///
    /// As [`Workshop::prepare`].
    pub fn prepare_rehearsal(&self, kind: Kind) -> Result<Option<Prepared>, LoadError> {
        if kind != Kind::HttpHandler02 {
            return Ok(None);
        }
        let wasm = Wasm::Bytes(Bytes::from_static(WASM));
        self.prepare(&function(), &wasm, &NoObserver).map(Some)
    }
}

impl LoadedFunction {
    /// Makes a prepared rehearsal ready to be called on the engine of this function, which tells nobody of it.
    ///
    /// # Errors
    ///
    /// [`LoadError`], when it does not link, or is of another kind than this function.
    pub fn rehearsal(&self, prepared: Prepared) -> Result<Self, LoadError> {
        let Prepared { kind, digest, code } = prepared;
        let engine = Arc::clone(&self.0.engine);
        let ground = engine.ground(kind)?;
        let module = Module::link(
            kind,
            &code.load(&ground.engine, kind != Kind::CommandPreview1)?,
            ground,
        )?;
        // The engine does not watch it, so that it is never put aside and looked for again: it lives for a call.
        Ok(Self(Inner::new(
            Arc::new(function()),
            Arc::new(NoObserver),
            kind,
            digest,
            Wasm::Bytes(Bytes::new()),
            Arc::clone(&engine),
            module,
        )))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// `SAMPAN_WRITE_FIXTURES=1` has the bytes written anew.
    #[test]
    fn the_bytes_are_those_of_the_text() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let made = wat::parse_file(source.join("rehearsal.wat")).expect("the text is WebAssembly");
        if std::env::var_os("SAMPAN_WRITE_FIXTURES").is_some() {
            std::fs::write(source.join("rehearsal.wasm"), &made).expect("failed to write");
        }
        assert_eq!(made, WASM);
    }

    #[test]
    fn this_host_runs_it() {
        let kind = crate::engine::checked_kind(&function(), WASM);
        assert_eq!(kind.expect("it can be run"), Kind::HttpHandler02);
    }
}
