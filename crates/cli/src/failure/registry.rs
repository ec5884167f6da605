//! Failures of requests to a registry.

use sampan_artifact::{ContentError, Error, ManifestError};

use super::{Failure, chain};
use crate::exit::Exit;

/// The message, the advice and the exit code of each error.
pub(super) fn failure(error: &Error) -> Failure {
    let (exit, help) = match error {
        Error::Client(_) => (
            Exit::Unexpected,
            "install the system's certificates (Debian: ca-certificates), or name a file of them in SSL_CERT_FILE",
        ),
        Error::Credentials(_) => (
            Exit::Credentials,
            "log in again with `docker login`, or correct the file; DOCKER_CONFIG names another folder",
        ),
        Error::Build(_) => (Exit::Unexpected, "report this as a bug"),
        Error::Unreachable { .. } => (
            Exit::Registry,
            "check the registry's name and port, and the network; a registry without TLS needs --plain-http",
        ),
        Error::Slow { .. } => (
            Exit::Registry,
            "try again when the network or the registry is faster",
        ),
        Error::Status { status: 429, .. } => (
            Exit::Registry,
            "wait, or log in: registries allow more to those they know",
        ),
        Error::Status { status: 500.., .. } => (
            Exit::Registry,
            "try again later, and look at the registry's own logs",
        ),
        Error::Status { .. } => (
            Exit::Registry,
            "check that this is a registry, and that it takes OCI artifacts; `sampan push --image` pushes ordinary images",
        ),
        Error::Unauthorized { .. } => (
            Exit::Credentials,
            "log in with `docker login HOST` as someone who may; sampan reads Docker's configuration",
        ),
        Error::NotFound(_) => (
            Exit::NotFound,
            "check the repository and the tag; private ones look like this to those who are not logged in",
        ),
        Error::Redirect { .. } => (
            Exit::Registry,
            "do not trust this registry before its operator has explained that",
        ),
        Error::Protocol { .. } => (
            Exit::Registry,
            "check that this is a registry, and not a page or a proxy in front of it",
        ),
        Error::PushToDigest(_) => (Exit::Usage, "leave the digest out, and name a tag"),
        Error::Content { source, .. } => return content(error, source),
    };
    Failure::new(exit, chain(error), help)
}

fn content(error: &Error, source: &ContentError) -> Failure {
    let help = match source {
        ContentError::Digest { .. }
        | ContentError::Claim { .. }
        | ContentError::Endless { .. }
        | ContentError::Short { .. } => {
            "nothing was kept; do not trust this registry, or what is between it and here"
        }
        ContentError::Size { .. } => {
            "functions are smaller: check that this is one, or build it without debug information"
        }
        ContentError::Manifest(ManifestError::NoLayer(_)) => {
            "push it with `sampan push`, or as an image without compression or with gzip"
        }
        ContentError::Manifest(_) | ContentError::NoModule { .. } | ContentError::NotWasm => {
            "check that this is a function; `sampan push` makes one that every tool understands"
        }
        ContentError::Layer(_) => {
            "build the image from scratch with the .wasm as its only file, or push it with `sampan push`"
        }
    };
    // The outer error's message contains the inner one's; only further causes are added.
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(source);
    while let Some(error) = cause {
        message = format!("{message}: {error}");
        cause = error.source();
    }
    Failure::new(Exit::Content, message, help)
}
