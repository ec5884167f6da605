//! Polls one pod of a pool for its report, while the pod exists.
//!
//! A long poll: the pod answers when something has changed. A tenant can run a pod that counts as one
//! of a pool. So the number of polls is bounded in time. A pod that does not answer is asked less
//! often.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use sampan_crd::METRICS_PORT;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::pool_fetch::{BodyBudget, Query, fetch, most_bytes};
use crate::pool_reports::PodKey;
use crate::pools::Pools;
use crate::touched::Touched;

/// The KiB of all bodies that are read at the same time.
const BODY_BUDGET: u32 = 48 << 10;

/// Functions in a pod's reports beyond those that the namespace has: deleted ones, or new ones that
/// the cache does not have yet.
const SPARE_FUNCTIONS: usize = 1_024;

/// The shortest time between two polls of a pod.
const PAUSE: Duration = Duration::from_millis(100);

/// Polls of a pod that may follow each other at once, and the time after which there is one more.
const BURST: u32 = 5;
const INTERVAL: Duration = Duration::from_secs(1);

/// The longest time between two polls of a pod that does not answer.
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// What the pollers of all pods share.
#[derive(Clone)]
pub(crate) struct Polling {
    pools: Arc<Pools>,
    touched: Touched,
    bodies: Arc<BodyBudget>,
}

impl Polling {
    pub(crate) fn new(pools: Arc<Pools>, touched: Touched) -> Self {
        Self {
            pools,
            touched,
            bodies: Arc::new(BodyBudget::new(BODY_BUDGET)),
        }
    }

    /// Polls a pod until the task is ended. A pod that gets ready is polled at once.
    pub(crate) async fn poll(self, pod: PodKey, address: IpAddr, ready: Arc<Notify>) {
        let address = SocketAddr::new(address, METRICS_PORT);
        let Pools { ports, reports, .. } = &*self.pools;
        let mut failures = 0_u32;
        let mut pace = Pace::new(Instant::now());
        loop {
            let cursor = reports.cursor(&pod);
            let functions = ports.count(&pod.namespace);
            let query = cursor.as_ref().map_or(Query::All, Query::Changes);
            let answer = fetch(address, query, most_bytes(functions), &self.bodies).await;
            let changed = match answer {
                Ok(report) => {
                    failures = 0;
                    reports.record(&pod, report, functions.saturating_add(SPARE_FUNCTIONS))
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    let source = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::debug!(namespace = pod.namespace, %address, %error, source, "a pod of the pool did not report");
                    reports.fail(&pod)
                }
            };
            // Only functions of the namespace, whatever the pod says.
            let names = changed.iter();
            let names = names.filter_map(|uid| ports.name(&pod.namespace, uid));
            let names: Vec<String> = names.collect();
            self.touched.functions(&pod.namespace, names).await;
            let wait = pause(failures).max(pace.wait(Instant::now()));
            tokio::select! {
                () = sleep(wait) => {}
                () = ready.notified() => failures = 0,
            }
        }
    }
}

fn pause(failures: u32) -> Duration {
    (PAUSE * (1 << failures.min(8))).min(LONGEST_BACKOFF)
}

/// Bounds the number of polls of one pod: some at once, and one in each [`INTERVAL`] after these.
struct Pace {
    left: u32,
    counted: Instant,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self {
            left: BURST,
            counted: now,
        }
    }

    /// Counts a poll. Returns the wait before the next one.
    fn wait(&mut self, now: Instant) -> Duration {
        while self.left < BURST && now.saturating_duration_since(self.counted) >= INTERVAL {
            self.left += 1;
            self.counted += INTERVAL;
        }
        if self.left == BURST {
            self.counted = now;
        }
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            return Duration::ZERO;
        }
        // The next poll takes the one that is due then.
        self.counted += INTERVAL;
        self.counted.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{BURST, INTERVAL, LONGEST_BACKOFF, PAUSE, Pace, pause};

    #[test]
    fn a_silent_pod_is_asked_less_often() {
        assert_eq!(pause(0), PAUSE);
        assert_eq!(pause(1), Duration::from_millis(200));
        assert_eq!(pause(8), LONGEST_BACKOFF);
        assert_eq!(pause(u32::MAX), LONGEST_BACKOFF);
    }

    #[test]
    fn a_pod_that_changes_all_the_time_is_asked_once_in_a_while() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        for _ in 0..BURST {
            assert_eq!(pace.wait(now), Duration::ZERO);
        }
        for _ in 0..BURST {
            assert_eq!(pace.wait(now), INTERVAL);
            now += INTERVAL;
        }
        // After a long poll, changes show at once again.
        now += INTERVAL * 20;
        for _ in 0..BURST {
            assert_eq!(pace.wait(now), Duration::ZERO);
        }
        assert_eq!(pace.wait(now), INTERVAL);
    }
}
