//! HTTP client for the outbound requests of functions. It connects only to addresses that a function's rules allow.
//!
//! [`crate::instance::http_hooks`] passes the requests of a guest to this client. A request passes these files:
//!
//! - [`upstream`]: the origin of a request, and whether a rule allows it
//! - [`client`]: sends the request on a pooled or a new connection
//! - [`pool`]: idle connections
//! - [`resolve`], [`connect`] and [`connect_error`]: the addresses of a name, and a connection to one of them
//! - [`trust`]: the certificate authorities for TLS
//! - [`sent_body`] and [`received_body`]: the bodies of request and response; [`read_frames`] are kept to be sent again
//! - [`failure`]: the reasons why there is no response
//! - [`report_limit`]: the rate at which failures are reported

pub(crate) mod client;
mod connect;
mod connect_error;
pub(crate) mod failure;
mod pool;
mod read_frames;
pub(crate) mod received_body;
pub(crate) mod report_limit;
mod resolve;
pub(crate) mod sent_body;
pub(crate) mod trust;
pub(crate) mod upstream;
