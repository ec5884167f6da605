//! Shared parts of the tests of engines that compile with this program.

use std::path::Path;

use sampan_engine::{CompileCommand, EngineConfig};

/// A module of preview 1 that ends at once.
pub(crate) const COMMAND: &str =
    r#"(module (memory (export "memory") 1) (func (export "_start")))"#;

/// The settings of an engine with this folder of compiled modules, which `sampan` compiles for.
pub(crate) fn engine_config(cache: &Path) -> EngineConfig {
    let compiler = CompileCommand {
        program: env!("CARGO_BIN_EXE_sampan").into(),
        arguments: vec!["__compile".to_owned()],
        environment: vec![(sampan_allocator::ARENAS.to_owned(), "0".to_owned())],
    };
    EngineConfig::new(cache.to_owned(), compiler)
}
