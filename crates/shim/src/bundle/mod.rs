//! The bundle that containerd makes for a container: its configuration, root and streams, the record that the shim leaves
//! in it, and the removal of what is left.

pub(crate) mod config;
pub(crate) mod leftovers;
pub(crate) mod record;
pub(crate) mod rootfs;
pub(crate) mod stdio;
