//! The bundle that containerd makes for a container: its configuration, its streams, and the record that the shim
//! leaves in it.

pub(crate) mod config;
pub(crate) mod record;
pub(crate) mod stdio;
