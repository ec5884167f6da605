//! WebAssembly engine on wasmtime: compiles, caches, links, instantiates, limits and calls functions.
//!
//! The engine has no dependency on Kubernetes or on an HTTP server. A request comes in as an [`http::Request`]. An
//! answer goes out as an [`http::Response`], and its body drives the guest. The entry points are [`Engine::load`],
//! [`LoadedFunction::handle`], [`LoadedFunction::run`] and [`inspect`]. [`Precompiler`] serves programs that compile in
//! one process and load in another.
//!
//! The engine only compiles bytes from a registry or a user, and never deserialises them: see [`compile::cache`].
//!
//! # Folders
//!
//! - [`load`]: the ways by which a function becomes callable
//! - [`compile`]: from a file to compiled code in the cache
//! - [`module`]: checks and links modules, unloads idle ones and loads them again
//! - [`call`]: calls, from a request to the last byte of the answer
//! - [`context`]: the data that a call needs, of its engine, of its function and its own
//! - [`instance`]: instances, their stores, and the host's side of their imports
//! - [`outbound`]: the HTTP client for the requests of guests
//!
//! A file imports only from its own folder and from those before it in this order: `outbound`, `compile`, `context`,
//! `instance`, `module`, `call`, `load`. The files `error.rs`, `kind.rs`, `observer.rs`, `request_id.rs` and
//! `trap_cause.rs` come before all folders.
//!
//! # Behaviours
//!
//! Files are relative to `src`; whole-system tests are in the package `sampan-tests`.
//!
//! - The kind of a file, HTTP handler or command: `kind.rs` and `compile/surface.rs`, with tests in `surface.rs`.
//! - The WebAssembly features of a file: `compile/features.rs`, with its tests, and `cli_refusals`.
//! - The imports of a guest: `module/linker.rs`, with its tests, and `other_languages`.
//! - Compiling, and its limits: `compile/compiler.rs` and `compile/child.rs`; tests in `compiler.rs` and
//!   `scenario_modules`.
//! - The cache, with its key, its hash and atomic writes: `compile/cache.rs`; tests in `scenario_modules` and
//!   `cli_watching`.
//! - Compiled modules that processes share: `compile/peers.rs` and `module/attempts.rs`; tests in `tests/sharing.rs` of
//!   `sampan-pool`.
//! - Compiled modules that no container can change: `compile/cache.rs`; tests in `tests/modules.rs` of the shim.
//! - A module that one process prepares for another: `module/precompiler.rs`, `load/prepared.rs` and `compile/lock.rs`;
//!   tests in `tests/functions.rs` of the shim.
//! - Memory and tables of an instance: `instance/limiter.rs`, with its tests, and `scenario_limits`.
//! - The memory of all instances of a function and of the process: `context/memory_budget.rs` and
//!   `context/memory_account.rs`, with their tests, and `tests/budgets.rs` of `sampan-pool`.
//! - Deadline and processor time: `context/clock.rs`, `context/ticker.rs` and `call/guest.rs`; tests in
//!   `scenario_limits` and `scenario_streams`.
//! - The processor time of a function's guests: `context/guest_time.rs`, with its tests, and `tests/budgets.rs` of
//!   `sampan-pool`.
//! - The processors that functions share: `fair_queue.rs`, `processor_cap.rs`, `fair_share.rs` and `turn.rs` of `context`,
//!   with tests beside the first two, and `tests/budgets.rs` of `sampan-pool`.
//! - The accounts that versions of a function share: `context/function_accounts.rs`, with its tests, and `tests/budgets.rs`
//!   of `sampan-pool`.
//! - An answer and its declared length, and a guest that goes on after its answer: `body.rs`, `length.rs` and `rest.rs`
//!   of `call`; tests in `length.rs` and `scenario_calls`.
//! - Spares and reuse: `instance/handler.rs` and `instance/idle.rs`, with tests in `idle.rs`. A busy thread clears
//!   instances away at once.
//! - Modules that leave memory: `module/reloadable.rs` and `context/upkeep.rs`; tests in `tests/idle_modules.rs` of
//!   `sampan`.
//! - The first instance and the first call before a pod's first request: `call/function.rs` and `load/warm_up.rs`; tests
//!   in `tests/functions.rs` of the shim.
//! - An outbound call, with its rules, count, time and end: `instance/http_hooks.rs` and `outbound/failure.rs`; tests in
//!   `functions_services` and `scenario_outbound`.
//! - The addresses of a name, and the attempts to connect to them: `resolve.rs`, `connect.rs` and `connect_error.rs` of
//!   `outbound`, with their tests, and `scenario_outbound_network`.
//! - Trusted certificate authorities: `outbound/trust.rs`, with its tests, and `scenario_outbound_tls`.
//! - Pooled connections, and requests that are sent again: `client.rs`, `pool.rs` and `sent_body.rs` of `outbound`, with
//!   their tests, and `scenario_outbound`.
//! - The body of a response, read ahead: `outbound/received_body.rs`, with its tests, and `scenario_outbound`.
//! - Reports of failed outbound calls, limited in rate: `outbound/report_limit.rs`, with its tests.
//! - The output of a guest: `instance/output.rs`, with its tests, and `scenario_limits`.
//! - Settings of wasmtime: `compile/config.rs`.

mod call;
mod compile;
mod context;
mod error;
mod instance;
mod kind;
mod load;
mod module;
mod observer;
mod outbound;
mod request_id;
mod trap_cause;

pub use call::body::GuestBody;
pub use call::command::CommandIo;
pub use call::function::LoadedFunction;
pub use compile::cache_key::{CacheKey, NotACacheKey};
pub use compile::child::main as compile_child;
pub use compile::config::{CompileCommand, EngineConfig, SharedProcessors};
pub use compile::module_name::{ModuleName, NotAModuleName};
pub use compile::peers::{MissingModule, ModulePeers, SharedModules};
pub use compile::wasm::Wasm;
pub use context::call_state::{CallContext, CgiContext, TraceFields};
pub use context::guests::Guests;
pub use context::memory_use::MemoryUse;
pub use error::{CallError, EngineError, LoadError, RequestBodyError};
pub use kind::Kind;
pub use load::engine::Engine;
pub use module::inspect::{InspectError, Inspection, inspect};
pub use module::precompiler::{Precompiler, Prepared};
pub use observer::{NoObserver, Observer, Outbound, OutboundFailure, Stream, Wait};
pub use outbound::trust::Authorities;
pub use request_id::RequestId;
pub use trap_cause::TrapCause;
