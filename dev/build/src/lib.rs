//! Builds what is deployed: the functions with their container images, the guests of tests, and the release artifacts.
//!
//! # Behaviours
//!
//! Files are relative to `src`, with their tests.
//!
//! - The functions, as components and as native programs: `functions.rs` and `functions/catalogue.rs`; tests in
//!   `up_from_a_checkout` of the whole-system tests.
//! - Images of the functions, with their Debian: `functions/images.rs` and `functions/base.rs`.
//! - `cargo xtask dist`: `dist.rs`, `dist/images.rs` and `dist/sums.rs`.
//! - Guests in other languages: `guests.rs` and `guests/engines.rs`.

pub mod dist;
pub mod functions;
pub mod guests;
