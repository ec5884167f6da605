//! The name of a compiled module.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use sha2::{Digest, Sha256};
use wasmtime::Engine;

use super::flavour::Flavour;

/// The name under which caches have a compiled module: 64 lowercase hexadecimal digits. Two caches use the same
/// name only for the same WebAssembly, compiled by the same wasmtime with the same settings for the same
/// processor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ModuleName(String);

/// A text that is no [`ModuleName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name of a compiled module has 64 lowercase hexadecimal digits")]
pub struct NotAModuleName;

impl ModuleName {
    /// The name of a module with this SHA-256 digest, compiled for this engine.
    pub(crate) fn new(digest: &str, engine: &Engine, flavour: Flavour) -> Self {
        struct Feed(Sha256);
        impl Hasher for Feed {
            fn write(&mut self, bytes: &[u8]) {
                self.0.update(bytes);
            }
            fn finish(&self) -> u64 {
                // Only the fed bytes matter.
                0
            }
        }
        let mut feed = Feed(Sha256::new());
        digest.hash(&mut feed);
        flavour.as_str().hash(&mut feed);
        // Covers wasmtime's version, the target, the processor's features and every setting that
        // changes code.
        engine.precompile_compatibility_hash().hash(&mut feed);
        Self(hex::encode(feed.0.finalize()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModuleName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for ModuleName {
    type Err = NotAModuleName;

    fn from_str(text: &str) -> Result<Self, NotAModuleName> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == 64 && text.bytes().all(is_digit) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAModuleName)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ModuleName;

    #[test]
    fn a_name_is_64_lowercase_hexadecimal_digits() {
        fn check(text: &str, expected: bool) {
            let parsed = text.parse::<ModuleName>();
            assert_eq!(parsed.is_ok(), expected, "{text}");
            if let Ok(name) = parsed {
                assert_eq!(name.to_string(), text);
            }
        }
        check(&"0a".repeat(32), true);
        check(&"0A".repeat(32), false);
        check(&"0g".repeat(32), false);
        check(&"0".repeat(63), false);
        check(&"0".repeat(65), false);
        check(&format!("../{}", "0".repeat(61)), false);
        check("", false);
    }
}
