//! Leases of images on the pod's disk: an image with a lease is not removed.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use sampan_artifact::Digest;

/// The leased images, by the names of their files. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leases(Arc<Mutex<HashMap<String, Weak<Digest>>>>);

/// Keeps an image on the disk until it and its clones are dropped. The image may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lease(Arc<Digest>);

impl Lease {
    /// The digest of the image.
    pub(crate) fn digest(&self) -> &Digest {
        &self.0
    }

    /// The name of the image's file.
    pub(crate) fn file_name(&self) -> String {
        file_name(&self.0)
    }
}

impl Leases {
    /// Leases an image.
    pub(crate) fn lease(&self, image: Digest) -> Lease {
        let mut leases = self.lock();
        let name = file_name(&image);
        if let Some(lease) = leases.get(&name).and_then(Weak::upgrade) {
            return Lease(lease);
        }
        let lease = Arc::new(image);
        leases.insert(name, Arc::downgrade(&lease));
        Lease(lease)
    }

    /// Whether an image has a lease.
    pub(crate) fn has(&self, image: &Digest) -> bool {
        let leases = self.lock();
        leases.get(&file_name(image)).is_some_and(is_held)
    }

    /// Removes the file of an image that has no lease. None begins meanwhile. Returns whether it was
    /// removed.
    pub(crate) fn remove_unleased(
        &self,
        name: &str,
        remove: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<bool> {
        let mut leases = self.lock();
        if leases.get(name).is_some_and(is_held) {
            return Ok(false);
        }
        leases.remove(name);
        remove().map(|()| true)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Weak<Digest>>> {
        // No code panics between lock and unlock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_held(lease: &Weak<Digest>) -> bool {
    lease.strong_count() > 0
}

/// A name for a file. A digest has only letters, digits and a colon.
pub(crate) fn file_name(digest: &Digest) -> String {
    digest.as_str().replace(':', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_removed_only_without_a_lease() {
        let (leases, image) = (Leases::default(), Digest::of(b"a"));
        let removes = || {
            let mut removed = false;
            let name = file_name(&image);
            let result = leases.remove_unleased(&name, || {
                removed = true;
                Ok(())
            });
            assert_eq!(result.expect("it succeeds"), removed);
            removed
        };
        assert!(removes());
        let first = leases.lease(image.clone());
        let second = leases.lease(image.clone());
        assert!(leases.has(&image) && !leases.has(&Digest::of(b"b")));
        drop(first);
        assert!(!removes());
        drop(second);
        assert!(removes());
        assert!(!leases.has(&image));
    }
}
