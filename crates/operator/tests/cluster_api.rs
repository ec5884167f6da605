//! The operator against a real API server that is disturbed. Each test has the number of its scenario.

mod support;

#[path = "scenarios/crashes.rs"]
mod crashes;
#[path = "scenarios/fields.rs"]
mod fields;
#[path = "scenarios/repairs.rs"]
mod repairs;
#[path = "scenarios/rights.rs"]
mod rights;
#[path = "scenarios/watches.rs"]
mod watches;
