//! Function names: DNS labels, because the name becomes part of host names.
//!
//! Only labels of RFC 1123 are accepted, with at most 63 characters.

use std::fmt;
use std::str::FromStr;

use crate::escape::Shown;

/// A function's name: lower-case letters, digits and inner hyphens, at most 63.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionName(String);

impl FunctionName {
    /// The most characters of a name.
    pub const MAX_LENGTH: usize = 63;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Derives a name from that of a file or folder: capitals become lower case, and `_`, `.` and
    /// spaces become hyphens. The result may still be invalid.
    pub fn from_file_stem(stem: &str) -> Result<Self, NameError> {
        let mapped: String = stem
            .chars()
            .map(|character| match character {
                '_' | '.' | ' ' => '-',
                other => other.to_ascii_lowercase(),
            })
            .collect();
        // The error shows the original text.
        mapped.parse().map_err(|error| match error {
            NameError::Malformed { .. } => NameError::Malformed {
                name: Shown(stem).to_string(),
            },
            other => other,
        })
    }
}

impl FunctionName {
    /// Derives a name from that of a container, for logs and metrics only. Container names may be
    /// longer and have other characters: these become hyphens, and the excess is cut.
    pub fn of_container(name: &str) -> Self {
        let mapped = name.chars().map(|character| match character {
            letter if letter.is_ascii_alphanumeric() => letter.to_ascii_lowercase(),
            _ => '-',
        });
        let mapped: String = mapped.collect();
        let start = mapped.trim_start_matches('-');
        let cut = start
            .get(..Self::MAX_LENGTH)
            .unwrap_or(start)
            .trim_end_matches('-');
        if cut.is_empty() {
            return Self("function".to_owned());
        }
        Self(cut.to_owned())
    }
}

impl FromStr for FunctionName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if !is_label(text) {
            return Err(NameError::Malformed {
                name: Shown(text).to_string(),
            });
        }
        if text.len() > Self::MAX_LENGTH {
            return Err(NameError::TooLong { length: text.len() });
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for FunctionName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for FunctionName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Reasons why a text is not a function name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// There is no text.
    #[error("a function's name can't be empty")]
    Empty,
    /// A character that no name may have, or a hyphen at an end.
    #[error(
        "\"{name}\" can't be a function's name: \
         only a-z, 0-9 and hyphens, with a letter or digit at both ends"
    )]
    Malformed {
        /// The text, safe to print.
        name: String,
    },
    /// More characters than a DNS label may have.
    #[error("a function's name can't have {length} characters, the most is 63")]
    TooLong {
        /// The number of its characters.
        length: usize,
    },
}

/// Whether a text can be the name of an object in a cluster: a DNS subdomain of RFC 1123, at most 253
/// characters.
///
/// Check a name from a user or a resource before it becomes a part of a URL: clients of the API
/// server do not escape it, so that `?limit=20` would ask for a list.
pub fn is_object_name(text: &str) -> bool {
    const MAX_LENGTH: usize = 253;
    text.len() <= MAX_LENGTH && text.split('.').all(is_label)
}

/// Whether a text is a DNS label of RFC 1123 but for its length.
fn is_label(text: &str) -> bool {
    let is_end = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.first().is_some_and(is_end)
        && bytes.last().is_some_and(is_end)
        && bytes.iter().all(|byte| is_end(byte) || *byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::{FunctionName, NameError, is_object_name};

    #[test]
    fn names_of_objects_cannot_change_a_url() {
        let check =
            |text: &str, expected: bool| assert_eq!(is_object_name(text), expected, "{text:?}");
        check("a", true);
        check("a-b.c1", true);
        check(&"a".repeat(253), true);
        check(&"a".repeat(254), false);
        for text in [
            "",
            ".",
            "..",
            "a.",
            ".a",
            "a..b",
            "-a",
            "a-",
            "A",
            "a_b",
            "a/b",
            "../b",
            "?limit=20",
            "a?x",
            "a#b",
            "a%2fb",
            "a b",
            "a\n",
            "é",
        ] {
            check(text, false);
        }
    }

    fn check(input: &str, accepted: bool) {
        let parsed = input.parse::<FunctionName>();
        assert_eq!(parsed.is_ok(), accepted, "{input:?}: {parsed:?}");
        if let Ok(name) = parsed {
            assert_eq!(name.as_str(), input);
            assert_eq!(name.to_string(), input);
        }
    }

    #[test]
    fn takes_dns_labels_only() {
        for name in [
            "a",
            "0",
            "a-b",
            "prime-numbers",
            "9lives",
            "a--b",
            "xn--bcher-kva",
        ] {
            check(name, true);
        }
        for name in [
            "",
            "-",
            "-a",
            "a-",
            "A",
            "a_b",
            "a.b",
            "a b",
            " a",
            "a\n",
            "\0",
            "é",
            "ａ",
            "a/b",
            "../a",
            "a\u{200d}b",
        ] {
            check(name, false);
        }
    }

    #[test]
    fn has_at_most_63_characters() {
        check(&"a".repeat(62), true);
        check(&"a".repeat(63), true);
        check(&"a".repeat(64), false);
        assert_eq!(
            "a".repeat(1 << 20).parse::<FunctionName>(),
            Err(NameError::TooLong { length: 1 << 20 })
        );
    }

    #[test]
    fn derives_from_a_file_stem() {
        fn check(stem: &str, expected: Option<&str>) {
            let name = FunctionName::from_file_stem(stem).ok();
            assert_eq!(
                name.as_ref().map(FunctionName::as_str),
                expected,
                "{stem:?}"
            );
        }
        check("primes", Some("primes"));
        check("prime_numbers", Some("prime-numbers"));
        check("FuzzySearch", Some("fuzzysearch"));
        check("Hello World", Some("hello-world"));
        check("hello.component", Some("hello-component"));
        check("_private", None);
        check("primes_", None);
        check("", None);
        check("größe", None);
        check("a+b", None);
        check(&"a".repeat(64), None);
    }

    #[test]
    fn derives_from_any_name_of_a_container() {
        fn check(container: &str, expected: &str) {
            let name = FunctionName::of_container(container);
            assert_eq!(name.as_str(), expected, "{container:?}");
            assert_eq!(name.as_str().parse(), Ok(name));
        }
        check("primes", "primes");
        check("prime_numbers.v2", "prime-numbers-v2");
        check("container-A", "container-a");
        check(&"a".repeat(87), &"a".repeat(63));
        check(&format!("{}-b", "a".repeat(62)), &"a".repeat(62));
        check("_a_", "a");
        check("größe", "gr--e");
        check("", "function");
        check("___", "function");
    }

    #[test]
    fn shows_the_stem_that_was_found() {
        let error = FunctionName::from_file_stem("_My\u{1b}Stem").expect_err("it is refused");
        assert!(
            error.to_string().starts_with("\"_My\\u{1b}Stem\""),
            "{error}"
        );
    }
}
