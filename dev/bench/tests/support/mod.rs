//! Shared code of the report's tests: samples, and a browser.

pub(crate) mod browser;
pub(crate) mod samples;
