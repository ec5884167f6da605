//! What the containers of a pod share: namespaces, and the count of processes that were killed for want of memory.

pub(crate) mod namespaces;
pub(crate) mod oom;
