//! Doing something again when what was in its way may go away: too many requests, a failing server, a
//! connection that broke, a peer that is slow.
//!
//! Bounded in number and time. Refuses to repeat what would fail again.

use std::time::Duration;

use http::StatusCode;
use http::header::RETRY_AFTER;
use reqwest::Response;
use tokio::time::{sleep, timeout};

use super::{Patience, Registry};
use crate::error::Error;

/// How an attempt failed.
#[derive(Debug)]
pub(crate) struct Failure {
    error: Error,
    again: Again,
}

/// Whether another attempt may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    Never,
    /// After the usual time, or after one that the registry asks for.
    Later(Option<Duration>),
}

impl Failure {
    /// May go away by itself.
    pub(crate) fn passing(error: Error) -> Self {
        Self {
            error,
            again: Again::Later(None),
        }
    }

    /// What a response says about another attempt.
    pub(super) fn answered(error: Error, response: &Response) -> Self {
        let passing = matches!(
            response.status(),
            StatusCode::REQUEST_TIMEOUT
                | StatusCode::TOO_MANY_REQUESTS
                | StatusCode::INTERNAL_SERVER_ERROR
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        );
        let again = if passing {
            Again::Later(retry_after(response))
        } else {
            Again::Never
        };
        Self { error, again }
    }

    /// What the registry says about its failure.
    pub(super) fn tell(&mut self, text: String) {
        if let Error::Status { message, .. } = &mut self.error {
            *message = text;
        }
    }
}

impl From<Error> for Failure {
    /// What is not known to go away stays.
    fn from(error: Error) -> Self {
        Self {
            error,
            again: Again::Never,
        }
    }
}

/// The seconds of `Retry-After`. The form with a date, which no registry uses, counts as none.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

impl Registry {
    /// Attempts something that moves so many bytes, again and again as far as patience goes. `address` is what is
    /// shown when time runs out.
    pub(crate) async fn patiently<T>(
        &self,
        address: String,
        bytes: u64,
        mut attempt: impl AsyncFnMut() -> Result<T, Failure>,
    ) -> Result<T, Error> {
        let limit = self.patience.limit(bytes);
        let mut count = 1;
        loop {
            let outcome = match timeout(limit, attempt()).await {
                Ok(outcome) => outcome,
                Err(_) => Err(Failure::passing(Error::Slow {
                    address: address.clone(),
                    attempts: count,
                    limit,
                })),
            };
            let failure = match outcome {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            match self.patience.wait(count, failure.again) {
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

impl Patience {
    /// How long to wait after `count` attempts; none to give up.
    fn wait(&self, count: u32, again: Again) -> Option<Duration> {
        let Again::Later(asked) = again else {
            return None;
        };
        if count >= self.attempts {
            return None;
        }
        let usual = self.first_wait.saturating_mul(1 << (count - 1).min(16));
        match asked {
            // Coming back earlier than asked would only be refused again.
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
        let patience = Patience::default();
        let check = |count, again, expected: Option<u64>| {
            let wait = patience.wait(count, again);
            assert_eq!(
                wait,
                expected.map(Duration::from_millis),
                "{count} {again:?}"
            );
        };
        let asked = |seconds| Again::Later(Some(Duration::from_secs(seconds)));
        check(1, Again::Later(None), Some(500));
        check(2, Again::Later(None), Some(1000));
        check(3, Again::Later(None), Some(2000));
        check(4, Again::Later(None), None);
        check(1, Again::Never, None);
        check(1, asked(7), Some(7000));
        check(1, asked(0), Some(500));
        check(1, asked(30), Some(30_000));
        check(1, asked(31), None);
    }

    #[test]
    fn content_has_more_time_the_more_it_is() {
        let patience = Patience::default();
        assert_eq!(patience.limit(0), Duration::from_mins(1));
        assert_eq!(patience.limit(32 << 20), Duration::from_secs(60 + 1024));
    }
}
