//! What modules of one flavour stand on: a wasmtime engine, and the linkers of what may be called.

use wasmtime::component::Linker;

use crate::config::{EngineConfig, Flavour, runtime};
use crate::error::EngineError;
use crate::host::Host;
use crate::kind::Kind;
use crate::link;

/// An engine of one flavour with its linkers.
pub(crate) struct Ground {
    pub(crate) flavour: Flavour,
    pub(crate) engine: wasmtime::Engine,
    /// For components.
    pub(crate) components: Option<Linker<Host>>,
    /// For core modules of WASI preview 1.
    pub(crate) preview1: Option<wasmtime::Linker<Host>>,
}

impl Ground {
    /// For every kind of this flavour.
    ///
    /// # Errors
    ///
    /// [`EngineError::Wasmtime`] when memory cannot be reserved.
    pub(crate) fn new(flavour: Flavour, config: &EngineConfig) -> Result<Self, EngineError> {
        let mut ground = Self::bare(flavour, config)?;
        ground.components = Some(components(flavour, &ground.engine)?);
        if flavour == Flavour::Sequential {
            ground.preview1 = Some(link::preview1(&ground.engine).map_err(failed)?);
        }
        Ok(ground)
    }

    /// For modules of this kind alone, which is less to make and to hold.
    ///
    /// # Errors
    ///
    /// As [`Ground::new`].
    pub(crate) fn of_kind(kind: Kind, config: &EngineConfig) -> Result<Self, EngineError> {
        let flavour = Flavour::of(kind);
        let mut ground = Self::bare(flavour, config)?;
        if kind == Kind::CommandPreview1 {
            ground.preview1 = Some(link::preview1(&ground.engine).map_err(failed)?);
        } else {
            ground.components = Some(components(flavour, &ground.engine)?);
        }
        Ok(ground)
    }

    fn bare(flavour: Flavour, config: &EngineConfig) -> Result<Self, EngineError> {
        Ok(Self {
            flavour,
            engine: wasmtime::Engine::new(&runtime(flavour, config)).map_err(failed)?,
            components: None,
            preview1: None,
        })
    }
}

fn components(flavour: Flavour, engine: &wasmtime::Engine) -> Result<Linker<Host>, EngineError> {
    match flavour {
        Flavour::Sequential => link::sequential(engine),
        Flavour::Concurrent => link::concurrent(engine),
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
