//! Functions in OCI registries: packing, pushing, pulling, verifying.
//!
//! A function has two layouts under one index: a Wasm artifact and an ordinary image. A registry is
//! not trusted. Its responses are limited and verified before use, nothing is unpacked to a disk,
//! and credentials are sent only to their registry.

mod archive;
mod build;
mod credentials;
mod digest;
mod document;
mod error;
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
pub use manifest::ManifestError;
pub use progress::{Observer, Progress};
pub use pull::{Layout, Pulled, pull};
pub use push::{Pushed, push};
pub use reference::{Reference, ReferenceError};
pub use registry::{Options, Registry, RetryPolicy};
pub use store::{StoreError, Stored, store};
