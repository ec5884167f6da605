//! Applies the autoscaler of a Deployment, and the disruption budget of a pool.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use crate::apply::{Applied, Applier};
use crate::failure::Failure;
use crate::optional_caches::OptionalCaches;
use crate::unwatched::{discard, ensure};

/// Removes the autoscaler. It must be gone before a fixed number of pods is written.
pub(crate) async fn remove_autoscaler(
    applier: &Applier<'_>,
    optional: &OptionalCaches,
    applied: &mut Applied,
) -> Result<(), Failure> {
    let there = optional.autoscaler(&applier.identity.namespace, &applier.identity.name);
    let outcome = applier.remove(there.as_ref()).await;
    applied.record(outcome).map(drop)
}

/// Applies the autoscaler, or removes it.
pub(crate) async fn apply_autoscaler(
    applier: &Applier<'_>,
    optional: &OptionalCaches,
    autoscaler: Option<&HorizontalPodAutoscaler>,
    applied: &mut Applied,
) -> Result<(), Failure> {
    let namespace = &applier.identity.namespace;
    match (autoscaler, optional.no_autoscalers(namespace)) {
        (None, _) => remove_autoscaler(applier, optional, applied).await,
        (Some(_), Some(refusal)) => {
            applied.refusal.get_or_insert(refusal);
            Ok(())
        }
        (Some(autoscaler), None) => {
            let there = optional.autoscaler(namespace, &applier.identity.name);
            let outcome = applier.apply_object(autoscaler, there.as_ref()).await;
            applied.record(outcome).map(drop)
        }
    }
}

/// Applies the disruption budget of a pool, or removes it.
pub(crate) async fn apply_budget(
    applier: &Applier<'_>,
    budget: Option<&PodDisruptionBudget>,
    applied: &mut Applied,
) -> Result<(), Failure> {
    match budget {
        Some(budget) => ensure(applier, budget, applied).await,
        None => discard::<PodDisruptionBudget>(applier, applied).await,
    }
}
