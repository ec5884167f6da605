//! What went wrong between the operator and the API server, and what becomes of it.
//!
//! The one place that maps the API server's answers: lasting ones become a [`Refusal`], which is told in
//! a condition; passing ones a [`Failure`], which is tried again later.

use std::time::Duration;

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};
use kube::core::Status;
use kube::{Client, Error, Resource};

use crate::refusal::Refusal;

/// A failure that is expected to pass.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A request had no success.
    #[error("failed to {verb} {what}")]
    Request {
        verb: &'static str,
        what: String,
        #[source]
        source: Box<Error>,
    },
    /// The status could not be written, and will not be until somebody does something.
    #[error("the status cannot be written: {0}")]
    Untold(String),
    /// The reconcile as a whole took too long.
    #[error("the API server did not answer within {} s", .0.as_secs())]
    Slow(Duration),
}

/// How a request can end without success.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Until somebody does something.
    Refused(Refusal),
    /// The namespace, or the resource itself, is on its way out: there is nothing left to do.
    Ending,
    /// Until later.
    Failed(Failure),
}

/// One thing that is to be done with one object.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) verb: &'static str,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) subresource: Option<&'static str>,
}

impl Request<'_> {
    /// What became of it.
    pub(crate) async fn trouble<K: Resource<DynamicType = ()>>(
        self,
        client: &Client,
        error: Error,
    ) -> Trouble {
        let what = format!("{} {}", K::kind(&()), self.name);
        let Error::Api(status) = &error else {
            return self.failed(what, error);
        };
        match status.code {
            // The answer is the same for a right that is missing and for a quota that is used up.
            403 if is_ending(status) => Trouble::Ending,
            403 => match self.lacking::<K>(client).await {
                Ok(Some(verb)) => Trouble::Refused(Refusal::Forbidden {
                    verb,
                    resource: self.resource::<K>(),
                    namespace: self.namespace.to_owned(),
                }),
                Ok(None) => Trouble::Refused(Refusal::NotAdmitted {
                    what,
                    message: status.message.clone(),
                }),
                Err(error) => self.failed(what, error),
            },
            404 => Trouble::Ending,
            400 | 413 | 422 => Trouble::Refused(Refusal::Rejected {
                what,
                message: status.message.clone(),
            }),
            500 => Trouble::Refused(Refusal::Failed {
                what,
                message: status.message.clone(),
            }),
            _ => self.failed(what, error),
        }
    }

    fn failed(self, what: String, source: Error) -> Trouble {
        Trouble::Failed(Failure::Request {
            verb: self.verb,
            what,
            source: Box::new(source),
        })
    }

    fn resource<K: Resource<DynamicType = ()>>(self) -> String {
        let plural = K::plural(&());
        let group = K::group(&());
        let dot = if group.is_empty() { "" } else { "." };
        let subresource = self
            .subresource
            .map(|name| format!("/{name}"))
            .unwrap_or_default();
        format!("{plural}{dot}{group}{subresource}")
    }

    /// The right that the operator lacks for this. An apply needs two when nothing is there yet.
    async fn lacking<K: Resource<DynamicType = ()>>(
        self,
        client: &Client,
    ) -> Result<Option<&'static str>, Error> {
        let verbs: &[&str] = match (self.verb, self.subresource) {
            ("patch", None) => &["patch", "create"],
            (verb, _) => &[verb],
        };
        for verb in verbs {
            if !(Self { verb, ..self }).may::<K>(client).await? {
                return Ok(Some(verb));
            }
        }
        Ok(None)
    }

    /// Whether the operator has the right to do this.
    async fn may<K: Resource<DynamicType = ()>>(self, client: &Client) -> Result<bool, Error> {
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    namespace: Some(self.namespace.to_owned()),
                    verb: Some(self.verb.to_owned()),
                    group: Some(K::group(&()).into_owned()),
                    resource: Some(K::plural(&()).into_owned()),
                    subresource: self.subresource.map(str::to_owned),
                    name: Some(self.name.to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
        let answer = reviews.create(&PostParams::default(), &review).await?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}

/// Whether the namespace is being deleted.
fn is_ending(status: &Status) -> bool {
    let causes = status
        .details
        .as_ref()
        .map(|details| details.causes.as_slice());
    causes
        .unwrap_or_default()
        .iter()
        .any(|cause| cause.reason == "NamespaceTerminating")
}

/// How long to wait after so many failures in a row: longer each time, and never quite the same, so
/// that thousands of functions do not come back at once.
pub(crate) fn backoff(failures: u32) -> Duration {
    const FIRST: u64 = 500;
    const LONGEST: u64 = 60_000;
    let most = (FIRST << failures.saturating_sub(1).min(16)).min(LONGEST);
    // Between a half and the whole of it.
    Duration::from_millis(most / 2 + sampan_telemetry::random() % (most / 2 + 1))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::backoff;

    #[test]
    fn waits_grow_and_differ() {
        fn check(failures: u32, least: u64, most: u64) {
            let waits: Vec<Duration> = (0..64).map(|_| backoff(failures)).collect();
            let range = Duration::from_millis(least)..=Duration::from_millis(most);
            assert!(
                waits.iter().all(|wait| range.contains(wait)),
                "{failures}: {waits:?}"
            );
            assert!(
                waits.iter().any(|wait| *wait != waits[0]),
                "{failures}: {waits:?}"
            );
        }
        check(0, 250, 500);
        check(1, 250, 500);
        check(4, 2_000, 4_000);
        check(20, 30_000, 60_000);
        check(u32::MAX, 30_000, 60_000);
    }
}
