//! The name of a cluster. Everything that a cluster leaves on the machine carries it, so that two
//! clusters never meet.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// The name is a part of socket paths, which the kernel and containerd limit.
const MAX_LENGTH: usize = 20;

/// A name: small letters, digits and dashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name(String);

impl Name {
    /// The name of a checkout's cluster.
    pub(crate) fn of_checkout(root: &Path) -> Name {
        Name(digits(root))
    }

    /// The name of the cluster of a checkout's tests.
    pub(crate) fn of_tests(root: &Path) -> Name {
        Name(format!("test-{}", digits(root)))
    }

    /// The name of the cluster of a checkout's benchmarks.
    pub(crate) fn of_benchmarks(root: &Path) -> Name {
        Name(format!("bench-{}", digits(root)))
    }

    /// The name of critest's cluster, which has no Kubernetes.
    pub(crate) fn of_critest(root: &Path) -> Name {
        Name(format!("critest-{}", digits(root)))
    }

    /// The prefix of all names outside of the cluster's own folders.
    pub(crate) fn prefix(&self) -> String {
        format!("sampan-{self}")
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

fn digits(root: &Path) -> String {
    let hash = Sha256::digest(root.as_os_str().as_encoded_bytes());
    hex::encode(&hash[..4])
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Name, String> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let edges = text.starts_with('-') || text.ends_with('-');
        if text.is_empty() || edges || !text.chars().all(allowed) {
            return Err(
                "a name consists of small letters and digits, with dashes between them".to_owned(),
            );
        }
        if text.len() > MAX_LENGTH {
            return Err(format!("a name has at most {MAX_LENGTH} characters"));
        }
        Ok(Name(text.to_owned()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_plain() {
        fn check(text: &str, expected: bool) {
            assert_eq!(text.parse::<Name>().is_ok(), expected, "{text}");
        }
        check("a", true);
        check("test-0123abcd", true);
        check("", false);
        check("-a", false);
        check("a-", false);
        check("A", false);
        check("a/b", false);
        check("..", false);
        check("a23456789012345678901", false);
    }

    #[test]
    fn checkouts_have_names_of_their_own() {
        let (one, other) = (Path::new("/a/sampan"), Path::new("/b/sampan"));
        assert_eq!(Name::of_checkout(one), Name::of_checkout(one));
        assert_ne!(Name::of_checkout(one), Name::of_checkout(other));
        let names = [
            Name::of_checkout(one),
            Name::of_tests(one),
            Name::of_benchmarks(one),
            Name::of_critest(one),
        ];
        assert_ne!(names[0], names[1]);
        assert_ne!(names[1], names[2]);
        assert_ne!(names[2], names[3]);
        for name in names {
            assert_eq!(name.as_str().parse(), Ok(name.clone()));
        }
    }
}
