//! The engine: compiles, caches, links, instantiates, limits and calls WebAssembly functions on
//! wasmtime.
//!
//! It contains no Kubernetes and no HTTP server. A request is an [`http::Request`]; a response is
//! an [`http::Response`] with a body that runs the guest.
//!
//! Entry points are [`Engine::load`], [`LoadedFunction::handle`], [`LoadedFunction::run`] and
//! [`inspect`]. [`Precompiler`] serves programs that compile in one process and load in another.
//!
//! Bytes from a registry or a user are only compiled here, never deserialized; see [`cache`].

mod body;
mod cache;
mod call;
mod cgi;
mod client;
mod clock;
mod command;
mod compile;
mod compile_lock;
mod config;
mod engine;
mod error;
mod function;
mod guest;
mod handler02;
mod handler03;
mod host;
mod idle;
mod inspect;
mod kind;
mod limiter;
mod linker;
mod module;
mod observer;
mod outbound;
mod output;
mod prepared;
mod resolve;
mod runtime;
mod ticker;
mod warm_up;

pub use body::GuestBody;
pub use command::CommandIo;
pub use compile::child::main as compile_child;
pub use config::{CompileCommand, EngineConfig};
pub use engine::{Engine, Wasm};
pub use error::{CallError, EngineError, LoadError, RequestBodyError, TrapCause};
pub use function::{CallContext, LoadedFunction};
pub use inspect::{InspectError, Inspection, inspect};
pub use kind::Kind;
pub use observer::{NoObserver, Observer, Outbound, Stream};
pub use prepared::{Precompiler, Prepared};
