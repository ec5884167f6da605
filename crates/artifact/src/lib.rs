//! Functions in OCI registries: packing, pushing, pulling, verifying.
//!
//! This crate owns the two layouts (a Wasm artifact, or an index of ordinary images) and the requests
//! to registries. It trusts no registry: it bounds and verifies everything that a registry sends
//! before use, unpacks nothing to a disk, and sends credentials to no other host. It runs no function.
//!
//! # Behaviours
//!
//! Files are relative to `src`, tests to the crate.
//!
//! - The bytes that are pushed: `build.rs`, with its tests. Packing is pure, and the same input gives the same bytes.
//! - Digests, sizes, retries, redirects and credentials: `registry.rs` and `pull.rs`; tests in
//!   `tests/verification.rs`, `tests/digests.rs`, `tests/peers.rs` and `tests/pushing.rs`.
//! - Credentials of Docker's configuration, in a file or in a cluster's Secret: `credentials.rs`, with its tests.
//! - The digest of a tag, without its content: `pull.rs`; tests in `tests/resolving.rs`.
//! - Images of other tools: `archive.rs` and `manifest.rs`, with their tests.
//! - `sampan push` and `sampan pull` with a real registry: tests in `tests/registry_real.rs`.

mod archive;
mod build;
mod credentials;
mod digest;
mod document;
mod error;
mod layout;
mod manifest;
pub mod media;
mod progress;
mod pull;
mod push;
mod reference;
mod registry;
mod store;

pub use archive::LayerError;
pub use build::{Artifact, BuildError, Part, Source};
pub use credentials::{CredentialsError, DockerConfig, Login};
pub use digest::{Digest, NotADigest};
pub use error::{Cause, ContentError, Error};
pub use layout::Layout;
pub use manifest::ManifestError;
pub use progress::{Observer, Progress};
pub use pull::{Pulled, pull, resolve};
pub use push::{Pushed, push};
pub use reference::{Reference, ReferenceError};
pub use registry::{Options, Registry, RetryPolicy, Trust};
pub use store::{StoreError, Stored, store};
