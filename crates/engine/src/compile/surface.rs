//! Reads the outermost exports and imports of a WebAssembly file, without compiling it.
//!
//! They decide on the [`Kind`] of the file.

use wasmparser::{Chunk, ComponentExternalKind, Encoding, Parser, Payload};

use crate::error::LoadError;
use crate::kind::Kind;

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
