//! The engine: compiles, caches, links, instantiates, limits and calls WebAssembly functions on wasmtime.
//!
//! It knows nothing of Kubernetes and nothing of HTTP servers: a request comes in as an
//! [`http::Request`], an answer goes out as an [`http::Response`] whose body drives the guest. The
//! entry points are [`Engine::load`], [`LoadedFunction::handle`], [`LoadedFunction::run`] and
//! [`inspect`]; [`Workshop`] is for whoever loads in another process than it compiles in.
//!
//! Bytes from a registry or a user are only ever compiled here, never deserialised: see [`cache`].

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
mod ground;
mod guest;
mod handler02;
mod handler03;
mod host;
mod idle;
mod inspect;
mod kind;
mod limiter;
mod link;
mod module;
mod observer;
mod outbound;
mod output;
mod prepared;
mod rehearsal;
mod resolve;
mod ticker;

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
pub use prepared::{Prepared, Workshop};
