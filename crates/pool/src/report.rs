//! Report of the pool's functions with revisions, for the operator and `sampan list`.
//!
//! A client that knows a revision waits for the next one, and gets only what has changed since.
//! Changes and reports cost what has changed, not what there is.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use sampan_crd::pool_report::{LONGEST_WAIT, PoolFailure, PoolReport, PooledFunction, Serving};
use sampan_runner::FunctionMetrics;
use sampan_telemetry::{Document, random};
use tokio::sync::watch;

use crate::resource::Uid;

/// How many removals are remembered. A client that has missed more gets the whole report.
const MAX_REMOVALS: usize = 4096;

/// The state of a function for the report.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reported {
    pub(crate) name: String,
    pub(crate) generation: i64,
    pub(crate) serving: Option<Serving>,
    pub(crate) failure: Option<PoolFailure>,
}

/// The reports of this process. Clones share them.
#[derive(Clone)]
pub struct Reports(Arc<Board>);

struct Board {
    boot: String,
    state: Mutex<State>,
    revision: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    revision: u64,
    listed: bool,
    functions: HashMap<Uid, Entry>,
    /// The function that changed last with each revision.
    changed: BTreeMap<u64, Uid>,
    removals: VecDeque<(u64, Uid)>,
    /// The revision of the last removal that is not remembered.
    forgotten: u64,
}

struct Entry {
    revision: u64,
    reported: Reported,
    metrics: Option<Arc<FunctionMetrics>>,
}

/// What a client knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    boot: Option<String>,
    after: Option<u64>,
    /// Asks for the functions with a request in this time, and for nothing else.
    active: Option<Duration>,
}

impl Default for Reports {
    fn default() -> Self {
        Self(Arc::new(Board {
            boot: format!("{:016x}", random()),
            state: Mutex::default(),
            revision: watch::Sender::new(0),
        }))
    }
}

impl Reports {
    /// Sets the state of a function, if it differs. `metrics` are those of its requests.
    pub(crate) fn set(&self, uid: &str, reported: Reported, metrics: Option<Arc<FunctionMetrics>>) {
        let mut state = self.state();
        if let Some(entry) = state.functions.get_mut(uid) {
            entry.metrics = metrics.or(entry.metrics.take());
            if entry.reported == reported {
                return;
            }
            let before = entry.revision;
            state.changed.remove(&before);
            let revision = state.next();
            state.changed.insert(revision, uid.to_owned());
            if let Some(entry) = state.functions.get_mut(uid) {
                (entry.revision, entry.reported) = (revision, reported);
            }
        } else {
            let revision = state.next();
            state.changed.insert(revision, uid.to_owned());
            let entry = Entry {
                revision,
                reported,
                metrics,
            };
            state.functions.insert(uid.to_owned(), entry);
        }
        self.publish(state);
    }

    /// Removes a function.
    pub(crate) fn remove(&self, uid: &str) {
        let mut state = self.state();
        let Some(entry) = state.functions.remove(uid) else {
            return;
        };
        state.changed.remove(&entry.revision);
        let revision = state.next();
        state.removals.push_back((revision, uid.to_owned()));
        if state.removals.len() > MAX_REMOVALS
            && let Some((forgotten, _)) = state.removals.pop_front()
        {
            state.forgotten = forgotten;
        }
        self.publish(state);
    }

    /// Records that the pod has seen the list of functions.
    pub(crate) fn set_listed(&self) {
        let mut state = self.state();
        if !state.listed {
            state.listed = true;
            state.next();
            self.publish(state);
        }
    }

    /// The number of functions.
    pub(crate) fn count(&self) -> usize {
        self.state().functions.len()
    }

    /// The report for what a client knows.
    pub fn report(&self, query: &Query) -> PoolReport {
        let state = self.state();
        let after = query.after.filter(|after| {
            query.boot.as_deref() == Some(self.0.boot.as_str())
                && *after >= state.forgotten
                && *after <= state.revision
        });
        let mut report = PoolReport {
            boot: self.0.boot.clone(),
            revision: state.revision,
            complete: after.is_none(),
            listed: state.listed,
            ..PoolReport::default()
        };
        let now = (Instant::now(), Timestamp::now());
        if let Some(time) = query.active {
            report.complete = false;
            let all = state.functions.iter();
            let active = all.filter(|(_, entry)| entry.was_active(now.0, time));
            report.functions = active.map(|(uid, entry)| entry.shown(uid, now)).collect();
            return report;
        }
        let Some(after) = after else {
            let all = state.functions.iter();
            report.functions = all.map(|(uid, entry)| entry.shown(uid, now)).collect();
            return report;
        };
        let changed = state.changed.range(after + 1..);
        report.functions = changed
            .filter_map(|(_, uid)| Some(state.functions.get(uid)?.shown(uid, now)))
            .collect();
        let removals = state.removals.iter().rev();
        report.removed = removals
            .take_while(|(revision, _)| *revision > after)
            .map(|(_, uid)| uid.clone())
            .collect();
        report
    }

    /// Ready when there is something new for what a client knows.
    pub async fn changed(&self, query: &Query) {
        let Some(after) = query.after.filter(|_| query.active.is_none()) else {
            return;
        };
        if query.boot.as_deref() != Some(self.0.boot.as_str()) {
            return;
        }
        let mut revision = self.0.revision.subscribe();
        // The sender lives as long as this value.
        let _ = revision.wait_for(|revision| *revision != after).await;
    }

    /// Waits until the list of functions was seen.
    pub(crate) async fn listed(&self) {
        let mut revision = self.0.revision.subscribe();
        // The sender lives as long as this value.
        let _ = revision.wait_for(|_| self.state().listed).await;
    }

    fn publish(&self, state: MutexGuard<'_, State>) {
        let revision = state.revision;
        drop(state);
        // Two changes may publish in the other order.
        self.0.revision.send_if_modified(|published| {
            let is_newer = revision > *published;
            *published = revision.max(*published);
            is_newer
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics between lock and unlock.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }
}

impl Entry {
    /// Whether the function had a request in this time before `now`.
    fn was_active(&self, now: Instant, time: Duration) -> bool {
        self.metrics.as_ref().is_some_and(|metrics| {
            let last = metrics.last_request();
            let recent = last.is_some_and(|last| now.saturating_duration_since(last) <= time);
            recent || metrics.in_flight() > 0
        })
    }

    fn shown(&self, uid: &str, (now, time): (Instant, Timestamp)) -> PooledFunction {
        let Reported {
            name,
            generation,
            serving,
            failure,
        } = self.reported.clone();
        let metrics = self.metrics.as_ref();
        let last = metrics.and_then(|metrics| metrics.last_request());
        let since = last.map(|last| now.saturating_duration_since(last));
        PooledFunction {
            uid: uid.to_owned(),
            name,
            generation,
            serving,
            failure,
            in_flight: metrics.map_or(0, |metrics| metrics.in_flight()),
            // Whole seconds are enough, and shorter.
            last_request: since.and_then(|since| {
                let at = time.checked_sub(since).ok()?;
                Timestamp::from_second(at.as_second()).ok().map(Time)
            }),
            guest_seconds: metrics.map_or(0.0, |metrics| metrics.guest_time_used().as_secs_f64()),
        }
    }
}

/// `/functions` of the admin server.
impl Document for Reports {
    const PATH: Option<&'static str> = Some("/functions");
    const LONGEST_WAIT: Duration = LONGEST_WAIT;
    type Query = Query;

    fn parse(&self, query: &str) -> Result<Query, String> {
        let mut parsed = Query::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("boot", boot)) => parsed.boot = Some(boot.to_owned()),
                Some(("after", after)) => {
                    let after = after.parse();
                    parsed.after = Some(after.map_err(|_| "after is not a revision".to_owned())?);
                }
                Some(("active", seconds)) => {
                    let seconds: Result<u32, _> = seconds.parse();
                    let seconds =
                        seconds.map_err(|_| "active is no number of seconds".to_owned())?;
                    parsed.active = Some(Duration::from_secs(seconds.into()));
                }
                _ => {
                    let known = "the query is boot=BOOT&after=REVISION, active=SECONDS, or empty";
                    return Err(known.to_owned());
                }
            }
        }
        Ok(parsed)
    }

    async fn changed(&self, query: &Query) {
        Self::changed(self, query).await;
    }

    fn read(&self, query: &Query) -> Result<String, Box<dyn Error + Send + Sync>> {
        Ok(serde_json::to_string(&self.report(query))?)
    }
}

#[cfg(test)]
mod tests;
