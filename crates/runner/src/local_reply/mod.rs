//! Makes the responses of the runner itself, in place of a function's.
//!
//! Each file makes a head and a complete text. [`crate::dispatch`] sends them.
//!
//! In the order of a request:
//!
//! - `listing.rs`: the list of functions at `/`.
//! - `refusal.rs`: the status, the cause and the text of each failure.
//! - `one_line.rs`: foreign text on one line, for both.

pub(crate) mod listing;
mod one_line;
pub(crate) mod refusal;
