//! Shared code of the whole-system tests: the built programs as processes, their sockets, and the
//! contract of the nine functions.
//!
//! Nothing here links a crate of the product, so a test sees only what a user sees. Failures are
//! panics that name their subject. Every process that is started here ends when its value is
//! dropped.
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
mod sampan;
mod services;
mod staged;

pub use answer::{Answer, get, send};
pub use closed_port::ClosedPort;
pub use contract::{FUNCTIONS, Function, SEEDED};
pub use guests::{Guests, component};
pub use native::Native;
pub use pending::Pending;
pub use process::{TEST_TIMEOUT, build_folder, program};
pub use sampan::{Event, Sampan};
pub use services::Services;
pub use staged::{SERVICES, Staged};
