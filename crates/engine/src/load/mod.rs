//! Ways by which a function becomes callable.
//!
//! - [`engine`]: loads functions from files, with a cache and a compiler
//! - [`prepared`]: loads a module that another process has prepared
//! - [`warm_up`]: loads the component that is called before a pod's first request

pub(crate) mod engine;
mod prepared;
mod warm_up;
