//! HTTP server in front of functions: connections, routes, admission, statuses, metrics.
//!
//! [`Server`] serves connections and has no dependency on functions. [`Dispatch`] finds the function of a request,
//! admits the request, calls the function and streams the answer. Neither compiles or loads anything, and neither
//! reads a body. The same code serves a pod, a pool and a laptop.
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
//! - The context of a request over CGI: `cgi.rs`, with its tests, and `handler_requests`.
//! - Clients that close their sending side: `server/half_close.rs`; tests in `tests/clients.rs`.
//! - Graceful drain of connections and of work after responses: `server.rs` and `server/driver.rs`; tests in
//!   `tests/stopping.rs` and `scenario_calls`.
//! - The slot of a function that goes on after its response: `response_body.rs`; tests in `tests/dispatch/slots.rs` and
//!   `scenario_calls`.
//! - Routes, and their swap as a whole: `routes.rs`; tests in `tests/dispatch`.
//! - The status of each failure: `refusal.rs`; tests in `tests/dispatch`.
//! - The bounded queue, and 503 with `Retry-After`: `admission.rs`; tests in `tests/dispatch/slots.rs`.
//! - Behaviour of a busy thread: `scheduler_load.rs`, with its tests, and `idle.rs` of the engine.
//! - Metrics of a function: `metrics.rs` and `histogram.rs`, with their tests.
//! - Access log, and logs of guests: `request_guard.rs` and `observer.rs`; tests in `tests/dispatch`.
//! - The request that a new process answers before its first client: `warm_up.rs`; tests in `tests/functions.rs` of
//!   the shim.

mod admission;
mod cgi;
mod deployed;
mod dispatch;
mod histogram;
mod line;
mod listing;
mod metrics;
mod observer;
mod refusal;
mod request_guard;
mod request_id;
mod response_body;
mod routes;
mod scheduler_load;
mod server;
mod trace;
mod warm_up;

pub use deployed::{Callee, Deployed};
pub use dispatch::Dispatch;
pub use metrics::{FunctionMetrics, Metrics};
pub use observer::FunctionObserver;
pub use refusal::CAUSE;
pub use response_body::ResponseBody;
pub use routes::{Entry, RouteTable, Routes};
pub use scheduler_load::on_thread_park;
pub use server::{
    BindError, BodyFault, Handler, MAX_URI_BYTES, MINIMUM_PROGRESS, Malformed, RequestBody, Server,
    ServerConfig, Summary,
};
pub use warm_up::warm_up;
