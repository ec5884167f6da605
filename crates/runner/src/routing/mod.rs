//! Finds the function of a request.
//!
//! The routes are an immutable snapshot. No file here waits, reads a body or makes a response.
//!
//! In the order of a request:
//!
//! - `routes.rs`: the routing table, and the match of a request's host and path.
//! - `path_offset.rs`: the part of the path that is the function's own.
//! - `deployed.rs`: the function that a route leads to, with its admission control and its metrics.

pub(crate) mod deployed;
pub(crate) mod path_offset;
pub(crate) mod routes;
