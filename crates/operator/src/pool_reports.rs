//! The last reports of the pools' pods about their functions.
//!
//! The pollers write them, and reconciles read them. A pod that does not answer keeps its last
//! report until the pod is gone, but after [`MAX_FAILURES`] it does not count as serving.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::Pod;
use sampan_crd::POOL_PORTS;
use sampan_crd::pool_report::{PoolReport, PooledFunction};

use crate::diagnose::cut;
use crate::pod_state::{address, has_ended};

/// Consecutive polls without an answer after which a pod does not count as serving.
pub(crate) const MAX_FAILURES: u32 = 3;

/// Stands for the failures of a pod that is not polled, since its pool has too many.
const NOT_POLLED: u32 = u32::MAX;

/// The most bytes of a UID. Those of Kubernetes have 36.
const MAX_UID: usize = 64;

/// The most bytes of a name or a digest that is kept.
const MAX_TEXT: usize = 256;

/// A pod of a pool, by its namespace and UID.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PodKey {
    pub(crate) namespace: String,
    pub(crate) uid: String,
}

/// The reports of all pools, by namespace and by the pod's UID.
#[derive(Default)]
pub(crate) struct PoolReports(Mutex<Pods>);

/// What one pod has reported.
#[derive(Clone, Debug, Default)]
struct PodReport {
    boot: String,
    revision: u64,
    known: bool,
    /// Whether the pod has listed the functions since its start.
    listed: bool,
    /// Whether the pod is ready. Failures of one that is not do not count.
    ready: bool,
    /// Consecutive failures, or [`NOT_POLLED`].
    failures: u32,
    functions: HashMap<String, PooledFunction>,
    /// The UID of the function that the pod serves at each port.
    ports: HashMap<u16, String>,
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
    /// Expects reports of a pod. Returns whether the pod has become ready, so that it has to be
    /// polled at once.
    pub(crate) fn expect(&self, pod: &PodKey, ready: bool) -> bool {
        let mut pods = self.lock();
        let namespace = pods.entry(pod.namespace.clone()).or_default();
        let last = namespace.entry(pod.uid.clone()).or_default();
        let became_ready = ready && !last.ready;
        if became_ready || last.failures == NOT_POLLED {
            last.failures = 0;
        }
        last.ready = ready;
        became_ready
    }

    /// Expects no reports of a pod, which counts as silent.
    pub(crate) fn ignore(&self, pod: &PodKey) {
        let mut pods = self.lock();
        let namespace = pods.entry(pod.namespace.clone()).or_default();
        namespace.entry(pod.uid.clone()).or_default().failures = NOT_POLLED;
    }

    /// Forgets the pods of a namespace but these.
    pub(crate) fn retain(&self, namespace: &str, there: &HashSet<&str>) {
        let mut pods = self.lock();
        if let Some(reports) = pods.get_mut(namespace) {
            reports.retain(|uid, _| there.contains(uid.as_str()));
            if reports.is_empty() {
                pods.remove(namespace);
            }
        }
    }

    /// Records a report of a pod that is there, with at most this number of functions. Returns the
    /// UIDs of the functions for which something has changed.
    pub(crate) fn record(&self, pod: &PodKey, report: PoolReport, most: usize) -> BTreeSet<String> {
        let mut pods = self.lock();
        let Some(last) = find(&mut pods, pod) else {
            return BTreeSet::new();
        };
        let answered = last.reach() == Reach::Answers;
        let mut changed = merge(last, report, most);
        if !answered {
            changed.extend(last.functions.keys().cloned());
        }
        changed
    }

    /// Records that a pod did not answer. Returns the UIDs of the functions for which that
    /// matters: those that it served, once.
    pub(crate) fn fail(&self, pod: &PodKey) -> BTreeSet<String> {
        let mut pods = self.lock();
        match find(&mut pods, pod) {
            Some(last) if last.ready => {
                last.failures = last.failures.saturating_add(1);
                if last.failures == MAX_FAILURES {
                    last.functions.keys().cloned().collect()
                } else {
                    BTreeSet::new()
                }
            }
            _ => BTreeSet::new(),
        }
    }

    /// What a pod says about a function.
    pub(crate) fn of(&self, pod: &PodKey, function: &str) -> FunctionReport {
        let mut pods = self.lock();
        let last = find(&mut pods, pod);
        FunctionReport {
            reach: last.as_ref().map_or(Reach::Unknown, |last| last.reach()),
            function: last.and_then(|last| last.functions.get(function).cloned()),
        }
    }

    /// Where the next poll of a pod continues.
    pub(crate) fn cursor(&self, pod: &PodKey) -> Option<Cursor> {
        let mut pods = self.lock();
        let last = find(&mut pods, pod).filter(|last| last.known)?;
        Some(Cursor {
            boot: last.boot.clone(),
            revision: last.revision,
        })
    }

    /// Whether a pod of the namespace has last reported that it serves another function at a port.
    pub(crate) fn serves_other(&self, namespace: &str, port: u16, function: &str) -> bool {
        let pods = self.lock();
        let mut reports = pods.get(namespace).into_iter().flat_map(HashMap::values);
        reports.any(|last| last.ports.get(&port).is_some_and(|uid| uid != function))
    }

    /// Whether each pod that can serve has listed the functions since its start. Until then, it
    /// serves what it served before.
    pub(crate) fn have_listed(&self, namespace: &str, pods: &[Arc<Pod>]) -> bool {
        let reports = self.lock();
        let reports = reports.get(namespace);
        let mut serving = pods
            .iter()
            .filter(|pod| address(pod).is_some() && !has_ended(pod));
        serving.all(|pod| {
            let uid = pod.metadata.uid.as_deref().unwrap_or_default();
            let last = reports.and_then(|reports| reports.get(uid));
            last.is_some_and(|last| last.listed)
        })
    }

    fn lock(&self) -> MutexGuard<'_, Pods> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Pods = HashMap<String, HashMap<String, PodReport>>;

fn find<'a>(pods: &'a mut Pods, pod: &PodKey) -> Option<&'a mut PodReport> {
    pods.get_mut(&pod.namespace)?.get_mut(&pod.uid)
}

impl PodReport {
    fn reach(&self) -> Reach {
        match (self.failures < MAX_FAILURES, self.known) {
            (true, true) => Reach::Answers,
            (true, false) => Reach::Unknown,
            (false, _) => Reach::Silent,
        }
    }

    /// Forgets the port of a function.
    fn leave(&mut self, uid: &str) {
        let serving = self.functions.get(uid).and_then(|it| it.serving.as_ref());
        if let Some(port) = serving.map(|serving| serving.port)
            && self.ports.get(&port).is_some_and(|holder| holder == uid)
        {
            self.ports.remove(&port);
        }
    }
}

/// Adds a report to the last one. A partial one that does not continue it is a failure, and the
/// next poll asks for the whole.
fn merge(last: &mut PodReport, report: PoolReport, most: usize) -> BTreeSet<String> {
    let mut changed = BTreeSet::new();
    if !report.complete && (!last.known || last.boot != report.boot) {
        last.failures = last.failures.saturating_add(1);
        last.known = false;
        last.listed = false;
        return changed;
    }
    last.failures = 0;
    let functions = report.functions.into_iter();
    let functions = functions.filter(|function| function.uid.len() <= MAX_UID);
    let mut removed: Vec<String> = report.removed;
    let mut functions: Vec<PooledFunction> = functions.collect();
    if report.complete {
        let there: BTreeSet<&str> = functions.iter().map(|it| it.uid.as_str()).collect();
        let known = last.functions.keys();
        let gone = known.filter(|uid| !there.contains(uid.as_str()));
        removed.extend(gone.cloned());
        last.ports.clear();
    }
    for uid in removed {
        last.leave(&uid);
        if last.functions.remove(&uid).is_some() {
            changed.insert(uid);
        }
    }
    functions.iter_mut().for_each(shorten);
    for function in functions {
        last.leave(&function.uid);
        let port = function.serving.as_ref().map(|serving| serving.port);
        if let Some(port) = port.filter(|port| POOL_PORTS.contains(port)) {
            last.ports.insert(port, function.uid.clone());
        }
        let before = last.functions.get(&function.uid);
        if before.is_none() && last.functions.len() >= most {
            continue;
        }
        if before.is_none_or(|before| !says_the_same(before, &function)) {
            changed.insert(function.uid.clone());
        }
        last.functions.insert(function.uid.clone(), function);
    }
    last.boot = report.boot;
    last.revision = report.revision;
    last.listed = report.listed;
    last.known = true;
    changed
}

/// Bounds the texts of a report, which is kept.
fn shorten(function: &mut PooledFunction) {
    function
        .name
        .truncate(function.name.floor_char_boundary(MAX_TEXT));
    if let Some(serving) = &mut function.serving {
        let end = serving.digest.floor_char_boundary(MAX_TEXT);
        serving.digest.truncate(end);
    }
    if let Some(failure) = &mut function.failure {
        failure.message = cut(&failure.message);
    }
}

/// Whether a status is the same for both. Requests change all the time, and no status has them.
fn says_the_same(left: &PooledFunction, right: &PooledFunction) -> bool {
    left.name == right.name
        && left.generation == right.generation
        && left.serving == right.serving
        && left.failure == right.failure
}

#[cfg(test)]
mod tests;
