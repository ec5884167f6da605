//! Classifies a WebAssembly file by its outermost exports and imports, without compiling it.

use std::fmt;

use wasmparser::{Chunk, ComponentExternalKind, Encoding, Parser, Payload};

use crate::error::LoadError;

/// The kind of a file, which decides how it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A component that exports `wasi:http/incoming-handler@0.2`.
    HttpHandler02,
    /// A component that exports `wasi:http/handler@0.3`.
    HttpHandler03,
    /// A component that exports `wasi:cli/run@0.2`.
    Command02,
    /// A core module of WASI preview 1 that exports `_start`.
    CommandPreview1,
}

impl Kind {
    /// Whether the kind serves HTTP without CGI.
    pub fn handles_http(self) -> bool {
        matches!(self, Self::HttpHandler02 | Self::HttpHandler03)
    }

    /// A short identifier for machine-readable output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HttpHandler02 => "http-0.2",
            Self::HttpHandler03 => "http-0.3",
            Self::Command02 => "command-0.2",
            Self::CommandPreview1 => "command-preview1",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::HttpHandler02 => "an HTTP handler (wasi:http 0.2 component)",
            Self::HttpHandler03 => "an HTTP handler (wasi:http 0.3 component)",
            Self::Command02 => "a command (wasi:cli 0.2 component)",
            Self::CommandPreview1 => "a command (WASI preview 1 module)",
        })
    }
}

/// The outermost names of a module or component.
#[derive(Clone, Debug, Default)]
pub(crate) struct Surface {
    pub(crate) is_component: bool,
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<String>,
    /// Core modules only: whether a function named `_start` is exported.
    has_start: bool,
}

impl Surface {
    /// Reads the names without validating the contents.
    ///
    /// # Errors
    ///
    /// [`LoadError::NotWasm`] when the bytes are neither a module nor a component;
    /// [`LoadError::Precompiled`] when they are wasmtime's compiled code.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, LoadError> {
        if wasmtime::Engine::detect_precompiled(bytes).is_some() {
            return Err(LoadError::Precompiled);
        }
        if !Parser::is_core_wasm(bytes) && !Parser::is_component(bytes) {
            return Err(LoadError::NotWasm(first_bytes(bytes)));
        }
        let mut surface = Self::default();
        surface
            .walk(bytes)
            .map_err(|error| LoadError::NotWasm(error.to_string()))?;
        Ok(surface)
    }

    /// Reads the outermost level; skips nested modules and components.
    fn walk(&mut self, bytes: &[u8]) -> wasmparser::Result<()> {
        let mut parser = Parser::new(0);
        let mut rest = bytes;
        loop {
            let (payload, consumed) = match parser.parse(rest, true)? {
                Chunk::Parsed { consumed, payload } => (payload, consumed),
                Chunk::NeedMoreData(_) => return Ok(()),
            };
            rest = rest.get(consumed..).unwrap_or_default();
            match payload {
                Payload::Version { encoding, .. } => {
                    self.is_component = encoding == Encoding::Component;
                }
                Payload::ModuleSection {
                    unchecked_range, ..
                }
                | Payload::ComponentSection {
                    unchecked_range, ..
                } => {
                    let length = unchecked_range.end - unchecked_range.start;
                    rest = rest.get(length..).unwrap_or_default();
                }
                Payload::ComponentImportSection(section) => {
                    for import in section {
                        self.imports.push(import?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) => {
                    for export in section {
                        let export = export?;
                        if export.kind == ComponentExternalKind::Instance {
                            self.exports.push(export.name.name.to_owned());
                        }
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import?;
                        self.imports
                            .push(format!("{} {}", import.module, import.name));
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export?;
                        self.has_start |= export.name == "_start"
                            && export.kind == wasmparser::ExternalKind::Func;
                        self.exports.push(export.name.to_owned());
                    }
                }
                Payload::End(_) => return Ok(()),
                _ => {}
            }
        }
    }

    /// Determines the kind.
    ///
    /// # Errors
    ///
    /// [`LoadError::NoStart`] or [`LoadError::NoEntry`] when there is nothing to call.
    pub(crate) fn kind(&self) -> Result<Kind, LoadError> {
        if !self.is_component {
            return if self.has_start {
                Ok(Kind::CommandPreview1)
            } else {
                Err(LoadError::NoStart {
                    exports: self.exports.clone(),
                })
            };
        }
        let exports = |prefix: &str| self.exports.iter().any(|name| name.starts_with(prefix));
        if exports("wasi:http/incoming-handler@0.2.") {
            Ok(Kind::HttpHandler02)
        } else if exports("wasi:http/handler@0.3.") {
            Ok(Kind::HttpHandler03)
        } else if exports("wasi:cli/run@0.2.") {
            Ok(Kind::Command02)
        } else {
            Err(LoadError::NoEntry {
                exports: self.exports.clone(),
            })
        }
    }
}

/// Describes bytes that are not WebAssembly by their beginning.
fn first_bytes(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "the file is empty".to_owned();
    }
    let shown: Vec<String> = bytes
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("it begins with {} instead of 00 61 73 6d", shown.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wat: &str, expected: Result<Kind, &str>) {
        let bytes = wat::parse_str(wat).expect("the test's module is valid");
        let kind = Surface::read(&bytes).and_then(|surface| surface.kind());
        match (kind, expected) {
            (Ok(kind), Ok(expected)) => assert_eq!(kind, expected, "{wat}"),
            (Err(error), Err(expected)) => {
                assert!(error.to_string().contains(expected), "{wat}: {error}");
            }
            (got, expected) => panic!("{wat}: {got:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn the_kind_follows_from_the_outermost_exports() {
        let handler =
            |name: &str| format!(r#"(component (instance $i) (export "{name}" (instance $i)))"#);
        check(
            &handler("wasi:http/incoming-handler@0.2.0"),
            Ok(Kind::HttpHandler02),
        );
        check(
            &handler("wasi:http/incoming-handler@0.2.9"),
            Ok(Kind::HttpHandler02),
        );
        check(&handler("wasi:http/handler@0.3.0"), Ok(Kind::HttpHandler03));
        check(&handler("wasi:cli/run@0.2.3"), Ok(Kind::Command02));
        check(&handler("wasi:cli/run@0.9.0"), Err("exports neither"));
        check("(component)", Err("exports neither"));
        check(
            r#"(module (func (export "_start")))"#,
            Ok(Kind::CommandPreview1),
        );
        check(
            r#"(module (memory (export "_start") 1))"#,
            Err("without an exported function _start"),
        );
        check(
            r#"(module (memory (export "memory") 1) (func (export "_initialize")))"#,
            Err("it exports memory, _initialize"),
        );
        check("(module)", Err("it exports nothing"));
        check(
            &handler("acme:db/query@1.0.0"),
            Err("it exports acme:db/query@1.0.0"),
        );
        check(
            r#"(component (core module (func (export "_start"))))"#,
            Err("exports neither"),
        );
    }

    #[test]
    fn bytes_that_are_not_wasm_are_described() {
        let check = |bytes: &[u8], expected: &str| {
            let error = Surface::read(bytes)
                .expect_err("not WebAssembly")
                .to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(b"", "empty");
        check(b"#!/bin/sh\n", "23 21 2f 62");
        check(b"\0asm", "not WebAssembly");
        check(
            b"\0asm\x01\0\0\0\xff\xff\xff\xff\xff\xff",
            "not WebAssembly",
        );
    }
}
