//! Compiled modules that processes with one key get from each other.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::cache_key::CacheKey;
use super::module_name::ModuleName;

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
    /// Announces a module that the cache lacks. This process gets it until the result is dropped, and others may wait
    /// for it meanwhile.
    fn missing(&self, name: &ModuleName) -> Box<dyn MissingModule>;
}

/// A module that a process is getting.
pub trait MissingModule: Send + Sync {
    /// Asks the others. Returns the whole file of one of their caches, which the engine verifies; `None` when none of
    /// them gives it.
    fn fetch(&self) -> Pin<Box<dyn Future<Output = Option<Vec<u8>>> + Send + '_>>;

    /// Announces that this process compiles it now, and waits for no other.
    fn set_compiling(&self);
}
