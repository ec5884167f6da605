//! Digests by SHA-256 and SHA-512: parsing and computing.
//!
//! These are the algorithms that the OCI image specification registers for every implementation.
//! What is pushed has SHA-256, which registries and containerd use. Other algorithms are rejected.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha512};

const SHA256: &str = "sha256";
const SHA512: &str = "sha512";

/// A digest: `sha256:` and 64, or `sha512:` and 128 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

/// A text that is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a digest that is understood (sha256: and 64, or sha512: and 128 hexadecimal digits)"
)]
pub struct NotADigest {
    text: String,
}

impl Digest {
    /// The SHA-256 digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::default();
        hasher.update(bytes);
        hasher.finish()
    }

    /// Whether this is the digest of these bytes.
    pub(crate) fn matches(&self, bytes: &[u8]) -> bool {
        let mut hasher = Hasher::like(self);
        hasher.update(bytes);
        hasher.finish() == *self
    }

    /// The digest with its algorithm.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let small = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        match text.split_once(':') {
            Some((algorithm, hex))
                if matches!((algorithm, hex.len()), (SHA256, 64) | (SHA512, 128))
                    && hex.bytes().all(small) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(NotADigest {
                // Foreign text: the part in messages is limited.
                text: text.chars().take(96).collect(),
            }),
        }
    }
}

impl TryFrom<String> for Digest {
    type Error = NotADigest;

    fn try_from(text: String) -> Result<Self, NotADigest> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Computes a digest from chunks.
#[derive(Debug)]
pub(crate) enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Default for Hasher {
    /// SHA-256.
    fn default() -> Self {
        Self::Sha256(Sha256::new())
    }
}

impl Hasher {
    /// The algorithm of this digest.
    pub(crate) fn like(digest: &Digest) -> Self {
        match digest.0.split_once(':') {
            Some((SHA512, _)) => Self::Sha512(Sha512::new()),
            _ => Self::default(),
        }
    }

    /// Adds a chunk.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    /// The digest of all chunks.
    pub(crate) fn finish(self) -> Digest {
        match self {
            Self::Sha256(hasher) => text(SHA256, &hasher.finalize()),
            Self::Sha512(hasher) => text(SHA512, &hasher.finalize()),
        }
    }
}

fn text(algorithm: &str, bytes: &[u8]) -> Digest {
    Digest(format!("{algorithm}:{}", hex::encode(bytes)))
}

#[cfg(test)]
mod tests {
    use super::{Digest, Hasher};

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const EMPTY_512: &str = "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e";

    #[test]
    fn digests_are_those_of_the_standard() {
        assert_eq!(Digest::of(b"").as_str(), EMPTY);
        let mut hasher = Hasher::default();
        hasher.update(b"a");
        hasher.update(b"bc");
        assert_eq!(hasher.finish(), Digest::of(b"abc"));
        for empty in [EMPTY, EMPTY_512] {
            let digest: Digest = empty.parse().expect("a digest");
            assert!(digest.matches(b""), "{empty}");
            assert!(!digest.matches(b"a"), "{empty}");
            assert_eq!(Hasher::like(&digest).finish(), digest);
        }
    }

    #[test]
    fn only_whole_digests_are_digests() {
        let check =
            |text: &str, good: bool| assert_eq!(text.parse::<Digest>().is_ok(), good, "{text}");
        for empty in [EMPTY, EMPTY_512] {
            check(empty, true);
            check(&empty.to_uppercase(), false);
            check(&empty[..empty.len() - 1], false);
            check(&format!("{empty}0"), false);
            check(&empty.replace('e', "g"), false);
        }
        check(&EMPTY.replace("sha256", "sha512"), false);
        check(&EMPTY_512.replace("sha512", "sha256"), false);
        check(&EMPTY.replace("sha256", "blake3"), false);
        check("sha256:", false);
        check("", false);
    }
}
