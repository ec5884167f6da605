//! Errors of requests to the API server, and their classification.
//!
//! This is the only place that maps the API server's responses. A lasting one becomes a
//! [`Refusal`], which a condition reports. A transient one becomes a [`Failure`], which is retried.

use std::time::Duration;

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};
use kube::core::Status;
use kube::{Client, Error, Resource};

use crate::refusal::Refusal;

/// A transient failure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A request failed.
    #[error("failed to {verb} {what}")]
    Request {
        verb: &'static str,
        what: String,
        #[source]
        source: Box<Error>,
    },
    /// The status cannot be written without an intervention.
    #[error("the status cannot be written: {0}")]
    StatusNotWritten(String),
    /// The resource's status is of a later version. It may have the function's place, so nothing is
    /// changed.
    #[error("the status cannot be parsed: {0}")]
    StatusNotParsed(String),
    /// No key can be made.
    #[error("the system has no random numbers")]
    Random {
        #[source]
        source: getrandom::Error,
    },
    /// The reconcile as a whole took too long.
    #[error("the API server did not answer within {} s", .0.as_secs())]
    Timeout(Duration),
}

/// Classes of failed requests.
#[derive(Debug)]
pub(crate) enum ReconcileError {
    /// It lasts until an intervention.
    Refused(Refusal),
    /// The namespace, or the resource itself, is being deleted: nothing is left to do.
    Ending,
    /// It is transient.
    Failed(Failure),
}

/// A request for one object.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) verb: &'static str,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) subresource: Option<&'static str>,
}

impl Request<'_> {
    /// Classifies the error of this request.
    pub(crate) async fn classify<K: Resource<DynamicType = ()>>(
        self,
        client: &Client,
        error: Error,
    ) -> ReconcileError {
        let what = format!("{} {}", K::kind(&()), self.name);
        let Error::Api(status) = &error else {
            return self.failed(what, error);
        };
        match status.code {
            // The response is the same for a missing permission and for an exhausted quota.
            403 if is_ending(status) => ReconcileError::Ending,
            403 => match self.missing_permission::<K>(client).await {
                Ok(Some(verb)) => ReconcileError::Refused(Refusal::Forbidden {
                    verb,
                    resource: self.resource::<K>(),
                    namespace: self.namespace.to_owned(),
                }),
                Ok(None) => ReconcileError::Refused(Refusal::NotAdmitted {
                    what,
                    message: status.message.clone(),
                }),
                Err(error) => self.failed(what, error),
            },
            404 => ReconcileError::Ending,
            400 | 413 | 422 => ReconcileError::Refused(Refusal::Rejected {
                what,
                message: status.message.clone(),
            }),
            500 => ReconcileError::Refused(Refusal::Failed {
                what,
                message: status.message.clone(),
            }),
            _ => self.failed(what, error),
        }
    }

    fn failed(self, what: String, source: Error) -> ReconcileError {
        ReconcileError::Failed(Failure::Request {
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

    /// The permission that the operator lacks for this. An apply needs two when no object exists
    /// yet.
    async fn missing_permission<K: Resource<DynamicType = ()>>(
        self,
        client: &Client,
    ) -> Result<Option<&'static str>, Error> {
        let verbs: &[&str] = match (self.verb, self.subresource) {
            ("patch", None) => &["patch", "create"],
            (verb, _) => &[verb],
        };
        for verb in verbs {
            if !(Self { verb, ..self }).is_allowed::<K>(client).await? {
                return Ok(Some(verb));
            }
        }
        Ok(None)
    }

    /// Whether the operator has the permission for this.
    async fn is_allowed<K: Resource<DynamicType = ()>>(
        self,
        client: &Client,
    ) -> Result<bool, Error> {
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

/// The wait after a number of consecutive failures. It grows, and is randomised, so that thousands
/// of functions do not retry at once.
pub(crate) fn backoff(failures: u32) -> Duration {
    const FIRST_MS: u64 = 500;
    const LONGEST_MS: u64 = 60_000;
    let most = (FIRST_MS << failures.saturating_sub(1).min(16)).min(LONGEST_MS);
    // Between a half and the whole of it.
    Duration::from_millis(fastrand::u64(most / 2..=most))
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
