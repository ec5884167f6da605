//! The connection between the supervisor and a child.

pub(crate) mod socket;
