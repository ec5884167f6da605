//! What whole-system tests share: the programs as they were built, run as processes and talked to over
//! sockets, and what each of the nine functions has to answer.
//!
//! Nothing here links a crate of the product, so a test can only see what a user sees. Whatever fails
//! here panics with what it was about, because that is how a test fails; and whatever is started here
//! ends when it is dropped.
#![expect(
    clippy::missing_panics_doc,
    reason = "every item here panics to fail the test that uses it"
)]

mod answer;
mod contract;
mod guests;
mod native;
mod pending;
mod process;
mod refused;
mod sampan;
mod services;
mod staged;

pub use answer::{Answer, get, send};
pub use contract::{FUNCTIONS, Function, SEEDED};
pub use guests::{Guests, component};
pub use native::Native;
pub use pending::Pending;
pub use process::{PATIENCE, build_folder, program};
pub use refused::Refused;
pub use sampan::{Event, Sampan};
pub use services::Services;
pub use staged::{SERVICES, Staged};
