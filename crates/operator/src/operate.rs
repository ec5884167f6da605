//! Runs the controller while this operator leads.

use std::future::Future;

use kube::Client;
use sampan_telemetry::Health;

use crate::controller;
use crate::counting_client::counting_client;
use crate::election::{Election, Lost};
use crate::metrics::Metrics;
use crate::options::Plan;

/// Works until `stop` is ready.
///
/// # Errors
///
/// [`Lost`] when the Lease was lost. Another operator may already be working, so the process must
/// end.
pub async fn operate(
    client: Client,
    plan: Plan,
    metrics: Metrics,
    health: Health,
    stop: impl Future<Output = ()>,
) -> Result<(), Lost> {
    let client = counting_client(client, metrics.clone());
    let mut stop = std::pin::pin!(stop);
    let Some(lease) = &plan.lease else {
        health.set_ready();
        metrics.set_leader(true);
        controller::run(client, &plan, metrics, stop).await;
        return Ok(());
    };
    let me = plan.identity.clone();
    let election = Election::new(
        client.clone(),
        &lease.namespace,
        &lease.name,
        me,
        lease.terms,
    );
    // Standing by counts as ready: it is the purpose of a second replica.
    health.set_ready();
    tracing::info!(lease = lease.name, identity = plan.identity, "standing by");
    tokio::select! {
        () = election.acquire() => {}
        () = &mut stop => return Ok(()),
    }
    tracing::info!(lease = lease.name, identity = plan.identity, "working");
    metrics.set_leader(true);
    let result = tokio::select! {
        biased;
        lost = election.hold() => Err(lost),
        () = controller::run(client, &plan, metrics.clone(), stop) => Ok(()),
    };
    metrics.set_leader(false);
    if result.is_ok()
        && let Err(error) = election.release().await
    {
        tracing::warn!(%error, "the Lease is not released: the next operator waits for its end");
    }
    result
}
