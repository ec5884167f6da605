//! WebAssembly engine on wasmtime: compiles, caches, links, instantiates, limits and calls functions.
//!
//! The engine has no dependency on Kubernetes or on an HTTP server. A request comes in as an [`http::Request`]. An
//! answer goes out as an [`http::Response`], and its body drives the guest. The entry points are [`Engine::load`],
//! [`LoadedFunction::handle`], [`LoadedFunction::run`] and [`inspect`]. [`Precompiler`] serves programs that compile in
//! one process and load in another.
//!
//! The engine only compiles bytes from a registry or a user, and never deserialises them: see [`cache`].
//!
//! # Behaviours
//!
//! Files are relative to `src`; whole-system tests are in the package `sampan-tests`.
//!
//! - The kind of a file, HTTP handler or command: `kind.rs` and `surface.rs`, with tests in `surface.rs`.
//! - The WebAssembly features of a file: `features.rs`, with its tests, and `cli_refusals`.
//! - The imports of a guest: `linker.rs`, with its tests, and `other_languages`.
//! - Compiling, and its limits: `compiler.rs` and `compile_child.rs`; tests in `scenario_modules`.
//! - The cache, with its key, its hash and atomic writes: `cache.rs`; tests in `scenario_modules` and `cli_watching`.
//! - Compiled modules that no container can change: `cache.rs`; tests in `tests/modules.rs` of the shim.
//! - A module that one process prepares for another: `precompiler.rs`, `prepared.rs` and `compile_lock.rs`; tests in
//!   `tests/functions.rs` of the shim.
//! - Memory and tables of an instance: `limiter.rs`, with its tests, and `scenario_limits`.
//! - Deadline and processor time: `clock.rs`, `ticker.rs` and `guest.rs`; tests in `scenario_limits` and
//!   `scenario_streams`.
//! - An answer and its declared length, and a guest that goes on after its answer: `body.rs`, `length.rs` and
//!   `rest.rs`; tests in `length.rs` and `scenario_calls`.
//! - Spares, reuse, and modules that leave memory: `idle.rs`, `handler.rs`, `reloadable.rs` and `upkeep.rs`, with tests
//!   in `idle.rs` and in `tests/idle_modules.rs` of `sampan`. A busy thread clears instances
//!   away at once.
//! - The first instance and the first call before a pod's first request: `function.rs` and `warm_up.rs`; tests in
//!   `tests/functions.rs` of the shim.
//! - An outbound call, with its rules, count, time and end: `http_hooks.rs` and `failure.rs`; tests in `functions_services` and
//!   `scenario_outbound`.
//! - The addresses of a name, and the attempts to connect to them: `resolve.rs`, `connect.rs` and
//!   `connect_error.rs`, with their tests, and `scenario_outbound_network`.
//! - Trusted certificate authorities: `trust.rs`, with its tests, and `scenario_outbound_tls`.
//! - Pooled connections, and requests that are sent again: `client.rs`, `pool.rs` and `sent_body.rs`, with their
//!   tests, and `scenario_outbound`.
//! - The body of a response, read ahead: `received_body.rs`, with its tests, and `scenario_outbound`.
//! - Reports of failed outbound calls, limited in rate: `report_limit.rs`, with its tests.
//! - The output of a guest: `output.rs`, with its tests, and `scenario_limits`.
//! - Settings of wasmtime: `config.rs`.

mod body;
mod cache;
mod call;
mod cgi;
mod check;
mod client;
mod clock;
mod command;
mod compile_child;
mod compile_lock;
mod compiler;
mod config;
mod connect;
mod connect_error;
mod engine;
mod engine_context;
mod error;
mod failure;
mod features;
mod function;
mod function_context;
mod guest;
mod guests;
mod handler;
mod host;
mod http_hooks;
mod idle;
mod inspect;
mod kind;
mod length;
mod limiter;
mod linked;
mod linker;
mod loader;
mod observer;
mod output;
mod pool;
mod precompiler;
mod prepared;
mod prewarm_budget;
mod received_body;
mod reloadable;
mod report_limit;
mod resolve;
mod rest;
mod runtime;
mod sent_body;
mod serve;
mod surface;
mod temporary;
mod ticker;
mod trust;
mod upkeep;
mod upstream;
mod warm_up;
mod wasm;

pub use body::GuestBody;
pub use call::{CallContext, CgiContext};
pub use command::CommandIo;
pub use compile_child::main as compile_child;
pub use config::{CompileCommand, EngineConfig};
pub use engine::Engine;
pub use error::{CallError, EngineError, LoadError, RequestBodyError, TrapCause};
pub use function::LoadedFunction;
pub use guests::Guests;
pub use inspect::{InspectError, Inspection, inspect};
pub use kind::Kind;
pub use observer::{NoObserver, Observer, Outbound, OutboundFailure, Stream};
pub use precompiler::{Precompiler, Prepared};
pub use trust::Authorities;
pub use wasm::Wasm;
