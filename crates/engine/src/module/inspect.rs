//! Describes a WebAssembly file: kind, world, imports, exports, and whether this host can run it.

use wit_component::{DecodedWasm, WitPrinter};

use super::linker;
use crate::compile::features::{self, Rejection};
use crate::compile::flavour::Flavour;
use crate::compile::surface::Surface;
use crate::error::LoadError;
use crate::kind::Kind;

/// The description of a file.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Bytes of the file.
    pub size: u64,
    /// The `sha256:...` digest of the file.
    pub digest: String,
    /// Whether it is a component; otherwise it is a core module.
    pub component: bool,
    /// The kind, or the reason why this host cannot call it.
    pub kind: Result<Kind, LoadError>,
    /// The component's world as WIT; `None` for core modules.
    pub world: Option<String>,
    /// The outermost imports.
    pub imports: Vec<String>,
    /// The outermost exports.
    pub exports: Vec<String>,
    /// The imports that this host lacks.
    pub missing: Vec<String>,
}

impl Inspection {
    /// Whether this host can run it.
    pub fn runs(&self) -> bool {
        self.kind.is_ok() && self.missing.is_empty()
    }
}

/// Reasons why a file cannot be inspected.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// It is not WebAssembly.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It has WebAssembly's magic number, but is not valid.
    #[error("not a valid WebAssembly file: {0}")]
    Invalid(String),
}

/// Inspects a file without compiling it.
///
/// # Errors
///
/// [`InspectError`] when the bytes are not valid WebAssembly.
pub fn inspect(bytes: &[u8]) -> Result<Inspection, InspectError> {
    let surface = Surface::read(bytes)?;
    let mut kind = surface.kind();
    // Without a kind there is no engine. The concurrent one has every feature of the other.
    let flavour = kind
        .as_ref()
        .map_or(Flavour::Concurrent, |kind| Flavour::of(*kind));
    match features::validate(bytes, flavour) {
        Ok(()) => {}
        Err(Rejection::Feature(message)) => kind = Err(LoadError::Unsupported(message)),
        Err(Rejection::Invalid(message)) => return Err(InspectError::Invalid(message)),
    }
    let linked_as = if surface.is_component {
        kind.as_ref().ok().copied()
    } else {
        Some(Kind::CommandPreview1)
    };
    let missing = linker::missing(&surface.imports, linked_as);
    let world = if surface.is_component {
        Some(world(bytes)?)
    } else {
        None
    };
    Ok(Inspection {
        size: bytes.len() as u64,
        digest: crate::compile::cache::digest(bytes),
        component: surface.is_component,
        kind,
        world,
        imports: surface.imports,
        exports: surface.exports,
        missing,
    })
}

fn world(bytes: &[u8]) -> Result<String, InspectError> {
    let invalid = |error: anyhow::Error| InspectError::Invalid(format!("{error:#}"));
    let decoded = wit_component::decode(bytes).map_err(invalid)?;
    let DecodedWasm::Component(resolve, world) = &decoded else {
        return Err(InspectError::Invalid(
            "a package of WIT, not a component".into(),
        ));
    };
    let package = resolve.worlds[*world]
        .package
        .ok_or_else(|| InspectError::Invalid("a world without a package".into()))?;
    let mut printer = WitPrinter::default();
    printer.print(resolve, package, &[]).map_err(invalid)?;
    Ok(printer.output.to_string())
}
