//! The checkout and what the development tools share: its folders, cargo, the compiler of components, programs and
//! packages of the machine, and the cache.
//!
//! It calls the tools that do the work, and handles processes, files and cargo's metadata.
//!
//! # Behaviours
//!
//! Files are relative to `src`, with their tests.
//!
//! - Folders of the checkout, and the target folder: `repository.rs`.
//! - Cargo with the same packages and features everywhere: `cargo.rs`; builds of programs, and how far they are: `build.rs`.
//! - The compiler of components: `toolchain.rs`.
//! - Missing programs and packages of a machine: `machine.rs`, `programs.rs` and `packages.rs`.
//! - Expensive results that all checkouts share: `cache.rs`.
//! - Programs that end with this one: `child.rs`.

pub mod build;
pub mod cache;
pub mod cargo;
pub mod child;
pub mod machine;
pub mod metadata;
pub mod packages;
pub mod programs;
pub mod repository;
pub mod shell;
pub mod toolchain;
