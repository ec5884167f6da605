//! The pool: turns typed events about functions and objects into listening ports and loaded
//! versions.
//!
//! One task owns all state and receives events in order. It waits for nothing: loads and timers run
//! beside it and report back. It has no client of the API server, so no failure of one reaches it.

mod functions;
mod ports;
mod versions;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use sampan_runner::Ports;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval_at};

use crate::error::PoolError;
use crate::event::Event;
use crate::fields::PodFields;
use crate::function::PooledFunction;
use crate::load::{Live, Loader};
use crate::metrics::PoolMetrics;
use crate::objects::{ObjectKey, Objects};
use crate::readiness::{Readiness, Settling};
use crate::report::Reports;
use crate::resource::Uid;
use crate::snapshot::{Restored, Snapshot};
use crate::wanted_objects::WantedObjects;

/// How often images that no function uses are removed.
const COLLECT_INTERVAL: Duration = Duration::from_mins(10);

/// The wait after a function has left an image, in which others may leave theirs.
const COLLECT_WAIT: Duration = Duration::from_mins(1);

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
    /// How long readiness waits for the next function that is loaded.
    pub(crate) ready_timeout: Duration,
    /// How long it waits for a list, if the pod was ready before.
    pub(crate) list_timeout: Duration,
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
    /// Readiness may have waited for long enough.
    Overdue,
    /// A restarted pod has waited for a list for long enough.
    Unlisted,
    /// Images may be left that no function uses.
    Collect,
}

/// The state of all functions.
pub(crate) struct Pool {
    parts: Parts,
    objects: Objects,
    /// The functions that refer to each object.
    users: HashMap<ObjectKey, HashSet<Uid>>,
    functions: HashMap<Uid, PooledFunction>,
    /// The function that listens on each port.
    holders: HashMap<u16, Uid>,
    settling: Settling,
    /// Whether the snapshot has the mark of a pod that was ready.
    is_marked: bool,
    /// The last removal of images, which may be under way.
    collection: Option<JoinHandle<()>>,
    /// Whether another one is planned.
    is_collection_due: bool,
    /// Numbers attempts and times.
    number: u64,
    inner: mpsc::UnboundedSender<Inner>,
    received: mpsc::UnboundedReceiver<Inner>,
}

impl Pool {
    /// Makes the pool. Serves what was served before a restart. A pod that was ready then gets ready
    /// without a list, but only after a wait for one: meanwhile a port may have gone to another
    /// function.
    pub(crate) fn new(parts: Parts, restored: Restored) -> Self {
        let (inner, received) = mpsc::unbounded_channel();
        let mut pool = Self {
            objects: Objects::default(),
            users: HashMap::new(),
            functions: HashMap::new(),
            holders: HashMap::new(),
            settling: Settling::new(parts.readiness.clone(), parts.ready_timeout),
            parts,
            is_marked: false,
            collection: None,
            is_collection_due: false,
            number: 0,
            inner,
            received,
        };
        for record in restored.records {
            pool.restore(record);
        }
        if restored.is_complete {
            pool.later(pool.parts.list_timeout, Inner::Unlisted);
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
                _ = collect.tick() => self.collect(),
                event = events.recv() => match event {
                    Some(event) => self.handle(event).await,
                    None => return,
                },
            }
            if self.settling.is_done() && !self.is_marked {
                self.is_marked = true;
                self.parts.snapshot.complete();
            }
        }
    }

    /// Removes images that no function uses, beside this task.
    fn collect(&mut self) {
        self.is_collection_due = false;
        if self.collection.as_ref().is_none_or(JoinHandle::is_finished) {
            let loader = self.parts.loader.clone();
            self.collection = Some(tokio::spawn(async move { loader.collect().await }));
        } else {
            self.collect_later();
        }
    }

    /// Plans to remove images, because a function has left one.
    fn collect_later(&mut self) {
        if !self.is_collection_due {
            self.is_collection_due = true;
            self.later(COLLECT_WAIT, Inner::Collect);
        }
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
                    let (version, origin) = (attempt.version.clone(), attempt.origin.clone());
                    self.start(&uid, version, origin);
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
                if let Some(wait) = self.settling.look(Instant::now()) {
                    self.later(wait, Inner::Overdue);
                }
            }
            Inner::Unlisted => self.know(),
            Inner::Collect => self.collect(),
        }
    }

    /// The functions are known, so readiness waits for them alone.
    fn know(&mut self) {
        if let Some(wait) = self.settling.set_known(Instant::now()) {
            self.later(wait, Inner::Overdue);
        }
    }
}
