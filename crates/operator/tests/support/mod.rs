//! A real API server with its store, for one test program, and operators that run against it.

pub mod cluster;
pub mod fault;
pub mod operator;
