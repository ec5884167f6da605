//! What can go wrong between a registry and a function.
//!
//! Addresses are told without what stands behind their `?`, where registries put signatures. Refuses to show
//! a secret: none of these holds one.

use std::time::Duration;

use url::Url;

use crate::archive::LayerError;
use crate::build::BuildError;
use crate::credentials::CredentialsError;
use crate::digest::Digest;
use crate::manifest::ManifestError;
use crate::reference::Reference;

/// Why a push or a pull did not happen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client cannot be made, for example because the system has no certificates to trust.
    #[error("no connection to a registry can be prepared")]
    Client(#[source] Cause),
    /// Docker's configuration or a credential helper.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The function cannot be packed.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// No connection, or one that broke.
    #[error("{address} cannot be reached ({attempts} attempts)")]
    Unreachable {
        /// What was asked for.
        address: String,
        /// How often.
        attempts: u32,
        /// How the last attempt failed.
        source: Cause,
    },
    /// The registry takes too long.
    #[error("{address} did not answer completely within {limit:?} ({attempts} attempts)")]
    Slow {
        /// What was asked for.
        address: String,
        /// How often.
        attempts: u32,
        /// The time that an attempt had.
        limit: Duration,
    },
    /// The registry answers with a failure.
    #[error("{address} answers {status}{message} ({attempts} attempts)")]
    Status {
        /// What was asked for.
        address: String,
        /// The status of HTTP.
        status: u16,
        /// What the registry says about it, with a colon in front; or nothing.
        message: String,
        /// How often it was asked.
        attempts: u32,
    },
    /// The registry wants other credentials, or any.
    #[error("{registry} does not allow to {action} {repository}{how}")]
    Unauthorized {
        /// The registry.
        registry: String,
        /// The repository.
        repository: String,
        /// `pull` or `push`.
        action: &'static str,
        /// Whether there were credentials, in words.
        how: &'static str,
    },
    /// The registry has no such thing.
    #[error("{0} is not in the registry")]
    NotFound(Box<Reference>),
    /// The registry sends us to a place where no registry may send anybody.
    #[error("{from} leads to {to}, {reason}")]
    Redirect {
        /// What was asked for.
        from: String,
        /// Where it leads.
        to: String,
        /// Why that is refused.
        reason: &'static str,
    },
    /// The registry does not follow the protocol.
    #[error("{address} answers against the protocol: {problem}")]
    Protocol {
        /// What was asked for.
        address: String,
        /// What is wrong with the answer.
        problem: &'static str,
    },
    /// A push to a digest, which only comes out of a push.
    #[error("{0} has a digest, and what is pushed gets its own")]
    PushToDigest(Box<Reference>),
    /// What came is not what was asked for, or more than allowed, or no function.
    #[error("{what}: {source}")]
    Content {
        /// Which document or blob.
        what: String,
        /// What is wrong with it.
        source: ContentError,
    },
}

/// What is wrong with bytes that a registry sent.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// Another digest than asked for.
    #[error("the registry sent {actual}, asked for was {expected}")]
    Digest {
        /// Asked for.
        expected: Digest,
        /// Computed.
        actual: Digest,
    },
    /// The registry's header says another digest than its bytes have.
    #[error("the registry says that it is {claimed:?}, but it is {actual}")]
    Claim {
        /// By the header.
        claimed: String,
        /// Computed.
        actual: Digest,
    },
    /// More bytes than allowed, by its own word.
    #[error("it has {size} bytes, and the most is {limit}")]
    Size {
        /// Declared.
        size: u64,
        /// Allowed.
        limit: u64,
    },
    /// More bytes than declared.
    #[error("it does not end after the {declared} bytes that it is declared to have")]
    Endless {
        /// By the manifest, or by the limit where nothing is declared.
        declared: u64,
    },
    /// Fewer bytes than declared.
    #[error("it ends after {actual} bytes and is declared to have {declared}")]
    Short {
        /// By the manifest.
        declared: u64,
        /// Received.
        actual: u64,
    },
    /// A document that is not used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A layer that is not read.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// An image without the file.
    #[error(
        "it has neither the file that it starts nor exactly one .wasm at its root; there: {found}"
    )]
    NoModule {
        /// The .wasm files at the root.
        found: String,
    },
    /// The bytes are no WebAssembly.
    #[error("the file is not WebAssembly")]
    NotWasm,
}

/// How a library failed.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

impl Error {
    /// The error, after that many attempts.
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

/// An address as it may be shown: without user, password, and what stands behind `?`.
pub(crate) fn shown(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    // Both only fail for addresses without a host, which have no user either.
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
