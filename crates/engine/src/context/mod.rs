//! Data that a call needs, of its engine, of its function and its own. None of it depends on a module or an instance.
//!
//! - [`ticker`]: the thread that interrupts guests, and [`upkeep`], its work
//! - [`guests`]: the guests that go on after their answers
//! - [`prewarm_budget`]: the number of prewarmed instances
//! - [`engine_context`]: the data of an engine, which has all of these
//! - [`function_context`]: the data of a function
//! - [`guest_time`]: the processor time of guests
//! - [`clock`]: the time limits of a call
//! - [`call_state`]: the data of a call

pub(crate) mod call_state;
mod clock;
pub(crate) mod engine_context;
pub(crate) mod function_context;
pub(crate) mod guest_time;
pub(crate) mod guests;
pub(crate) mod prewarm_budget;
pub(crate) mod ticker;
pub(crate) mod upkeep;
