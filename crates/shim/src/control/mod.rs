//! The control connection between the supervisor and a child.

pub(crate) mod messages;
pub(crate) mod socket;
