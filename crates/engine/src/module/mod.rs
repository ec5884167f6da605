//! Modules that are ready to be instantiated: checked, compiled and linked with the host's interfaces.
//!
//! - [`check`]: whether a file fits its function and this host
//! - [`loader`]: takes a module from the cache, from another process or from the compiler, and [`attempts`] makes one at a time
//! - [`runtime`]: the wasmtime engines, with their linkers
//! - [`linker`]: the interfaces that a guest may import
//! - [`linked`]: a linked module
//! - [`reloadable`]: unloads an idle module, and loads it again
//! - [`precompiler`]: prepares modules for other processes
//! - [`inspect`]: describes a file

mod attempts;
pub(crate) mod check;
pub(crate) mod inspect;
pub(crate) mod linked;
mod linker;
pub(crate) mod loader;
pub(crate) mod precompiler;
pub(crate) mod reloadable;
pub(crate) mod runtime;
