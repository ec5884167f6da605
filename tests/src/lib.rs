//! Shared parts of the whole-system tests: the built programs as processes with sockets, and the expected answers of
//! the nine functions.
//!
//! Nothing here links a crate of the product, so a test sees only what a user sees. A failure here panics with the
//! object that failed. Everything that is started here ends when it is dropped.
//!
//! # Behaviours
//!
//! - Answers of the nine functions: `handler.rs` of each function, with its tests, and `src/contract.rs`.
//! - The component and the native program of a function: tests in `tests/functions_native.rs`.
//! - `cargo xtask up`: tests in `tests/up_from_a_checkout.rs`.
#![expect(
    clippy::missing_panics_doc,
    reason = "every item here panics to fail the test that uses it"
)]

mod answer;
mod closed_port;
mod contract;
mod guests;
mod native;
mod pending;
mod process;
mod protocol;
mod sampan;
mod services;
mod staged;
mod upstream;

pub use answer::{Answer, get, send};
pub use closed_port::ClosedPort;
pub use contract::{FUNCTIONS, Function, SEEDED};
pub use guests::{Guests, HANDLERS, component};
pub use native::Native;
pub use pending::Pending;
pub use process::{TEST_TIMEOUT, build_folder, program};
pub use protocol::Protocol;
pub use sampan::{Event, Sampan};
pub use services::Services;
pub use staged::{SERVICES, Staged};
pub use upstream::{Seen, Upstream, listen};
