//! Shared parts of the nine functions. A function is a crate with a `handle` that turns a [`Request`] into a
//! [`Response`].
//!
//! This crate owns everything around `handle`: the parameters of the query and their ranges, the answers to mistakes,
//! outbound HTTP, randomness, and two front ends that make two artifacts of one source:
//!
//! - [`component!`] in `src/lib.rs` exports `handle` as a component of the world `wasi:http/proxy` 0.2.
//! - [`program!`] in `src/main.rs` serves it as a native HTTP program.
//!
//! No function reads a request's body or its headers, keeps anything between two requests, or uses the network except
//! through [`Http`].
//!
//! # Behaviours
//!
//! Files are relative to `src`; whole-system tests are in the package `sampan-tests`.
//!
//! - The answer of each function: `handler.rs` of its crate, with its tests, and `contract.rs` of the whole-system
//!   tests.
//! - The two builds of a function: `wasm.rs` and `native.rs`; tests in `functions_native`.
//! - A container's health, lock file and draining: `native/server.rs`; tests in `functions_native`.

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
