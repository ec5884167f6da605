//! State that the containers of a pod share: namespaces, a process namespace where they ask for one, and the count of
//! processes that were killed for want of memory.

pub(crate) mod namespaces;
pub(crate) mod oom;
pub(crate) mod shared_processes;
