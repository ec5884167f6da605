//! Versions of the pool's functions: what a resource asks for is compared with what is served, loaded
//! beside the pool's task, and deployed.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use sampan_telemetry::random;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use super::{Inner, Pool};
use crate::environment::Unresolved;
use crate::error::{PoolError, Retry, backoff};
use crate::function::{Attempt, Task};
use crate::load::{Live, Origin};
use crate::version::{Version, wanted};

impl Pool {
    /// Compares what is served with what the resource and its objects ask for, and loads what
    /// differs.
    pub(super) fn reconcile(&mut self, uid: &str) {
        self.open_port(uid);
        let Some(function) = self.functions.get_mut(uid) else {
            return;
        };
        let live = function.live.as_ref().map(|live| &live.version);
        match wanted(&function.resource, &self.objects, &self.parts.fields, live) {
            Err(Unresolved::Waiting) => {}
            Err(Unresolved::Failed(error)) => {
                function.generation = function.resource.generation;
                function.attempt = None;
                function.fail(error);
            }
            Ok(version) => {
                function.generation = function.resource.generation;
                self.want(uid, version);
            }
        }
        self.publish(uid);
    }

    /// Loads a version, unless that is what is served or loaded already.
    fn want(&mut self, uid: &str, version: Version) {
        let Some(function) = self.functions.get_mut(uid) else {
            return;
        };
        if let Some(live) = &mut function.live
            && live.version.serves(&version)
        {
            if live.version.resource != version.resource {
                live.version = version;
                self.parts.snapshot.served(live);
            }
            (function.failure, function.attempt) = (None, None);
            return;
        }
        let generation = version.resource.generation;
        let mut origin = Origin::Image;
        if let Some(attempt) = &mut function.attempt {
            let is_same_generation = attempt.version.resource.generation == generation;
            if attempt.version.loads_as(&version) && (attempt.is_running || is_same_generation) {
                // A new generation does not wait for the time of the one before.
                (attempt.version, attempt.next) = (version, None);
                return;
            }
            if attempt.version.gets_image_of(&version) {
                if attempt.is_running {
                    // Objects may change faster than the first load ends.
                    attempt.next = Some(version);
                    return;
                }
                origin = attempt.origin.clone();
            }
        }
        if let Some(live) = &function.live
            && live.version.has_image_of(&version)
        {
            origin = Origin::Same(live.artifact.image.clone());
        }
        (function.failure, function.failed) = (None, 0);
        self.start(uid, version, origin);
    }

    pub(super) fn start(&mut self, uid: &str, version: Version, origin: Origin) {
        let Some(function) = self.functions.get_mut(uid) else {
            return;
        };
        self.number += 1;
        let number = self.number;
        let (loader, inner) = (self.parts.loader.clone(), self.inner.clone());
        let (load, from, loaded_uid) = (version.clone(), origin.clone(), uid.to_owned());
        let task = tokio::spawn(async move {
            let loaded = AssertUnwindSafe(loader.load(load, from))
                .catch_unwind()
                .await;
            let result = Box::new(loaded.unwrap_or(Err(PoolError::Panicked)));
            // The pool may have ended.
            let _ = inner.send(Inner::Loaded {
                uid: loaded_uid,
                number,
                result,
            });
        });
        function.attempt = Some(Attempt {
            number,
            version,
            origin,
            is_running: true,
            next: None,
            _task: Task(task.abort_handle()),
        });
    }

    pub(super) fn loaded(&mut self, uid: &str, number: u64, result: Result<Live, PoolError>) {
        let Some(function) = self.functions.get_mut(uid) else {
            return;
        };
        let attempt = function.attempt.take_if(|attempt| attempt.number == number);
        let Some(Attempt {
            version,
            origin,
            next,
            ..
        }) = attempt
        else {
            // A newer attempt has replaced this one.
            return;
        };
        match result {
            Ok(mut live) => {
                // Of a later resource that loads in the same way.
                live.version = version;
                let resource = &live.version.resource;
                let (generation, image) = (resource.generation, live.artifact.image.digest());
                tracing::info!(function = %resource.name, generation, %image, "serving");
                self.parts.snapshot.served(&live);
                let image = live.artifact.image.clone();
                let before = function.deploy(live);
                if before.is_some_and(|before| before.artifact.image != image) {
                    self.collect_later();
                }
                if let Some(next) = next {
                    self.want(uid, next);
                }
            }
            Err(error) => {
                function.failed = function.failed.saturating_add(1);
                let retry = error.retry();
                let wait = backoff(function.failed, random());
                function.fail(error);
                // The next version does not wait for what failed without it.
                let is_other = |next: &Version| next.image.logins != version.image.logins;
                match next {
                    Some(next) if retry == Retry::Never || is_other(&next) => {
                        function.failure = None;
                        self.start(uid, next, origin);
                    }
                    next if retry == Retry::Later => {
                        let retry = Inner::Retry {
                            uid: uid.to_owned(),
                            number,
                        };
                        let task = Task(self.later(wait, retry));
                        if let Some(function) = self.functions.get_mut(uid) {
                            function.attempt = Some(Attempt {
                                number,
                                version: next.unwrap_or(version),
                                origin,
                                is_running: false,
                                next: None,
                                _task: task,
                            });
                        }
                    }
                    _ => {}
                }
            }
        }
        // That of a restored function opens only now.
        self.open_port(uid);
        self.publish(uid);
    }

    /// Publishes the state of a function in the report, the metrics and the readiness.
    pub(super) fn publish(&mut self, uid: &str) {
        let Some(function) = self.functions.get_mut(uid) else {
            return;
        };
        let state = Some(function.state());
        self.parts.metrics.moved(function.counted, state);
        function.counted = state;
        self.settling.set(uid, function.progress(), Instant::now());
        let live = function.live.as_ref();
        let metrics = live.map(|live| Arc::clone(live.deployed.metrics()));
        self.parts.reports.set(uid, function.reported(), metrics);
    }

    /// Sends a message after a time.
    pub(super) fn later(&self, time: Duration, message: Inner) -> AbortHandle {
        let inner = self.inner.clone();
        let task = tokio::spawn(async move {
            sleep(time).await;
            // The pool may have ended.
            let _ = inner.send(message);
        });
        task.abort_handle()
    }
}
