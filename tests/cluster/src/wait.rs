//! Waiting for what nothing tells of.

use std::time::{Duration, Instant};

use crate::{PATIENCE, Pending};

/// Between two looks.
const GLANCE: Duration = Duration::from_millis(20);

/// Waits until something is so.
pub fn until<'a>(what: &'a str, mut is_so: impl FnMut() -> bool + Send + 'a) -> Pending<'a, ()> {
    Box::pin(async move {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < PATIENCE, "still not: {what}");
            tokio::time::sleep(GLANCE).await;
        }
    })
}
