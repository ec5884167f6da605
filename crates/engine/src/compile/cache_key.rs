//! The key of a cache of compiled modules.

use std::fmt;
use std::hint::black_box;

/// The key of a cache. Who has it can make code that every process with the same key runs.
#[derive(Clone)]
pub struct CacheKey([u8; blake3::KEY_LEN]);

/// Bytes that are no [`CacheKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key of compiled modules has {expected} bytes, not {found}", expected = blake3::KEY_LEN)]
pub struct NotACacheKey {
    found: usize,
}

impl CacheKey {
    /// The length of a key, in bytes.
    pub const LENGTH: usize = blake3::KEY_LEN;

    /// Makes a key of [`CacheKey::LENGTH`] random bytes.
    ///
    /// # Errors
    ///
    /// [`NotACacheKey`] for another length.
    pub fn new(bytes: &[u8]) -> Result<Self, NotACacheKey> {
        let found = bytes.len();
        let key = bytes.try_into().map_err(|_| NotACacheKey { found })?;
        Ok(Self(key))
    }

    /// A key for another use, from which this one cannot be found out. `context` names that use, and no other use has
    /// the same.
    pub fn derive(&self, context: &str) -> [u8; blake3::KEY_LEN] {
        blake3::derive_key(context, &self.0)
    }

    pub(super) fn as_bytes(&self) -> &[u8; blake3::KEY_LEN] {
        &self.0
    }
}

/// Without the key.
impl fmt::Debug for CacheKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("CacheKey")
    }
}

impl Drop for CacheKey {
    fn drop(&mut self) {
        // A process that prepares modules for others forks afterwards. Its children must not hold the key.
        self.0.fill(0);
        black_box(&self.0);
    }
}
