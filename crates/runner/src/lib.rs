//! HTTP server in front of functions: connections, routes, admission, statuses, metrics.
//!
//! [`Server`] serves connections and has no dependency on functions. [`Dispatch`] finds the function of a request,
//! admits the request, calls the function and streams the answer. Neither compiles or loads anything, and neither
//! reads a body. The same code serves a pod, a pool and a laptop.
//!
//! # Files
//!
//! In the order of a request:
//!
//! - `server/`: connections, the checked head, and the bodies of requests and responses.
//! - `dispatch/`: one request, from its head to the end of its response. It calls the files below.
//! - `routing/`: the function of the request.
//! - `admission.rs`: the function's concurrency limit and its queue.
//! - `local_reply/`: responses of the runner in place of a function's.
//! - `observability/`: identifier and trace of the request, metrics, events of the engine, access log.
//! - `serve.rs`: the server with functions, as programs call it: of fixed addresses, or of ports that come and go.
//! - `warm_up.rs`: one request of a new process to itself.
//!
//! # Behaviours
//!
//! Files are relative to `src`, tests to the crate; whole-system tests are in the package `sampan-tests`.
//!
//! - HTTP/1.1 and HTTP/2 on one port: `server/connection.rs`; tests in `tests/http2.rs`.
//! - Slow, idle and flooding clients: `server/watchdog.rs`, `server/frames.rs` and `server/stream.rs`; tests in
//!   `tests/clients.rs`, `tests/http2_attacks.rs` and `scenario_clients`.
//! - Request smuggling: `server/check.rs`; tests in `tests/smuggling.rs`.
//! - One form of a request's head for both protocols: `server/normalize.rs`, with its tests, and `handler_requests`.
//! - The context of a request over CGI: `dispatch/cgi.rs`, with its tests, and `handler_requests`.
//! - Clients that close their sending side: `server/half_close.rs`; tests in `tests/clients.rs`.
//! - Graceful drain of connections and of work after responses: `server/listeners.rs` and `server/driver.rs`; tests in
//!   `tests/stopping.rs` and `scenario_calls`.
//! - Ports that come and go while others serve: `server/listeners.rs` and `serve.rs`; tests in `tests/listeners.rs`.
//! - The slot of a function that goes on after its response: `dispatch/response_body.rs`; tests in
//!   `tests/dispatch/slots.rs` and `scenario_calls`.
//! - Routes, and their swap as a whole: `routing/routes.rs`; tests in `tests/dispatch`.
//! - The status of each failure: `local_reply/refusal.rs`; tests in `tests/dispatch`.
//! - The bounded queue, and 503 with `Retry-After`: `admission.rs`; tests in `tests/dispatch/slots.rs`.
//! - Behaviour of a busy thread: `server/scheduler_load.rs`, with its tests, and `instance/handler.rs` of the engine.
//! - Metrics of a function: `observability/metrics.rs` and `observability/histogram.rs`, with their tests.
//! - Access log, and logs of guests: `observability/access_log.rs` and `observability/observer.rs`; tests in
//!   `tests/dispatch`.
//! - The request that a new process answers before its first client: `warm_up.rs`; tests in `tests/functions.rs` of
//!   the shim.

mod admission;
mod dispatch;
mod local_reply;
mod observability;
mod routing;
mod serve;
mod server;
mod warm_up;

pub use dispatch::Dispatch;
pub use dispatch::response_body::ResponseBody;
pub use local_reply::refusal::CAUSE;
pub use observability::metrics::{FunctionMetrics, Metrics};
pub use observability::observer::FunctionObserver;
pub use routing::deployed::{Callee, Deployed};
pub use routing::routes::{Entry, RouteTable, Routes};
pub use serve::{Ports, Shutdown, serve};
pub use server::{
    BindError, BodyFault, Handler, Listener, Listeners, MAX_URI_BYTES, MINIMUM_PROGRESS, Malformed,
    RequestBody, Server, ServerConfig, Summary, on_thread_park,
};
pub use warm_up::warm_up;
