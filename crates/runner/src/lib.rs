//! The runner: HTTP in front of functions. The same code serves a pod, a pool and a laptop.
//!
//! [`Server`] takes care of connections and knows nothing of functions; [`Dispatch`] finds the
//! function of a request, lets it wait for its turn, calls it and streams the answer. Neither
//! compiles or loads anything, and neither looks at a body.

mod admission;
mod answer_body;
mod deployed;
mod dispatch;
mod histogram;
mod line;
mod listing;
mod metrics;
mod observer;
mod refusal;
mod rehearsal;
mod request_id;
mod round;
mod routes;
mod server;
mod trace;
mod turn;

pub use answer_body::AnswerBody;
pub use deployed::{Callee, Deployed};
pub use dispatch::Dispatch;
pub use metrics::{FunctionMetrics, Metrics};
pub use observer::FunctionObserver;
pub use refusal::CAUSE;
pub use rehearsal::rehearse;
pub use round::thread_sleeps;
pub use routes::{Entry, RouteTable, Routes};
pub use server::{
    BindError, BodyFault, Handler, MAX_URI_BYTES, MINIMUM_PROGRESS, Malformed, RequestBody, Server,
    ServerConfig, Summary,
};
