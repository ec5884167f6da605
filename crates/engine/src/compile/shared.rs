//! Compiled modules that several processes share: the key of their caches, and how one gets a module from another.

use std::fmt;
use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;

use super::module_name::ModuleName;

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

/// The modules that the processes with one key share.
#[derive(Clone)]
pub struct SharedModules {
    /// The key of the caches.
    pub key: CacheKey,
    /// The other processes.
    pub peers: Arc<dyn ModulePeers>,
}

impl fmt::Debug for SharedModules {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SharedModules")
    }
}

/// Other processes that may have a compiled module.
pub trait ModulePeers: Send + Sync {
    /// Says that the cache lacks a module. Until the result is dropped, this process is about to have it; then it has
    /// it, or could not be given it.
    fn missing(&self, name: &ModuleName) -> Box<dyn MissingModule>;
}

/// A module that a process is about to have.
pub trait MissingModule: Send + Sync {
    /// Asks the others. Returns the whole file of one of their caches, or bytes that do not verify, which are
    /// thrown away; `None` when no process has the module. It is compiled then.
    fn fetch(&self) -> Pin<Box<dyn Future<Output = Option<Vec<u8>>> + Send + '_>>;
}
