//! A real API server with its store for one test program, and operators that run against it.

pub(crate) mod cluster;
pub(crate) mod fault;
pub(crate) mod operator;
