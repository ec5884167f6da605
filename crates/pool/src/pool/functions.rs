//! Functions of the pool: they are seen, restored, changed and removed.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use sampan_crd::MOVE_DRAIN;
use tokio::time::Instant;

use super::{Inner, Pool};
use crate::function::PooledFunction;
use crate::load::Origin;
use crate::objects::ObjectKey;
use crate::resource::{Resource, Seen};
use crate::snapshot::Record;
use crate::version::{objects_of, restored};

/// Functions of a list that are handled before other tasks get their turn.
const TURN: usize = 64;

impl Pool {
    /// A complete list: what it does not have was deleted.
    pub(super) async fn see_all(&mut self, all: Vec<Seen>) {
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

    pub(super) fn see(&mut self, seen: Seen) {
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
                function.set_unreadable(generation, message);
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
            let was_unreadable = function.unreadable.take().is_some();
            if *function.resource == *resource && !was_unreadable {
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
    /// pod sees the move, since clocks differ. Only a pod that has not served it goes by the
    /// operator's clock.
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

    pub(super) fn restore(&mut self, record: Record) {
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
        let image = self.parts.loader.lease(image);
        self.start(&uid, version, Origin::Restored(image));
        self.publish(&uid);
    }

    /// Removes a function; its requests in progress finish.
    pub(super) fn remove(&mut self, uid: &str) {
        let Some(function) = self.functions.remove(uid) else {
            return;
        };
        self.refer(uid, function.objects, &HashSet::new());
        if let Some((port, _)) = function.port.open {
            self.release(uid, port);
        }
        self.settling.remove(uid, Instant::now());
        self.parts.metrics.moved(function.counted, None);
        self.parts.reports.remove(uid);
        self.parts.snapshot.removed(uid);
        if let Ok(name) = function.resource.name.parse() {
            self.parts.loader.function_metrics().forget(&name);
        }
        tracing::info!(function = %function.resource.name, "removed");
        self.collect_later();
    }

    pub(super) fn reconcile_users(&mut self, key: &ObjectKey) {
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
}
