//! wasmtime engine of one flavour, with its linkers.

use wasmtime::component::Linker;

use super::linker;
use crate::compile::config::{EngineConfig, runtime_config};
use crate::compile::flavour::Flavour;
use crate::error::EngineError;
use crate::instance::host::Host;
use crate::kind::Kind;

/// An engine of one flavour with its linkers.
pub(crate) struct Runtime {
    pub(super) flavour: Flavour,
    pub(crate) engine: wasmtime::Engine,
    /// For components.
    pub(super) components: Option<Linker<Host>>,
    /// For core modules of WASI preview 1.
    pub(super) preview1: Option<wasmtime::Linker<Host>>,
}

impl Runtime {
    /// Makes the linkers of every kind of this flavour.
    ///
    /// # Errors
    ///
    /// [`EngineError::Wasmtime`] when memory cannot be reserved.
    pub(crate) fn new(flavour: Flavour, config: &EngineConfig) -> Result<Self, EngineError> {
        let mut runtime = Self::without_linkers(flavour, config)?;
        runtime.components = Some(components(flavour, &runtime.engine)?);
        if flavour == Flavour::Sequential {
            runtime.preview1 = Some(linker::preview1(&runtime.engine).map_err(failed)?);
        }
        Ok(runtime)
    }

    /// Makes the linker of this kind only, which takes less time and memory.
    ///
    /// # Errors
    ///
    /// As [`Runtime::new`].
    pub(crate) fn of_kind(kind: Kind, config: &EngineConfig) -> Result<Self, EngineError> {
        let flavour = Flavour::of(kind);
        let mut runtime = Self::without_linkers(flavour, config)?;
        if kind.is_component() {
            runtime.components = Some(components(flavour, &runtime.engine)?);
        } else {
            runtime.preview1 = Some(linker::preview1(&runtime.engine).map_err(failed)?);
        }
        Ok(runtime)
    }

    fn without_linkers(flavour: Flavour, config: &EngineConfig) -> Result<Self, EngineError> {
        Ok(Self {
            flavour,
            engine: wasmtime::Engine::new(&runtime_config(flavour, config)).map_err(failed)?,
            components: None,
            preview1: None,
        })
    }
}

fn components(flavour: Flavour, engine: &wasmtime::Engine) -> Result<Linker<Host>, EngineError> {
    match flavour {
        Flavour::Sequential => linker::sequential(engine),
        Flavour::Concurrent => linker::concurrent(engine),
    }
    .map_err(failed)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err wants"
)]
fn failed(error: wasmtime::Error) -> EngineError {
    EngineError::Wasmtime(format!("{error:#}"))
}
