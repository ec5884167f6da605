//! Functions in OCI registries: packing, pushing, pulling, verifying.
//!
//! Owns the two layouts (a Wasm artifact and an ordinary image, under one index) and the requests to
//! registries. Refuses to trust a registry: everything that it sends is bounded and verified before it is
//! used, nothing is unpacked to a disk, and credentials stay with whom they are for.

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
pub use registry::{Options, Patience, Registry};
pub use store::{StoreError, Stored, store};
