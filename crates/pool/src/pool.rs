//! The pool: turns typed events about functions and objects into listening ports and loaded
//! versions.
//!
//! One task owns all state and receives events in order. It waits for nothing: loads and timers run
//! beside it and report back. It has no client of the API server, so no failure of one reaches it.

mod versions;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sampan_crd::MOVE_DRAIN;
use sampan_runner::Ports;
use tokio::sync::mpsc;
use tokio::time::{Instant, interval_at};

use crate::error::PoolError;
use crate::event::Event;
use crate::fields::PodFields;
use crate::function::PooledFunction;
use crate::load::{Live, Loader, Origin};
use crate::metrics::PoolMetrics;
use crate::objects::{ObjectKey, Objects};
use crate::readiness::{Readiness, Settling};
use crate::report::Reports;
use crate::resource::{Resource, Seen, Uid};
use crate::snapshot::{Record, Snapshot};
use crate::version::{objects_of, restored};
use crate::wanted_objects::WantedObjects;

/// How often images that no function uses are removed.
const COLLECT_INTERVAL: Duration = Duration::from_mins(10);

/// Functions of a list that are handled before other tasks get their turn.
const TURN: usize = 64;

/// What the pool uses.
pub(crate) struct Parts {
    pub(crate) fields: PodFields,
    pub(crate) loader: Loader,
    pub(crate) ports: Ports,
    pub(crate) reports: Reports,
    pub(crate) metrics: PoolMetrics,
    pub(crate) snapshot: Snapshot,
    pub(crate) wanted: WantedObjects,
    pub(crate) readiness: Readiness,
    /// How long readiness waits for functions that load.
    pub(crate) ready_timeout: Duration,
}

/// A message of a task that runs beside the pool.
enum Inner {
    Loaded {
        uid: Uid,
        number: u64,
        result: Box<Result<Live, PoolError>>,
    },
    Retry {
        uid: Uid,
        number: u64,
    },
    RetryPort(Uid),
    /// A function that has moved away was served for long enough.
    Left {
        uid: Uid,
        number: u64,
    },
    /// Readiness has waited for long enough.
    Overdue,
}

/// The state of all functions.
pub(crate) struct Pool {
    parts: Parts,
    objects: Objects,
    /// The functions that refer to each object.
    users: HashMap<ObjectKey, HashSet<Uid>>,
    functions: HashMap<Uid, PooledFunction>,
    settling: Settling,
    /// Numbers attempts and times.
    number: u64,
    inner: mpsc::UnboundedSender<Inner>,
    received: mpsc::UnboundedReceiver<Inner>,
}

impl Pool {
    /// Makes the pool. Serves what was served before a restart.
    pub(crate) fn new(parts: Parts, records: Vec<Record>) -> Self {
        let (inner, received) = mpsc::unbounded_channel();
        let mut pool = Self {
            objects: Objects::default(),
            users: HashMap::new(),
            functions: HashMap::new(),
            settling: Settling::new(parts.readiness.clone()),
            parts,
            number: 0,
            inner,
            received,
        };
        if !records.is_empty() {
            for record in records {
                pool.restore(record);
            }
            pool.know();
        }
        pool
    }

    /// Handles events until their senders are gone.
    pub(crate) async fn run(mut self, mut events: mpsc::Receiver<Event>) {
        let mut collect = interval_at(Instant::now() + COLLECT_INTERVAL, COLLECT_INTERVAL);
        loop {
            tokio::select! {
                // The results of loads are few, and let requests be answered.
                biased;
                Some(inner) = self.received.recv() => self.handle_inner(inner),
                _ = collect.tick() => self.collect().await,
                event = events.recv() => match event {
                    Some(event) => self.handle(event).await,
                    None => return,
                },
            }
        }
    }

    /// Removes images that no function uses. Only this task starts loads, and none is under way, so
    /// what is used is known.
    async fn collect(&mut self) {
        let mut attempts = self.functions.values().filter_map(|f| f.attempt.as_ref());
        if attempts.any(|attempt| attempt.is_running) {
            return;
        }
        let live = self.functions.values().filter_map(|f| f.live.as_ref());
        let used = live.map(|live| live.artifact.clone()).collect();
        self.parts.loader.collect(used).await;
    }

    async fn handle(&mut self, event: Event) {
        match event {
            Event::Seen(seen) => self.see(seen),
            Event::Deleted { uid } => self.remove(&uid),
            Event::Listed(all) => self.see_all(all).await,
            Event::Object(key, found) => {
                if self.users.contains_key(&key) && self.objects.observe(key.clone(), found) {
                    self.reconcile_users(&key);
                }
            }
            Event::ObjectsListed { kind, asked, found } => {
                // A function may have been removed since.
                let is_used = |name: &String| {
                    let name = name.clone();
                    self.users.contains_key(&ObjectKey { kind, name })
                };
                let asked: Vec<_> = asked.into_iter().filter(is_used).collect();
                let found = found
                    .into_iter()
                    .filter(|(name, _)| is_used(name))
                    .collect();
                for key in self.objects.observe_list(kind, asked, found) {
                    self.reconcile_users(&key);
                }
            }
            Event::Access { kind, forbidden } => {
                if self.objects.set_forbidden(kind, forbidden) {
                    let keys = self.users.keys().filter(|key| key.kind == kind);
                    for key in keys.cloned().collect::<Vec<_>>() {
                        self.reconcile_users(&key);
                    }
                }
            }
        }
    }

    fn handle_inner(&mut self, inner: Inner) {
        match inner {
            Inner::Loaded {
                uid,
                number,
                result,
            } => self.loaded(&uid, number, *result),
            Inner::Retry { uid, number } => {
                let function = self.functions.get(&uid);
                let attempt = function.and_then(|function| function.attempt.as_ref());
                if let Some(attempt) = attempt.filter(|attempt| attempt.number == number) {
                    let version = attempt.version.clone();
                    self.start(&uid, version, Origin::Image);
                }
            }
            Inner::RetryPort(uid) => {
                self.open_port(&uid);
                self.publish(&uid);
            }
            Inner::Left { uid, number } => {
                let function = self.functions.get(&uid);
                if function.is_some_and(|function| function.leaving == Some(number)) {
                    self.remove(&uid);
                }
            }
            Inner::Overdue => {
                let left = self.settling.give_up();
                if left > 0 {
                    tracing::warn!(left, "the pod gets ready without these functions");
                }
            }
        }
    }

    /// A complete list: what it does not have was deleted.
    async fn see_all(&mut self, all: Vec<Seen>) {
        let listed: HashSet<&str> = all.iter().map(Seen::uid).collect();
        let gone = self.functions.keys();
        let gone: Vec<_> = gone
            .filter(|uid| !listed.contains(uid.as_str()))
            .cloned()
            .collect();
        // First, so that another function of the same name has its port and its metrics.
        for uid in gone {
            self.remove(&uid);
        }
        for (index, seen) in all.into_iter().enumerate() {
            self.see(seen);
            if index % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
        }
        self.parts.reports.set_listed();
        self.parts.metrics.set_listed();
        self.know();
    }

    fn see(&mut self, seen: Seen) {
        match seen {
            Seen::Elsewhere { uid } => self.remove(&uid),
            Seen::Unreadable {
                uid,
                generation,
                message,
            } => {
                let Some(function) = self.functions.get_mut(&uid) else {
                    tracing::warn!(uid, reason = message, "a resource cannot be read");
                    return;
                };
                function.attempt = None;
                function.generation = generation;
                function.fail(PoolError::Unreadable(message));
                self.publish(&uid);
            }
            Seen::Served {
                resource,
                leaves_in,
            } => self.serve(*resource, leaves_in),
        }
    }

    /// A function was made or changed, or only its status was.
    fn apply(&mut self, resource: Resource) {
        let uid = resource.uid.clone();
        let resource = Arc::new(resource);
        let (before, after);
        if let Some(function) = self.functions.get_mut(&uid) {
            let is_same = *function.resource == *resource;
            if is_same && !matches!(function.failure, Some(PoolError::Unreadable(_))) {
                return;
            }
            after = objects_of(&resource);
            before = std::mem::replace(&mut function.objects, after.clone());
            function.resource = resource;
        } else {
            let function = PooledFunction::new(resource);
            (before, after) = (HashSet::new(), function.objects.clone());
            self.functions.insert(uid.clone(), function);
        }
        self.refer(&uid, before, &after);
        self.reconcile(&uid);
    }

    /// Serves a function, or one that has moved away for some more time. That time begins when this
    /// pod sees the move, whatever its clock says; only a pod that begins with it goes by the
    /// operator's.
    fn serve(&mut self, resource: Resource, leaves_in: Option<Duration>) {
        let uid = resource.uid.clone();
        let known = self.functions.get(&uid);
        let leaving = known.and_then(|function| function.leaving);
        let left = match (known, leaves_in) {
            (None, Some(Duration::ZERO)) => return,
            (None, left) => left,
            (Some(_), left) => left.map(|_| MOVE_DRAIN),
        };
        self.apply(resource);
        let leaving = left.map(|left| {
            leaving.unwrap_or_else(|| {
                self.number += 1;
                let (uid, number) = (uid.clone(), self.number);
                self.later(left, Inner::Left { uid, number });
                number
            })
        });
        if let Some(function) = self.functions.get_mut(&uid) {
            function.leaving = leaving;
        }
    }

    fn restore(&mut self, record: Record) {
        let Record {
            resource,
            environment,
            arguments,
            image,
        } = record;
        let name = resource.name.clone();
        let version = match restored(resource, environment, arguments) {
            Ok(version) => version,
            Err(error) => {
                // Another version of this program may refuse what it had accepted.
                tracing::warn!(function = name, %error, "a served version cannot be restored");
                return;
            }
        };
        let uid = version.resource.uid.clone();
        let function = PooledFunction::new(Arc::clone(&version.resource));
        let objects = function.objects.clone();
        self.functions.insert(uid.clone(), function);
        self.refer(&uid, HashSet::new(), &objects);
        self.open_port(&uid);
        self.start(&uid, version, Origin::Restored(image));
        self.publish(&uid);
    }

    /// Removes a function; its requests in progress finish.
    fn remove(&mut self, uid: &str) {
        let Some(function) = self.functions.remove(uid) else {
            return;
        };
        self.refer(uid, function.objects, &HashSet::new());
        self.settling.set(uid, true);
        self.parts.metrics.moved(function.counted, None);
        self.parts.reports.remove(uid);
        self.parts.snapshot.removed(uid);
        if let Ok(name) = function.resource.name.parse() {
            self.parts.loader.function_metrics().forget(&name);
        }
        tracing::info!(function = %function.resource.name, "removed");
    }

    fn reconcile_users(&mut self, key: &ObjectKey) {
        let users = self.users.get(key).cloned().unwrap_or_default();
        for uid in users {
            self.reconcile(&uid);
        }
    }

    /// Changes the objects to which a function refers.
    fn refer(&mut self, uid: &str, before: HashSet<ObjectKey>, after: &HashSet<ObjectKey>) {
        for key in after {
            let users = self.users.entry(key.clone()).or_default();
            if users.is_empty() {
                self.parts.wanted.add(key.clone());
            }
            users.insert(uid.to_owned());
        }
        for key in before {
            if after.contains(&key) {
                continue;
            }
            if let Some(users) = self.users.get_mut(&key) {
                users.remove(uid);
                if users.is_empty() {
                    self.users.remove(&key);
                    self.parts.wanted.remove(&key);
                    self.objects.forget(&key);
                }
            }
        }
    }

    /// The functions are known, so readiness waits for them alone.
    fn know(&mut self) {
        if self.settling.set_known() {
            self.later(self.parts.ready_timeout, Inner::Overdue);
        }
    }
}
