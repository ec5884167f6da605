//! The runner: an HTTP server in front of functions. Pods and local mode use the same code.
//!
//! [`Server`] handles connections and contains no function logic. [`Dispatch`] finds the function
//! of a request, waits for admission, calls the function and streams the response. Neither
//! compiles, loads or inspects a body.

mod admission;
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
