//! Only one of several operators works: the one that holds the Lease.
//!
//! Each change of the Lease names the version it was made from, so that of two who try only one succeeds.
//! Whoever loses the Lease has to stop at once, before the next one may begin.

use std::time::Instant;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, Error};
use tokio::time::{sleep, timeout};

use crate::lease::{Sight, Terms, held, released};

/// A place in the queue for the Lease.
pub(crate) struct Election {
    leases: Api<Lease>,
    name: String,
    me: String,
    terms: Terms,
}

/// Why an operator that was working has to stop.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// Another one holds the Lease.
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

    /// Waits until the Lease is held. Failures are tried again.
    pub(crate) async fn win(&self) {
        let mut sight = None;
        loop {
            match timeout(self.terms.deadline, self.attempt(&mut sight)).await {
                Ok(Ok(true)) => return,
                Ok(Ok(false)) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, lease = self.name, "the Lease cannot be had");
                }
                Err(_elapsed) => {
                    tracing::warn!(lease = self.name, "the API server does not answer");
                }
            }
            sleep(self.terms.retry).await;
        }
    }

    /// Takes the Lease when it is free; whether it is held now.
    async fn attempt(&self, sight: &mut Option<Sight>) -> Result<bool, Error> {
        let Some(lease) = self.leases.get_opt(&self.name).await? else {
            let spec = held(None, &self.me, self.terms, Timestamp::now());
            return succeeded(
                self.leases
                    .create(&PostParams::default(), &self.lease(spec))
                    .await,
            );
        };
        let now = Instant::now();
        let before = sight.take();
        let seen = sight.insert(Sight::take(before, &lease, now));
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
                    tracing::warn!(%error, lease = self.name, "the Lease is not renewed yet");
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
        if !Sight::take(None, &lease, Instant::now()).is_held_by(&self.me) {
            return Ok(false);
        }
        let spec = held(Some(&lease), &self.me, self.terms, Timestamp::now());
        self.replace(lease, spec).await
    }

    /// Lets go of the Lease, so that the next one need not wait for its end.
    pub(crate) async fn release(&self) -> Result<(), Error> {
        let Some(lease) = self.leases.get_opt(&self.name).await? else {
            return Ok(());
        };
        if Sight::take(None, &lease, Instant::now()).is_held_by(&self.me) {
            let spec = released(&lease, Timestamp::now());
            self.replace(lease, spec).await?;
        }
        Ok(())
    }

    /// Changes the Lease unless somebody else did meanwhile.
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

/// A conflict means that somebody else was faster.
fn succeeded<T>(answer: Result<T, Error>) -> Result<bool, Error> {
    match answer {
        Ok(_) => Ok(true),
        Err(Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}
