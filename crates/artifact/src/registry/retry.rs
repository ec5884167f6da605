//! Retries requests after transient failures: rate limits, server errors, broken or slow
//! connections.
//!
//! The number of attempts and the time are limited. Permanent failures are not retried.

use std::future::Future;
use std::time::Duration;

use http::StatusCode;
use http::header::RETRY_AFTER;
use reqwest::Response;
use tokio::time::{sleep, timeout};

use super::{Registry, RetryPolicy};
use crate::error::Error;

/// The failure of an attempt.
#[derive(Debug)]
pub(crate) struct Failure {
    error: Error,
    retry: Retry,
}

/// Whether another attempt may succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retry {
    Never,
    /// After the usual wait, or after the registry's.
    Later(Option<Duration>),
}

impl Failure {
    /// Makes a transient failure.
    pub(crate) fn transient(error: Error) -> Self {
        Self {
            error,
            retry: Retry::Later(None),
        }
    }

    /// Makes the failure of a response. Its status decides whether it is transient.
    pub(super) fn from_response(error: Error, response: &Response) -> Self {
        let transient = matches!(
            response.status(),
            StatusCode::REQUEST_TIMEOUT
                | StatusCode::TOO_MANY_REQUESTS
                | StatusCode::INTERNAL_SERVER_ERROR
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        );
        let retry = if transient {
            Retry::Later(retry_after(response))
        } else {
            Retry::Never
        };
        Self { error, retry }
    }

    /// Sets the registry's message.
    pub(super) fn set_message(&mut self, text: String) {
        if let Error::Status { message, .. } = &mut self.error {
            *message = text;
        }
    }
}

impl From<Error> for Failure {
    /// Unclassified errors are permanent.
    fn from(error: Error) -> Self {
        Self {
            error,
            retry: Retry::Never,
        }
    }
}

/// The seconds of `Retry-After`. The form with a date, which no registry uses, counts as none.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

impl Registry {
    /// Repeats an operation that transfers so many bytes within the policy's limits. Messages show
    /// `address` when the time is up.
    ///
    /// An asynchronous closure would not do: of its futures, the compiler cannot prove that a task may
    /// move them to another thread.
    pub(crate) async fn with_retries<T, A>(
        &self,
        address: String,
        bytes: u64,
        mut attempt: impl FnMut() -> A,
    ) -> Result<T, Error>
    where
        A: Future<Output = Result<T, Failure>>,
    {
        let limit = self.retry.limit(bytes);
        let mut count = 1;
        loop {
            let outcome = match timeout(limit, attempt()).await {
                Ok(outcome) => outcome,
                Err(_) => Err(Failure::transient(Error::Slow {
                    address: address.clone(),
                    attempts: count,
                    limit,
                })),
            };
            let failure = match outcome {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            match self.retry.wait(count, failure.retry) {
                Some(wait) => {
                    tracing::debug!(error = %failure.error, ?wait, "trying again");
                    sleep(wait).await;
                }
                None => return Err(failure.error.after(count)),
            }
            count += 1;
        }
    }
}

impl RetryPolicy {
    /// The wait after `count` attempts; `None` to give up.
    fn wait(&self, count: u32, retry: Retry) -> Option<Duration> {
        let Retry::Later(asked) = retry else {
            return None;
        };
        if count >= self.attempts {
            return None;
        }
        let usual = self.first_wait.saturating_mul(1 << (count - 1).min(16));
        match asked {
            // An earlier attempt would only be rejected again.
            Some(asked) if asked > self.longest_wait => None,
            Some(asked) => Some(asked.max(usual.min(self.longest_wait))),
            None => Some(usual.min(self.longest_wait)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_are_bounded() {
        let policy = RetryPolicy::default();
        let check = |count, retry, expected: Option<u64>| {
            let wait = policy.wait(count, retry);
            assert_eq!(
                wait,
                expected.map(Duration::from_millis),
                "{count} {retry:?}"
            );
        };
        let asked = |seconds| Retry::Later(Some(Duration::from_secs(seconds)));
        check(1, Retry::Later(None), Some(500));
        check(2, Retry::Later(None), Some(1000));
        check(3, Retry::Later(None), Some(2000));
        check(4, Retry::Later(None), None);
        check(1, Retry::Never, None);
        check(1, asked(7), Some(7000));
        check(1, asked(0), Some(500));
        check(1, asked(30), Some(30_000));
        check(1, asked(31), None);
    }

    #[test]
    fn content_has_more_time_the_more_it_is() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.limit(0), Duration::from_mins(1));
        assert_eq!(policy.limit(32 << 20), Duration::from_secs(60 + 1024));
    }
}
