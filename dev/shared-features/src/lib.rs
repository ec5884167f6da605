//! No code. `cargo xtask up` builds this package beside `sampan` and the services, so that their dependencies get the
//! features that the whole workspace gives them.
//!
//! Cargo turns on the features that the selected packages ask for. Without this package, a build of `sampan` alone
//! would compile tokio and everything on it a second time, wasmtime included.
