//! Waits for conditions that have no notification.

use std::time::{Duration, Instant};

use crate::{Pending, TEST_TIMEOUT};

/// The delay between two checks.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Waits until the condition holds.
pub fn until<'a>(what: &'a str, mut is_so: impl FnMut() -> bool + Send + 'a) -> Pending<'a, ()> {
    Box::pin(async move {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < TEST_TIMEOUT, "still not: {what}");
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    })
}
