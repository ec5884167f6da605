//! From a WebAssembly file to compiled code in the cache. Foreign bytes are only compiled here, never deserialised.
//!
//! The bytes of a file pass these modules:
//!
//! - [`wasm`]: reads the bytes
//! - [`surface`]: the outermost names, which decide on the kind
//! - [`config`]: the configuration of an engine, and wasmtime's settings
//! - [`flavour`]: the two engines
//! - [`features`]: the WebAssembly features that these settings allow
//! - [`cache`]: finds compiled code, or stores it through [`temporary`] files
//! - [`module_name`]: the name of compiled code; [`cache_key`]: the key of a cache; [`peers`]: processes with one key
//! - [`lock`]: lets one process compile while others wait
//! - [`compiler`]: starts the child process that compiles
//! - [`child`]: the child process

pub(crate) mod cache;
pub(crate) mod cache_key;
pub(crate) mod child;
pub(crate) mod compiler;
pub(crate) mod config;
pub(crate) mod features;
pub(crate) mod flavour;
mod lock;
pub(crate) mod module_name;
pub(crate) mod peers;
pub(crate) mod surface;
mod temporary;
pub(crate) mod wasm;
