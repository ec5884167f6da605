//! Versions and ports of the pool's functions: what a resource asks for is compared with what is
//! served, loaded beside the pool's task, and deployed.

use std::sync::Arc;
use std::time::Duration;

use sampan_telemetry::random;
use tokio::task::AbortHandle;
use tokio::time::sleep;

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
        match wanted(&function.resource, &self.objects, &self.parts.fields) {
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
        if let Some(attempt) = &mut function.attempt
            && attempt.version.loads_as(&version)
            // A new generation does not wait for the time of the one before.
            && (attempt.is_running
                || attempt.version.resource.generation == version.resource.generation)
        {
            attempt.version = version;
            return;
        }
        let same = function.live.as_ref();
        let same = same.filter(|live| live.version.has_image_of(&version));
        let origin = same.map_or(Origin::Image, |live| Origin::Same(live.artifact.clone()));
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
        let (load, loaded_uid) = (version.clone(), uid.to_owned());
        let task = tokio::spawn(async move {
            let result = Box::new(loader.load(load, origin).await);
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
            is_running: true,
            _task: Task(task.abort_handle()),
        });
    }

    pub(super) fn loaded(&mut self, uid: &str, number: u64, result: Result<Live, PoolError>) {
        let Some(function) = self.functions.get_mut(uid) else {
            return;
        };
        let attempt = function.attempt.take_if(|attempt| attempt.number == number);
        let Some(Attempt { version, .. }) = attempt else {
            // A newer attempt has replaced this one.
            return;
        };
        match result {
            Ok(mut live) => {
                // Of a later resource that loads in the same way.
                live.version = version;
                let resource = &live.version.resource;
                let (generation, image) = (resource.generation, &live.artifact.image);
                tracing::info!(function = %resource.name, generation, %image, "serving");
                self.parts.snapshot.served(&live);
                function.deploy(live);
            }
            Err(error) => {
                function.failed = function.failed.saturating_add(1);
                let retry = error.retry();
                let wait = backoff(function.failed, random());
                function.fail(error);
                if retry == Retry::Later {
                    let retry = Inner::Retry {
                        uid: uid.to_owned(),
                        number,
                    };
                    let task = Task(self.later(wait, retry));
                    if let Some(function) = self.functions.get_mut(uid) {
                        function.attempt = Some(Attempt {
                            number,
                            version,
                            is_running: false,
                            _task: task,
                        });
                    }
                }
            }
        }
        self.publish(uid);
    }

    pub(super) fn open_port(&mut self, uid: &str) {
        let Some(function) = self.functions.get_mut(uid) else {
            return;
        };
        let wanted = function.resource.port;
        if !function.port.differs(wanted) {
            (function.port.failure, function.port.retry) = (None, None);
            return;
        }
        match self.parts.ports.add(wanted, function.routes.clone()) {
            Ok(listener) => {
                // The former port, if there is one, drains on its own.
                function.port.open = Some((wanted, listener));
                (function.port.failure, function.port.retry) = (None, None);
                function.port.failed = 0;
            }
            Err(source) => {
                let port = wanted;
                function.port.failed = function.port.failed.saturating_add(1);
                function.port.failure = Some(PoolError::Port { port, source });
                let wait = function.port.wait();
                let retry = Task(self.later(wait, Inner::RetryPort(uid.to_owned())));
                if let Some(function) = self.functions.get_mut(uid) {
                    function.port.retry = Some(retry);
                }
            }
        }
    }

    /// Publishes the state of a function in the report, the metrics and the readiness.
    pub(super) fn publish(&mut self, uid: &str) {
        let Some(function) = self.functions.get_mut(uid) else {
            return;
        };
        let state = Some(function.state());
        self.parts.metrics.moved(function.counted, state);
        function.counted = state;
        self.settling.set(uid, function.is_settled());
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
