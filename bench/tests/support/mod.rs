//! What the tests of the report share: samples, and a browser to look with.

pub mod browser;
pub mod samples;
