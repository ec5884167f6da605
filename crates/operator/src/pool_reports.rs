//! The last reports of the pools' pods about their functions.
//!
//! The pollers write them, and reconciles read them. A pod that does not answer keeps its last
//! report until the pod is gone, but after [`MAX_FAILURES`] it does not count as serving.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sampan_crd::pool_report::{PoolReport, PooledFunction};

use crate::port_use::ServedPorts;

/// Consecutive polls without an answer after which a pod does not count as serving.
pub(crate) const MAX_FAILURES: u32 = 3;

/// A pod of a pool, by its namespace and UID.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PodKey {
    pub(crate) namespace: String,
    pub(crate) uid: String,
}

/// The reports of all pools.
#[derive(Default)]
pub(crate) struct PoolReports(Mutex<HashMap<PodKey, PodReport>>);

/// What one pod has reported.
#[derive(Clone, Debug, Default)]
struct PodReport {
    boot: String,
    revision: u64,
    known: bool,
    /// Whether it has seen the list of functions since its start.
    listed: bool,
    failures: u32,
    functions: HashMap<String, PooledFunction>,
}

/// Whether a pod answers polls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reach {
    /// It does.
    Answers,
    /// This operator has not asked it long enough to say.
    #[default]
    Unknown,
    /// It does not.
    Silent,
}

/// What a pod says about one function.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct FunctionReport {
    /// Whether the pod answers polls.
    pub(crate) reach: Reach,
    /// Its last report; `None` if it has none of the function.
    pub(crate) function: Option<PooledFunction>,
}

/// The place after which a pod reports what has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) boot: String,
    pub(crate) revision: u64,
}

impl PoolReports {
    /// Records a report. Returns the names of the functions for which something has changed.
    pub(crate) fn record(&self, pod: &PodKey, report: PoolReport) -> BTreeSet<String> {
        let mut pods = self.lock();
        let last = pods.entry(pod.clone()).or_default();
        let answered = last.reach() == Reach::Answers;
        let mut changed = merge(last, report);
        if !answered {
            changed.extend(names(last));
        }
        changed
    }

    /// Records that a pod did not answer. Returns the names of the functions for which that
    /// matters: those that it served, once.
    pub(crate) fn fail(&self, pod: &PodKey) -> BTreeSet<String> {
        let mut pods = self.lock();
        let last = pods.entry(pod.clone()).or_default();
        last.failures = last.failures.saturating_add(1);
        if last.failures == MAX_FAILURES {
            names(last)
        } else {
            BTreeSet::new()
        }
    }

    /// Forgets a pod that is gone.
    pub(crate) fn forget(&self, pod: &PodKey) {
        self.lock().remove(pod);
    }

    /// What a pod says about a function.
    pub(crate) fn of(&self, pod: &PodKey, function: &str) -> FunctionReport {
        let pods = self.lock();
        let last = pods.get(pod);
        FunctionReport {
            reach: last.map_or(Reach::Unknown, PodReport::reach),
            function: last.and_then(|last| last.functions.get(function).cloned()),
        }
    }

    /// The ports that pods serve, also those that do not answer any more.
    pub(crate) fn served_ports(&self, pods: impl IntoIterator<Item = PodKey>) -> ServedPorts {
        let reports = self.lock();
        let mut served = ServedPorts::default();
        for pod in pods {
            let Some(report) = reports.get(&pod).filter(|report| !report.boot.is_empty()) else {
                (served.is_behind, served.is_unknown) = (true, true);
                continue;
            };
            served.is_behind |= !report.listed;
            let serving = report.functions.values();
            let serving = serving.filter_map(|function| function.serving.as_ref());
            served.ports.extend(serving.map(|serving| serving.port));
        }
        served
    }

    /// Where the next poll of a pod continues.
    pub(crate) fn cursor(&self, pod: &PodKey) -> Option<Cursor> {
        let pods = self.lock();
        let last = pods.get(pod).filter(|last| last.known)?;
        Some(Cursor {
            boot: last.boot.clone(),
            revision: last.revision,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PodKey, PodReport>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PodReport {
    fn reach(&self) -> Reach {
        match (self.failures < MAX_FAILURES, self.known) {
            (true, true) => Reach::Answers,
            (true, false) => Reach::Unknown,
            (false, _) => Reach::Silent,
        }
    }
}

fn names(report: &PodReport) -> BTreeSet<String> {
    let functions = report.functions.values();
    functions.map(|function| function.name.clone()).collect()
}

/// Adds a report to the last one. A partial one that does not continue it is dropped, and the next
/// poll asks for the whole.
fn merge(last: &mut PodReport, report: PoolReport) -> BTreeSet<String> {
    last.failures = 0;
    if !report.complete && (!last.known || last.boot != report.boot) {
        (last.known, last.listed) = (false, false);
        return BTreeSet::new();
    }
    let mut changed = BTreeSet::new();
    let mut removed: Vec<String> = report.removed;
    if report.complete {
        let there: BTreeSet<&str> = report.functions.iter().map(|it| it.uid.as_str()).collect();
        let gone = last
            .functions
            .keys()
            .filter(|uid| !there.contains(uid.as_str()));
        removed.extend(gone.cloned());
    }
    for uid in removed {
        changed.extend(last.functions.remove(&uid).map(|function| function.name));
    }
    for function in report.functions {
        let before = last.functions.get(&function.uid);
        if before.is_none_or(|before| !says_the_same(before, &function)) {
            changed.insert(function.name.clone());
        }
        last.functions.insert(function.uid.clone(), function);
    }
    last.boot = report.boot;
    last.revision = report.revision;
    (last.known, last.listed) = (true, report.listed);
    changed
}

/// Whether a status is the same for both. Requests change all the time, and no status has them.
fn says_the_same(left: &PooledFunction, right: &PooledFunction) -> bool {
    left.name == right.name
        && left.generation == right.generation
        && left.serving == right.serving
        && left.failure == right.failure
}

#[cfg(test)]
mod tests {
    use sampan_crd::pool_report::{PoolReport, PooledFunction, Serving};

    use super::{Cursor, MAX_FAILURES, PodKey, PoolReports, Reach, ServedPorts};

    fn pod() -> PodKey {
        PodKey {
            namespace: "ns".to_owned(),
            uid: "pod".to_owned(),
        }
    }

    fn function(name: &str, generation: i64) -> PooledFunction {
        PooledFunction {
            uid: format!("uid-{name}"),
            name: name.to_owned(),
            generation,
            serving: Some(Serving {
                generation,
                port: 10_000,
                digest: "sha256:0".to_owned(),
            }),
            ..PooledFunction::default()
        }
    }

    fn report(revision: u64, complete: bool, functions: &[PooledFunction]) -> PoolReport {
        PoolReport {
            boot: "boot".to_owned(),
            revision,
            complete,
            listed: true,
            functions: functions.to_vec(),
            removed: Vec::new(),
        }
    }

    #[test]
    fn only_changes_touch_functions() {
        let reports = PoolReports::default();
        let check = |report: PoolReport, expected: &[&str]| {
            let changed: Vec<String> = reports.record(&pod(), report).into_iter().collect();
            assert_eq!(changed, expected);
        };
        check(
            report(1, true, &[function("a", 1), function("b", 1)]),
            &["a", "b"],
        );
        check(report(1, false, &[]), &[]);
        let busy = PooledFunction {
            in_flight: 7,
            ..function("a", 1)
        };
        check(report(2, false, &[busy]), &[]);
        check(report(3, false, &[function("a", 2)]), &["a"]);
        let mut removal = report(4, false, &[]);
        removal.removed.push("uid-b".to_owned());
        check(removal, &["b"]);
        check(report(5, true, &[function("c", 1)]), &["a", "c"]);
        let found = reports.of(&pod(), "uid-c");
        assert_eq!(found.reach, Reach::Answers);
        assert_eq!(found.function, Some(function("c", 1)));
        assert_eq!(reports.of(&pod(), "uid-a").function, None);
    }

    #[test]
    fn a_restarted_pod_is_asked_for_everything() {
        let reports = PoolReports::default();
        assert_eq!(reports.cursor(&pod()), None);
        reports.record(&pod(), report(3, true, &[function("a", 1)]));
        let cursor = Cursor {
            boot: "boot".to_owned(),
            revision: 3,
        };
        assert_eq!(reports.cursor(&pod()), Some(cursor));
        let other = PoolReport {
            boot: "other".to_owned(),
            ..report(1, false, &[])
        };
        assert!(reports.record(&pod(), other).is_empty());
        assert_eq!(reports.cursor(&pod()), None);
        assert_eq!(reports.of(&pod(), "uid-a").reach, Reach::Unknown);
    }

    #[test]
    fn a_pod_that_does_not_answer_keeps_its_report_and_stops_to_count() {
        let reports = PoolReports::default();
        reports.record(&pod(), report(1, true, &[function("a", 1)]));
        for _ in 1..MAX_FAILURES {
            assert!(reports.fail(&pod()).is_empty());
            assert_eq!(reports.of(&pod(), "uid-a").reach, Reach::Answers);
        }
        assert_eq!(reports.fail(&pod()).into_iter().collect::<Vec<_>>(), ["a"]);
        assert!(reports.fail(&pod()).is_empty());
        let silent = reports.of(&pod(), "uid-a");
        assert_eq!(silent.reach, Reach::Silent);
        assert!(silent.function.is_some());
        // It answers again, and nothing has changed.
        let changed = reports.record(&pod(), report(1, false, &[]));
        assert_eq!(changed.into_iter().collect::<Vec<_>>(), ["a"]);
        assert_eq!(reports.of(&pod(), "uid-a").reach, Reach::Answers);
        reports.forget(&pod());
        assert_eq!(
            reports.of(&pod(), "uid-a"),
            super::FunctionReport::default()
        );
    }

    #[test]
    fn a_pod_serves_what_it_has_reported_until_it_reports_otherwise() {
        let (reports, other) = (PoolReports::default(), "other".to_owned());
        let check = |ports: &[u16], is_behind: bool, is_unknown: bool| {
            let found = reports.served_ports([pod()]);
            let expected = ServedPorts {
                ports: ports.iter().copied().collect(),
                is_behind,
                is_unknown,
            };
            assert_eq!(found, expected);
        };
        check(&[], true, true);
        reports.fail(&pod());
        check(&[], true, true);
        reports.record(&pod(), report(1, true, &[function("a", 1)]));
        check(&[10_000], false, false);
        for _ in 0..=MAX_FAILURES {
            reports.fail(&pod());
        }
        check(&[10_000], false, false);
        // Its container restarts: first without a whole report, then without a list.
        let mut restarted = report(1, false, &[]);
        restarted.boot.clone_from(&other);
        reports.record(&pod(), restarted);
        check(&[10_000], true, false);
        let mut restored = report(2, true, &[]);
        (restored.boot, restored.listed) = (other, false);
        reports.record(&pod(), restored.clone());
        check(&[], true, false);
        (restored.complete, restored.listed) = (false, true);
        reports.record(&pod(), restored);
        check(&[], false, false);
    }
}
