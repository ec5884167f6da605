//! Tests of the operator against a real API server with injected faults, named by their scenarios.

mod support;

#[path = "scenarios/auto.rs"]
mod auto;
#[path = "scenarios/crashes.rs"]
mod crashes;
#[path = "scenarios/fields.rs"]
mod fields;
#[path = "scenarios/pool_refusals.rs"]
mod pool_refusals;
#[path = "scenarios/pools.rs"]
mod pools;
#[path = "scenarios/repairs.rs"]
mod repairs;
#[path = "scenarios/rights.rs"]
mod rights;
#[path = "scenarios/watches.rs"]
mod watches;
