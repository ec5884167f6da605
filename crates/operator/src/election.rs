//! Leader election: only the operator that holds the Lease works.
//!
//! Each change of the Lease names the version on which it is based, so that of two concurrent
//! changes only one succeeds. An operator that loses the Lease must stop at once, before the next
//! one may begin.

use std::time::Instant;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, Error};
use tokio::time::{sleep, timeout};

use crate::lease::{LeaseObservation, Terms, held, released};

/// A participant in the election.
pub(crate) struct Election {
    leases: Api<Lease>,
    name: String,
    me: String,
    terms: Terms,
}

/// Reasons why a leading operator must stop.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// Another operator holds the Lease.
    #[error("another operator has taken over the Lease")]
    Taken,
    /// The Lease could not be renewed in time.
    #[error("the Lease could not be renewed in time")]
    Late(#[source] Option<Box<Error>>),
}

impl Election {
    pub(crate) fn new(
        client: Client,
        namespace: &str,
        name: &str,
        me: String,
        terms: Terms,
    ) -> Self {
        Self {
            leases: Api::namespaced(client, namespace),
            name: name.to_owned(),
            me,
            terms,
        }
    }

    /// Waits until this operator holds the Lease. Failures are retried.
    pub(crate) async fn acquire(&self) {
        let mut observation = None;
        loop {
            match timeout(self.terms.deadline, self.attempt(&mut observation)).await {
                Ok(Ok(true)) => return,
                Ok(Ok(false)) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, lease = self.name, "taking the Lease failed; trying again");
                }
                Err(_elapsed) => {
                    tracing::warn!(lease = self.name, "the API server does not answer");
                }
            }
            sleep(self.terms.retry).await;
        }
    }

    /// Takes the Lease if it is free. Returns whether this operator holds it.
    async fn attempt(&self, observation: &mut Option<LeaseObservation>) -> Result<bool, Error> {
        let Some(lease) = self.leases.get_opt(&self.name).await? else {
            let spec = held(None, &self.me, self.terms, Timestamp::now());
            return succeeded(
                self.leases
                    .create(&PostParams::default(), &self.lease(spec))
                    .await,
            );
        };
        let now = Instant::now();
        let before = observation.take();
        let seen = observation.insert(LeaseObservation::observe(before, &lease, now));
        if !seen.is_held_by(&self.me) && !seen.is_free(now) {
            return Ok(false);
        }
        let spec = held(Some(&lease), &self.me, self.terms, Timestamp::now());
        self.replace(lease, spec).await
    }

    /// Renews the Lease until that fails for too long.
    pub(crate) async fn hold(&self) -> Lost {
        let mut renewed = Instant::now();
        let mut last = None;
        loop {
            sleep(self.terms.retry).await;
            let rest = self.terms.deadline.saturating_sub(renewed.elapsed());
            if rest.is_zero() {
                return Lost::Late(last);
            }
            match timeout(rest, self.renew()).await {
                Ok(Ok(true)) => renewed = Instant::now(),
                Ok(Ok(false)) => return Lost::Taken,
                Ok(Err(error)) => {
                    tracing::warn!(%error, lease = self.name, "renewing the Lease failed; trying again");
                    last = Some(Box::new(error));
                }
                Err(_elapsed) => return Lost::Late(last),
            }
        }
    }

    async fn renew(&self) -> Result<bool, Error> {
        let Some(lease) = self.leases.get_opt(&self.name).await? else {
            return Ok(false);
        };
        if !LeaseObservation::observe(None, &lease, Instant::now()).is_held_by(&self.me) {
            return Ok(false);
        }
        let spec = held(Some(&lease), &self.me, self.terms, Timestamp::now());
        self.replace(lease, spec).await
    }

    /// Releases the Lease, so that the next operator need not wait for its end.
    pub(crate) async fn release(&self) -> Result<(), Error> {
        let Some(lease) = self.leases.get_opt(&self.name).await? else {
            return Ok(());
        };
        if LeaseObservation::observe(None, &lease, Instant::now()).is_held_by(&self.me) {
            let spec = released(&lease, Timestamp::now());
            self.replace(lease, spec).await?;
        }
        Ok(())
    }

    /// Changes the Lease, unless another operator did so meanwhile.
    async fn replace(&self, lease: Lease, spec: LeaseSpec) -> Result<bool, Error> {
        let lease = Lease {
            spec: Some(spec),
            ..lease
        };
        succeeded(
            self.leases
                .replace(&self.name, &PostParams::default(), &lease)
                .await,
        )
    }

    fn lease(&self, spec: LeaseSpec) -> Lease {
        Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                ..ObjectMeta::default()
            },
            spec: Some(spec),
        }
    }
}

/// A conflict means that another operator was faster.
fn succeeded<T>(answer: Result<T, Error>) -> Result<bool, Error> {
    match answer {
        Ok(_) => Ok(true),
        Err(Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}
