//! The functions with the placement `Auto`: where each is served, and where it is to be served.
//!
//! Reconciles add them and read the decisions. Polls add what they have measured. A restart of the
//! operator loses all of it, which moves nothing.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sampan_crd::{Placement, ValidAuto, ValidPlacement, WasmFunctionStatus};

use crate::auto::{AutoMove, AutoState, Measure};
use crate::build::Identity;

/// The functions of all namespaces.
pub(crate) struct AutoFunctions {
    started: Instant,
    namespaces: Mutex<HashMap<String, Namespace>>,
}

/// The functions of a namespace, by UID.
type Namespace = HashMap<String, Entry>;

struct Entry {
    name: String,
    rule: ValidAuto,
    state: AutoState,
    /// A decision that no event has yet.
    decided: Option<AutoMove>,
    /// Why the load is unknown.
    unknown: Option<UnknownLoad>,
    /// Whether an event has the cause.
    announced: bool,
}

/// Why the load of a function's pods is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnknownLoad {
    #[error(
        "the API server has no metrics.k8s.io, so the load of its pods is unknown, and it stays in them: install metrics-server"
    )]
    NoApi,
    #[error(
        "the operator may not list pods.metrics.k8s.io, so the load of its pods is unknown, and it stays in them: give its service account that right"
    )]
    Forbidden,
    #[error(
        "metrics.k8s.io does not answer, so the load of its pods is unknown, and it stays in them: check metrics-server"
    )]
    Silent,
    #[error(
        "metrics.k8s.io has no use of some of its pods, so their load is unknown, and it stays in them: check metrics-server and the nodes of the pods"
    )]
    Unmeasured,
}

/// What a reconcile publishes of a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unpublished {
    /// A new decision.
    pub(crate) decided: Option<AutoMove>,
    /// Why the load has become unknown.
    pub(crate) unknown: Option<UnknownLoad>,
}

impl AutoFunctions {
    pub(crate) fn new(started: Instant) -> Self {
        Self {
            started,
            namespaces: Mutex::default(),
        }
    }

    /// The time since the start of the operator.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Where a function is to be served. `last` is its last status.
    pub(crate) fn wanted(
        &self,
        identity: &Identity,
        placement: ValidPlacement,
        last: &WasmFunctionStatus,
    ) -> Placement {
        let rule = match placement {
            ValidPlacement::Auto(rule) => rule,
            ValidPlacement::Pod => {
                self.forget(identity);
                return Placement::Pod;
            }
            ValidPlacement::Pooled => {
                self.forget(identity);
                return Placement::Pooled;
            }
        };
        let now = self.now();
        let place = last.placement.unwrap_or_else(|| unplaced(last));
        let mut namespaces = self.lock();
        let functions = namespaces.entry(identity.namespace.clone()).or_default();
        let entry = functions
            .entry(identity.uid.clone())
            .or_insert_with(|| Entry {
                name: identity.name.clone(),
                rule,
                state: AutoState::new(place, now),
                decided: None,
                unknown: None,
                announced: false,
            });
        entry.rule = rule;
        entry.state.set_place(place, now);
        if place == Placement::Pooled {
            (entry.unknown, entry.announced) = (None, false);
        }
        entry.state.wanted()
    }

    /// Why the load of a function is unknown.
    pub(crate) fn unknown(&self, identity: &Identity) -> Option<UnknownLoad> {
        let namespaces = self.lock();
        namespaces
            .get(&identity.namespace)?
            .get(&identity.uid)?
            .unknown
    }

    /// Takes what no event has yet.
    pub(crate) fn take_unpublished(&self, identity: &Identity) -> Unpublished {
        let mut namespaces = self.lock();
        let functions = namespaces.get_mut(&identity.namespace);
        let Some(entry) = functions.and_then(|functions| functions.get_mut(&identity.uid)) else {
            return Unpublished::default();
        };
        let unknown = entry.unknown.filter(|_| !entry.announced);
        entry.announced |= unknown.is_some();
        Unpublished {
            decided: entry.decided.take(),
            unknown,
        }
    }

    /// The namespaces with functions that are served at a place.
    pub(crate) fn namespaces(&self, place: Placement) -> Vec<String> {
        let namespaces = self.lock();
        let there = namespaces.iter().filter(|(_, functions)| {
            let mut functions = functions.values();
            functions.any(|entry| entry.state.place() == place)
        });
        there.map(|(namespace, _)| namespace.clone()).collect()
    }

    /// The functions of a namespace that are served at a place, with their UIDs and names.
    pub(crate) fn at(&self, namespace: &str, place: Placement) -> Vec<(String, String)> {
        let namespaces = self.lock();
        let functions = namespaces.get(namespace).into_iter().flatten();
        let there = functions.filter(|(_, entry)| entry.state.place() == place);
        there
            .map(|(uid, entry)| (uid.clone(), entry.name.clone()))
            .collect()
    }

    /// Records measures of functions that are served at a place. Returns the names of those with a new
    /// decision.
    pub(crate) fn add(
        &self,
        namespace: &str,
        place: Placement,
        measures: &HashMap<String, Measure>,
    ) -> Vec<String> {
        let mut namespaces = self.lock();
        let functions = namespaces.get_mut(namespace).into_iter().flatten();
        // One that has moved meanwhile was measured at its old place.
        let there = functions.filter(|(_, entry)| entry.state.place() == place);
        let mut decided = Vec::new();
        for (uid, entry) in there {
            let Some(measure) = measures.get(uid) else {
                continue;
            };
            if let Some(decision) = entry.state.add(*measure, &entry.rule) {
                entry.decided = Some(decision);
                decided.push(entry.name.clone());
            }
        }
        decided
    }

    /// Records why the load of a namespace's functions in pods of their own is unknown, by their UIDs;
    /// `None` for a known one. Returns the names of those for which that is new.
    pub(crate) fn set_unknown(
        &self,
        namespace: &str,
        cause: impl Fn(&str) -> Option<UnknownLoad>,
    ) -> Vec<String> {
        let mut namespaces = self.lock();
        let functions = namespaces.get_mut(namespace).into_iter().flatten();
        let mut changed = Vec::new();
        for (uid, entry) in functions {
            let cause = cause(uid);
            if entry.state.place() == Placement::Pod && entry.unknown != cause {
                (entry.unknown, entry.announced) = (cause, false);
                changed.push(entry.name.clone());
            }
        }
        changed
    }

    /// Forgets all functions but these.
    pub(crate) fn prune(&self, there: impl FnOnce() -> HashSet<String>) {
        let mut namespaces = self.lock();
        if namespaces.is_empty() {
            return;
        }
        let there = there();
        namespaces.retain(|_, functions| {
            functions.retain(|uid, _| there.contains(uid));
            !functions.is_empty()
        });
    }

    fn forget(&self, identity: &Identity) {
        let mut namespaces = self.lock();
        if let Some(functions) = namespaces.get_mut(&identity.namespace) {
            functions.remove(&identity.uid);
            if functions.is_empty() {
                namespaces.remove(&identity.namespace);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Namespace>> {
        // No code panics between lock and unlock.
        self.namespaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a function without one in its status: the pool, unless pods were counted before there
/// were placements.
fn unplaced(last: &WasmFunctionStatus) -> Placement {
    if last.replicas > 0 {
        Placement::Pod
    } else {
        Placement::Pooled
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};
    use std::time::{Duration, Instant};

    use sampan_crd::{Placement, ValidAuto, ValidPlacement, WasmFunctionStatus};

    use super::{AutoFunctions, UnknownLoad, Unpublished};
    use crate::auto::Measure;
    use crate::build::Identity;

    const AUTO: fn() -> ValidPlacement = || ValidPlacement::Auto(ValidAuto::default());

    fn identity() -> Identity {
        Identity {
            namespace: "ns".to_owned(),
            name: "f".to_owned(),
            uid: "u".to_owned(),
        }
    }

    fn placed(placement: Option<Placement>, replicas: i32) -> WasmFunctionStatus {
        WasmFunctionStatus {
            placement,
            replicas,
            ..WasmFunctionStatus::default()
        }
    }

    /// A load of one processor, in the second minute after the start.
    fn busy() -> HashMap<String, Measure> {
        let measure = Measure {
            from: Duration::from_mins(1),
            to: Duration::from_mins(2),
            processors: 1.0,
        };
        HashMap::from([("u".to_owned(), measure)])
    }

    #[test]
    fn a_function_without_a_measure_stays_where_its_status_says() {
        let check = |last: WasmFunctionStatus, expected| {
            let functions = AutoFunctions::new(Instant::now());
            assert_eq!(functions.wanted(&identity(), AUTO(), &last), expected);
        };
        check(placed(Some(Placement::Pod), 0), Placement::Pod);
        check(placed(Some(Placement::Pooled), 1), Placement::Pooled);
        check(placed(None, 0), Placement::Pooled);
        check(placed(None, 1), Placement::Pod);
    }

    #[test]
    fn a_decision_is_published_once_and_holds_until_the_function_has_moved() {
        let functions = AutoFunctions::new(Instant::now());
        let wanted = |place| functions.wanted(&identity(), AUTO(), &placed(Some(place), 1));
        assert_eq!(wanted(Placement::Pooled), Placement::Pooled);
        assert_eq!(functions.namespaces(Placement::Pooled), ["ns"]);
        assert!(functions.namespaces(Placement::Pod).is_empty());
        // Measured at another place.
        assert!(functions.add("ns", Placement::Pod, &busy()).is_empty());
        assert_eq!(functions.add("ns", Placement::Pooled, &busy()), ["f"]);
        assert_eq!(wanted(Placement::Pooled), Placement::Pod);
        let decided = functions
            .take_unpublished(&identity())
            .decided
            .map(|it| it.to);
        assert_eq!(decided, Some(Placement::Pod));
        assert_eq!(
            functions.take_unpublished(&identity()),
            Unpublished::default()
        );
        assert_eq!(wanted(Placement::Pod), Placement::Pod);
        let there = vec![("u".to_owned(), "f".to_owned())];
        assert_eq!(functions.at("ns", Placement::Pod), there);
    }

    #[test]
    fn an_unknown_load_is_published_once() {
        let functions = AutoFunctions::new(Instant::now());
        functions.wanted(&identity(), AUTO(), &placed(Some(Placement::Pod), 1));
        let cause = Some(UnknownLoad::NoApi);
        let of = |uid: &str| cause.filter(|_| uid == "u");
        assert_eq!(functions.set_unknown("ns", of), ["f"]);
        assert!(functions.set_unknown("ns", of).is_empty());
        assert_eq!(functions.unknown(&identity()), cause);
        assert_eq!(functions.take_unpublished(&identity()).unknown, cause);
        assert_eq!(
            functions.take_unpublished(&identity()),
            Unpublished::default()
        );
        assert_eq!(functions.set_unknown("ns", |_| None), ["f"]);
        assert_eq!(
            functions.take_unpublished(&identity()),
            Unpublished::default()
        );
        assert_eq!(functions.unknown(&identity()), None);
    }

    #[test]
    fn a_function_that_is_gone_or_has_another_placement_is_forgotten() {
        let functions = AutoFunctions::new(Instant::now());
        let add = || functions.wanted(&identity(), AUTO(), &placed(None, 0));
        add();
        functions.prune(|| HashSet::from(["u".to_owned()]));
        assert_eq!(functions.namespaces(Placement::Pooled), ["ns"]);
        functions.prune(HashSet::new);
        assert!(functions.namespaces(Placement::Pooled).is_empty());
        for placement in [ValidPlacement::Pod, ValidPlacement::Pooled] {
            add();
            functions.wanted(&identity(), placement, &placed(None, 0));
            assert!(functions.namespaces(Placement::Pooled).is_empty());
        }
    }
}
