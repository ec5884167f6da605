//! Checks that a file is WebAssembly which this host runs, in the way that its function asks for.

use sampan_spec::{Function, HttpMode};

use super::linker;
use crate::compile::surface::Surface;
use crate::error::LoadError;
use crate::kind::Kind;

/// Classifies the bytes and checks that they fit the function. Compiles nothing.
pub(crate) fn checked_kind(function: &Function, bytes: &[u8]) -> Result<Kind, LoadError> {
    let surface = Surface::read(bytes)?;
    let kind = surface.kind()?;
    let advice = match function.http {
        Some(HttpMode::Cgi) if kind.handles_http() => {
            Some("leave out `http: cgi`, which is for commands")
        }
        Some(HttpMode::Handler) if !kind.handles_http() => {
            Some("write `http: cgi` if it answers the CGI way, or run it as a command")
        }
        _ => None,
    };
    if let Some(advice) = advice {
        return Err(LoadError::WrongKind { kind, advice });
    }
    let names = linker::missing(&surface.imports, Some(kind));
    if !names.is_empty() {
        return Err(LoadError::MissingImports { names });
    }
    Ok(kind)
}
