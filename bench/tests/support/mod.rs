//! What the tests of the report share: samples, and a browser to look with.

pub(crate) mod browser;
pub(crate) mod samples;
