//! Data that a call needs, of its engine, of its function and its own. None of it depends on a module or an instance.
//!
//! - [`ticker`]: the thread that interrupts guests, and [`upkeep`], its work
//! - [`guests`]: the guests that go on after their answers
//! - [`prewarm_budget`]: the number of prewarmed instances
//! - [`engine_context`]: the data of an engine, which has all of these
//! - [`function_context`]: the data of a function
//! - [`guest_time`]: the processor time of guests
//! - [`fair_queue`]: the order of functions that share processors, [`processor_cap`], the cap of a function, and
//!   [`fair_share`], which applies both
//! - [`memory_account`]: the memory of the instances, [`memory_budget`], who may have more, and [`memory_use`], which reads
//!   an account
//! - [`function_accounts`]: the accounts of processors and memory that the versions of a function share
//! - [`turn`]: the wait of a guest for a processor
//! - [`clock`]: the time limits of a call
//! - [`call_state`]: the data of a call

pub(crate) mod call_state;
mod clock;
pub(crate) mod engine_context;
mod fair_queue;
mod fair_share;
mod function_accounts;
pub(crate) mod function_context;
mod guest_time;
pub(crate) mod guests;
pub(crate) mod memory_account;
pub(crate) mod memory_budget;
pub(crate) mod memory_use;
pub(crate) mod prewarm_budget;
mod processor_cap;
pub(crate) mod ticker;
pub(crate) mod turn;
pub(crate) mod upkeep;
