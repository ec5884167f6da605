//! References to functions in registries: `registry.example/functions/hello:1.0`.
//!
//! A reference must name its registry.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use oci_spec::distribution::{ParseError, Reference as Parsed};

use crate::digest::{Digest, NotADigest};

/// A reference: a registry, a repository in it, and a tag, a digest or both.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    parsed: Parsed,
    digest: Option<Digest>,
}

/// Reasons why a text is not a reference.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// It does not begin with a registry.
    #[error("it names no registry: write HOST[:PORT]/REPOSITORY[:TAG]")]
    NoRegistry,
    /// It is malformed.
    #[error("{0}: write HOST[:PORT]/REPOSITORY[:TAG][@sha256:DIGEST]")]
    Form(#[source] ParseError),
    /// Its digest is malformed.
    #[error(transparent)]
    Digest(#[from] NotADigest),
}

impl Reference {
    /// The host and port of the registry's API.
    pub fn registry(&self) -> &str {
        self.parsed.resolve_registry()
    }

    /// The repository.
    pub fn repository(&self) -> &str {
        self.parsed.repository()
    }

    /// The last part of the repository, usually the function's name.
    pub fn short_name(&self) -> &str {
        let repository = self.repository();
        repository.rsplit('/').next().unwrap_or(repository)
    }

    /// The tag, if there is one. A name without tag and digest has the tag `latest`.
    pub fn tag(&self) -> Option<&str> {
        self.parsed.tag()
    }

    /// The digest, if there is one. It has priority over the tag.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The same repository with a digest.
    #[must_use]
    pub fn at(&self, digest: &Digest) -> Self {
        Self {
            parsed: self.parsed.clone_with_digest(digest.to_string()),
            digest: Some(digest.clone()),
        }
    }

    /// Whether the registry's name is of this machine: `localhost` or a loopback address.
    pub fn is_local(&self) -> bool {
        let registry = self.registry();
        let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
        host == "localhost"
            || host.ends_with(".localhost")
            || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        // By convention, the first part is a registry if it has a dot, a colon, or is `localhost`.
        let first = text.split_once('/').map(|(first, _)| first);
        if !first.is_some_and(|first| first.contains(['.', ':']) || first == "localhost") {
            return Err(ReferenceError::NoRegistry);
        }
        let parsed: Parsed = text.parse().map_err(ReferenceError::Form)?;
        let digest = parsed.digest().map(str::parse).transpose()?;
        Ok(Self { parsed, digest })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parsed.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::{Reference, ReferenceError};

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn names_have_a_registry_a_repository_and_a_tag_or_a_digest() {
        let check = |text: &str, parts: (&str, &str, Option<&str>, bool)| {
            let reference: Reference = text.parse().expect(text);
            let digest = reference.digest().is_some();
            let found = (
                reference.registry(),
                reference.repository(),
                reference.tag(),
                digest,
            );
            assert_eq!(found, parts, "{text}");
        };
        check(
            "r.example/a/b:1.0",
            ("r.example", "a/b", Some("1.0"), false),
        );
        check("r.example/a", ("r.example", "a", Some("latest"), false));
        check(
            "localhost:5000/a:x",
            ("localhost:5000", "a", Some("x"), false),
        );
        check(
            &format!("r.example/a@{DIGEST}"),
            ("r.example", "a", None, true),
        );
        check(
            &format!("r.example/a:1@{DIGEST}"),
            ("r.example", "a", Some("1"), true),
        );
        let sha512 = format!("r.example/a@sha512:{}", "0".repeat(128));
        check(&sha512, ("r.example", "a", None, true));
        check(
            "127.0.0.1:5000/a",
            ("127.0.0.1:5000", "a", Some("latest"), false),
        );
    }

    #[test]
    fn malformed_references_are_explained() {
        let check = |text: &str, expected: &str| {
            let error = text.parse::<Reference>().expect_err(text);
            assert!(error.to_string().contains(expected), "{text}: {error}");
        };
        for text in ["hello", "hello:1", "me/hello:1", "", "/"] {
            assert_eq!(
                text.parse::<Reference>(),
                Err(ReferenceError::NoRegistry),
                "{text}"
            );
        }
        check("r.example/Hello", "HOST");
        check("r.example/a b", "HOST");
        check("r.example/../a", "HOST");
        check("https://r.example/a", "HOST");
        check("r.example/a@sha256:abc", "HOST");
        let sha384 = format!("r.example/a@sha384:{}", "0".repeat(96));
        check(&sha384, "sha256: and 64, or sha512: and 128");
    }

    #[test]
    fn only_names_of_this_machine_are_local() {
        let check = |text: &str, local: bool| {
            let reference: Reference = text.parse().expect(text);
            assert_eq!(reference.is_local(), local, "{text}");
        };
        check("localhost:5000/a", true);
        check("registry.localhost/a", true);
        check("127.8.0.1:80/a", true);
        check("localhost.example/a", false);
        check("192.0.2.1:5000/a", false);
        check("10.0.0.1/a", false);
    }
}
