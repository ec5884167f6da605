//! Applies and deletes objects that no watch follows: each is read before.

use std::fmt::Debug;

use kube::Resource;
use kube::core::NamespaceResourceScope;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::apply::{Applied, Applier};
use crate::failure::Failure;

/// Applies an object.
pub(crate) async fn ensure<K>(
    applier: &Applier<'_>,
    desired: &K,
    applied: &mut Applied,
) -> Result<(), Failure>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + DeserializeOwned
        + Serialize,
{
    let outcome = match applier.read::<K>().await {
        Ok(there) => applier.apply_object(desired, there.as_ref()).await,
        Err(error) => Err(error),
    };
    applied.record(outcome).map(drop)
}

/// Deletes an object.
pub(crate) async fn discard<K>(applier: &Applier<'_>, applied: &mut Applied) -> Result<(), Failure>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + DeserializeOwned
        + Serialize,
{
    let outcome = match applier.read::<K>().await {
        Ok(there) => applier.remove(there.as_ref()).await,
        Err(error) => Err(error),
    };
    applied.record(outcome).map(drop)
}
