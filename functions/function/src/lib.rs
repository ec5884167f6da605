//! Shared code of the nine functions.
//!
//! A function is a crate with a `handle` that turns a [`Request`] into a [`Response`]. This crate
//! contains the rest: the parameters of the query and their ranges, the answers to errors, outbound
//! HTTP, randomness, and two front ends. They make one source into two artifacts:
//!
//! - [`component!`] in `src/lib.rs` exports `handle` as a component of the world `wasi:http/proxy` 0.2;
//! - [`program!`] in `src/main.rs` serves it as a native HTTP program.
//!
//! No function reads a request's body or headers, keeps state between two requests, or uses the
//! network except through [`Http`].

#[cfg(any(target_family = "wasm", test))]
#[expect(unsafe_code, reason = "an allocator manages raw memory")]
mod allocator;
mod error;
mod executor;
mod function;
mod normal;
mod number;
mod outbound;
mod parameter;
mod query;
mod random;
mod request;
mod response;
pub mod testing;
mod url;

#[cfg(not(target_family = "wasm"))]
pub mod native;
#[cfg(target_family = "wasm")]
pub mod wasm;

pub use error::Error;
pub use function::Function;
pub use normal::normal_numbers;
pub use number::push_number;
pub use outbound::{Http, OutboundError, OutboundRequest, OutboundResponse};
pub use parameter::{ParameterError, Problem};
pub use query::Query;
pub use random::{Generator, generator};
pub use request::{Method, Request};
pub use response::Response;
pub use url::{InvalidUrl, Url, url_from_environment};
