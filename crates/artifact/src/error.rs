//! Errors of pushing and pulling.
//!
//! Messages show addresses without their query, where registries put signatures. No error contains
//! a secret.

use std::time::Duration;

use url::Url;

use crate::archive::LayerError;
use crate::build::BuildError;
use crate::credentials::CredentialsError;
use crate::digest::Digest;
use crate::manifest::ManifestError;
use crate::reference::Reference;

/// Reasons why a push or a pull failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client cannot be made, for example because the system has no certificates to trust.
    #[error("no connection to a registry can be prepared")]
    Client(#[source] Cause),
    /// Docker's configuration or a credential helper failed.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The function cannot be packed.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// No connection could be made, or it broke.
    #[error("{address} cannot be reached ({attempts} attempts)")]
    Unreachable {
        /// The requested address.
        address: String,
        /// The number of attempts.
        attempts: u32,
        /// The error of the last attempt.
        source: Cause,
    },
    /// The registry took too long.
    #[error("{address} did not answer completely within {limit:?} ({attempts} attempts)")]
    Slow {
        /// The requested address.
        address: String,
        /// The number of attempts.
        attempts: u32,
        /// The time limit of an attempt.
        limit: Duration,
    },
    /// The registry responded with a failure.
    #[error("{address} answers {status}{message} ({attempts} attempts)")]
    Status {
        /// The requested address.
        address: String,
        /// The HTTP status.
        status: u16,
        /// The registry's message, after a colon; empty if there is none.
        message: String,
        /// The number of attempts.
        attempts: u32,
    },
    /// The registry requires credentials, or other ones.
    #[error("{registry} does not allow to {action} {repository}{how}")]
    Unauthorized {
        /// The registry.
        registry: String,
        /// The repository.
        repository: String,
        /// `pull` or `push`.
        action: &'static str,
        /// Whether the request had credentials, as text.
        how: &'static str,
    },
    /// The registry does not have the reference.
    #[error("{0} is not in the registry")]
    NotFound(Box<Reference>),
    /// The registry redirects to a forbidden address.
    #[error("{from} leads to {to}, {reason}")]
    Redirect {
        /// The requested address.
        from: String,
        /// The redirect's target.
        to: String,
        /// The reason for the rejection.
        reason: &'static str,
    },
    /// The registry violates the protocol.
    #[error("{address} answers against the protocol: {problem}")]
    Protocol {
        /// The requested address.
        address: String,
        /// The violation.
        problem: &'static str,
    },
    /// A push to a digest, which only results from a push.
    #[error("{0} has a digest, and what is pushed gets its own")]
    PushToDigest(Box<Reference>),
    /// The content differs from the request, exceeds a limit, or is not a function.
    #[error("{what}: {source}")]
    Content {
        /// The document or blob.
        what: String,
        /// The fault.
        source: ContentError,
    },
}

/// Faults of bytes that a registry sent.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The digest differs from the requested one.
    #[error("the registry sent {actual}, asked for was {expected}")]
    Digest {
        /// The requested digest.
        expected: Digest,
        /// The computed digest.
        actual: Digest,
    },
    /// The registry's digest header differs from its bytes.
    #[error("the registry says that it is {claimed:?}, but it is {actual}")]
    Claim {
        /// The digest in the header.
        claimed: String,
        /// The computed digest.
        actual: Digest,
    },
    /// The declared size exceeds the limit.
    #[error("it has {size} bytes, and the most is {limit}")]
    Size {
        /// The declared size, in bytes.
        size: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// More bytes than declared.
    #[error("it does not end after the {declared} bytes that it is declared to have")]
    Endless {
        /// The size in the manifest, or the limit if none is declared.
        declared: u64,
    },
    /// Fewer bytes than declared.
    #[error("it ends after {actual} bytes and is declared to have {declared}")]
    Short {
        /// The size in the manifest.
        declared: u64,
        /// Received.
        actual: u64,
    },
    /// A manifest or an index is rejected.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A layer is rejected.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// An image without the function's file.
    #[error(
        "it has neither the file that it starts nor exactly one .wasm at its root; there: {found}"
    )]
    NoModule {
        /// The .wasm files at the root.
        found: String,
    },
    /// The bytes are not WebAssembly.
    #[error("the file is not WebAssembly")]
    NotWasm,
}

/// The error of a library.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

impl Error {
    /// Sets the number of attempts.
    pub(crate) fn after(mut self, count: u32) -> Self {
        if let Self::Unreachable { attempts, .. }
        | Self::Slow { attempts, .. }
        | Self::Status { attempts, .. } = &mut self
        {
            *attempts = count;
        }
        self
    }

    pub(crate) fn content(what: impl Into<String>, source: impl Into<ContentError>) -> Self {
        Self::Content {
            what: what.into(),
            source: source.into(),
        }
    }
}

/// An address for messages: without user, password and query.
pub(crate) fn shown(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    // Both fail only for addresses without a host, which have no user either.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.to_string()
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::shown;

    #[test]
    fn addresses_are_shown_without_secrets() {
        let url = Url::parse("https://me:secret@r.example/v2/?X-Signature=secret#secret");
        assert_eq!(shown(&url.expect("an address")), "https://r.example/v2/");
    }
}
