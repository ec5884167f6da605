//! Measures functions with the placement `Auto` while pods of their own serve them.
//!
//! One read of the metrics API for each namespace that has such functions, and none without.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::Client;
use sampan_crd::Placement;

use crate::auto::Measure;
use crate::auto_functions::{AutoFunctions, UnknownLoad};
use crate::auto_polls::poll_namespaces;
use crate::build::Identity;
use crate::caches::Caches;
use crate::pod_metrics::{PodUse, read, sum};
use crate::pod_state::is_ready;
use crate::touched::Touched;

/// The time between two reads. metrics-server measures as often by default.
const INTERVAL: Duration = Duration::from_secs(15);

/// Consecutive failures after which the load counts as unknown.
const MAX_FAILURES: u32 = 3;

/// Consecutive reads without the use of a ready pod after which a function's load counts as unknown:
/// three minutes. metrics-server has a new pod after two of its own intervals, a minute each at most.
const MAX_UNMEASURED: u32 = 12;

/// Namespaces that are read at the same time.
const CONCURRENCY: usize = 16;

/// Measures functions in pods of their own.
pub(crate) struct PodLoad {
    pub(crate) client: Client,
    pub(crate) caches: Arc<Caches>,
    pub(crate) auto: Arc<AutoFunctions>,
    pub(crate) touched: Touched,
}

/// What is remembered of a namespace.
#[derive(Default)]
struct Reads {
    failures: u32,
    /// The last use of each function, by UID, and when it was read.
    last: HashMap<String, (Timestamp, Duration)>,
    /// The consecutive reads without the use of all ready pods of a function, by UID.
    unmeasured: HashMap<String, u32>,
}

impl Reads {
    /// Why the load of a function is unknown although the API answers.
    fn cause(&self, uid: &str) -> Option<UnknownLoad> {
        let unmeasured = self.unmeasured.get(uid).copied().unwrap_or(0);
        (unmeasured >= MAX_UNMEASURED).then_some(UnknownLoad::Unmeasured)
    }

    /// Records a read of a function's use at `now`. Returns a new measure.
    fn record(&mut self, uid: &str, read: FunctionUse, now: Duration) -> Option<Measure> {
        match read {
            FunctionUse::NoPods => {
                self.unmeasured.remove(uid);
                None
            }
            FunctionUse::Unmeasured => {
                let unmeasured = self.unmeasured.entry(uid.to_owned()).or_default();
                *unmeasured = unmeasured.saturating_add(1);
                None
            }
            FunctionUse::Measured(used) => {
                self.unmeasured.remove(uid);
                let (last, measure) = measure(used, self.last.get(uid).copied(), now);
                self.last.insert(uid.to_owned(), last);
                measure
            }
        }
    }

    /// Forgets all functions but these.
    fn retain(&mut self, there: &HashSet<String>) {
        self.last.retain(|uid, _| there.contains(uid));
        self.unmeasured.retain(|uid, _| there.contains(uid));
    }
}

/// What a read has of a function.
#[derive(Clone, Copy, Debug)]
enum FunctionUse {
    /// No pod is ready, so there is no load.
    NoPods,
    /// A ready pod is not in the answer.
    Unmeasured,
    /// The use of all ready pods.
    Measured(PodUse),
}

impl PodLoad {
    /// Measures until the task is ended.
    pub(crate) async fn run(self) {
        let polls = (INTERVAL, CONCURRENCY);
        poll_namespaces(&self.auto, Placement::Pod, polls, |namespace, reads| {
            self.poll(namespace, reads)
        })
        .await;
    }

    async fn poll(&self, namespace: String, mut reads: Reads) -> (String, Reads) {
        let changed = match read(&self.client, &namespace).await {
            Ok(pods) => {
                reads.failures = 0;
                let measures = self.measures(&namespace, &pods, &mut reads);
                let decided = self.auto.add(&namespace, Placement::Pod, &measures);
                self.touched.functions(&namespace, decided).await;
                Some(self.auto.set_unknown(&namespace, |uid| reads.cause(uid)))
            }
            Err(error) => {
                reads.failures = reads.failures.saturating_add(1);
                let source = std::error::Error::source(&error).map(ToString::to_string);
                tracing::debug!(namespace, %error, source, "the use of pods could not be read");
                let lasts = reads.failures >= MAX_FAILURES;
                let cause = error.unknown_load();
                lasts.then(|| self.auto.set_unknown(&namespace, |_| Some(cause)))
            }
        };
        if let Some(changed) = changed {
            self.touched.functions(&namespace, changed).await;
        }
        (namespace, reads)
    }

    fn measures(
        &self,
        namespace: &str,
        pods: &HashMap<String, PodUse>,
        reads: &mut Reads,
    ) -> HashMap<String, Measure> {
        let now = self.auto.now();
        let mut measures = HashMap::new();
        let mut there = HashSet::new();
        for (uid, name) in self.auto.at(namespace, Placement::Pod) {
            let identity = Identity {
                namespace: namespace.to_owned(),
                name,
                uid,
            };
            let own = self.caches.observe(&identity).pods;
            let ready = own.iter().filter(|pod| is_ready(pod));
            let names = ready.filter_map(|pod| pod.metadata.name.as_deref());
            let names: Vec<&str> = names.collect();
            let read = match sum(names.iter().copied(), pods) {
                Some(used) => FunctionUse::Measured(used),
                None if names.is_empty() => FunctionUse::NoPods,
                None => FunctionUse::Unmeasured,
            };
            if let Some(measure) = reads.record(&identity.uid, read, now) {
                measures.insert(identity.uid.clone(), measure);
            }
            there.insert(identity.uid);
        }
        reads.retain(&there);
        measures
    }
}

/// Makes a measure of what was read at `now`, unless it was read before. The API measures over some
/// seconds before its time, so the measure covers the time since the last one, up to twice the interval.
fn measure(
    used: PodUse,
    before: Option<(Timestamp, Duration)>,
    now: Duration,
) -> ((Timestamp, Duration), Option<Measure>) {
    if let Some(before) = before.filter(|(at, _)| *at == used.at) {
        return (before, None);
    }
    let from = match before {
        Some((_, read)) => read.max(now.saturating_sub(2 * INTERVAL)),
        None => now.saturating_sub(INTERVAL),
    };
    let measure = Measure {
        from,
        to: now,
        processors: used.processors,
    };
    ((used.at, now), Some(measure))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use k8s_openapi::jiff::Timestamp;

    use super::{FunctionUse, MAX_UNMEASURED, PodUse, Reads, measure};
    use crate::auto_functions::UnknownLoad;

    #[test]
    fn a_pod_that_is_never_measured_makes_the_load_unknown() {
        let used = FunctionUse::Measured(PodUse {
            at: Timestamp::UNIX_EPOCH,
            processors: 0.5,
        });
        for end in [used, FunctionUse::NoPods] {
            let mut reads = Reads::default();
            for read in 1..=MAX_UNMEASURED {
                assert_eq!(reads.cause("u"), None, "{read}");
                let measure = reads.record("u", FunctionUse::Unmeasured, Duration::ZERO);
                assert_eq!(measure, None);
            }
            assert_eq!(reads.cause("u"), Some(UnknownLoad::Unmeasured));
            assert_eq!(reads.cause("other"), None);
            reads.record("u", end, Duration::from_mins(1));
            assert_eq!(reads.cause("u"), None, "{end:?}");
        }
    }

    #[test]
    fn a_function_that_is_gone_is_forgotten() {
        let mut reads = Reads::default();
        for _ in 0..MAX_UNMEASURED {
            reads.record("u", FunctionUse::Unmeasured, Duration::ZERO);
        }
        reads.retain(&HashSet::new());
        assert_eq!(reads.cause("u"), None);
    }

    #[test]
    fn a_use_is_measured_once_and_for_the_time_since_the_last_one() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let check = |before: Option<(i64, u64)>, second, now, expected: Option<(u64, u64)>| {
            let used = PodUse {
                at: at(second),
                processors: 0.5,
            };
            let before = before.map(|(second, read)| (at(second), Duration::from_secs(read)));
            let (last, measure) = measure(used, before, Duration::from_secs(now));
            let interval = measure.map(|it| (it.from.as_secs(), it.to.as_secs()));
            assert_eq!(interval, expected, "{before:?} {second} {now}");
            assert_eq!(last.0, at(second));
        };
        check(None, 100, 50, Some((35, 50)));
        check(None, 100, 5, Some((0, 5)));
        check(Some((100, 50)), 100, 65, None);
        check(Some((100, 50)), 115, 65, Some((50, 65)));
        check(Some((100, 50)), 130, 80, Some((50, 80)));
        check(Some((100, 50)), 190, 140, Some((110, 140)));
        // A clock that was set back.
        check(Some((100, 50)), 90, 65, Some((50, 65)));
    }
}
