//! A container's control group. [`make`] makes it and sets its limits before a process is in it; libcontainer only puts
//! the container's processes there. [`group`] reads, freezes, kills and removes it.
//!
//! The fields of a specification are parsed into [`resources`], [`path`] and [`devices`], and become files ([`v1`], [`v2`])
//! and properties of a systemd scope ([`unit`]) without input or output.

mod devices;
mod entry;
mod error;
mod folders;
mod group;
pub(crate) mod holder;
mod make;
mod making;
mod mount;
mod path;
mod resources;
mod settings;
mod stats;
mod systemd;
mod unit;
mod v1;
mod v2;
mod version;

pub(crate) use error::GroupError;
pub(crate) use group::Cgroup;
pub(crate) use make::{Plan, update};
pub(crate) use making::{Made, Making};
pub(crate) use resources::Resources;
pub(crate) use version::Version;
