//! Applies and deletes objects that no watch follows: each is read before.

use crate::apply::{Applied, Applier, Managed};
use crate::failure::Failure;

/// Applies an object.
pub(crate) async fn ensure<K: Managed>(
    applier: &Applier<'_>,
    desired: &K,
    applied: &mut Applied,
) -> Result<(), Failure> {
    let outcome = match applier.read::<K>().await {
        Ok(there) => applier.apply_object(desired, there.as_ref()).await,
        Err(error) => Err(error),
    };
    applied.record(outcome).map(drop)
}

/// Deletes an object.
pub(crate) async fn discard<K: Managed>(
    applier: &Applier<'_>,
    applied: &mut Applied,
) -> Result<(), Failure> {
    let outcome = match applier.read::<K>().await {
        Ok(there) => applier.remove(there.as_ref()).await,
        Err(error) => Err(error),
    };
    applied.record(outcome).map(drop)
}
