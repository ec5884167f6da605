//! From a WebAssembly file to compiled code in the cache. Foreign bytes are only compiled here, never deserialised.
//!
//! The bytes of a file pass these modules:
//!
//! - [`wasm`]: reads the bytes
//! - [`surface`]: the outermost names, which decide on the kind
//! - [`config`]: the configuration of an engine, and wasmtime's settings
//! - [`features`]: the WebAssembly features that these settings allow
//! - [`cache`]: finds compiled code, or stores it through [`temporary`] files
//! - [`module_name`]: the name of compiled code, and [`shared`]: caches that share it
//! - [`lock`]: lets one process compile while others wait
//! - [`compiler`]: starts the child process that compiles
//! - [`child`]: the child process

pub(crate) mod cache;
pub(crate) mod child;
pub(crate) mod compiler;
pub(crate) mod config;
pub(crate) mod features;
mod lock;
pub(crate) mod module_name;
pub(crate) mod shared;
pub(crate) mod surface;
mod temporary;
pub(crate) mod wasm;
