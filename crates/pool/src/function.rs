//! State of one function in the pool: what it serves, what it loads, and why not more.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use sampan_crd::pool_report::Serving;
use sampan_runner::{Entry, Listener, RouteTable, Routes};
use tokio::task::AbortHandle;

use crate::backoff::doubled;
use crate::error::PoolError;
use crate::load::{Live, Origin};
use crate::metrics::FunctionState;
use crate::objects::ObjectKey;
use crate::readiness::Progress;
use crate::report::Reported;
use crate::resource::Resource;
use crate::version::{Version, objects_of};

/// The first and the longest wait before a port is tried again. Usually a removed function's
/// listener is still closing.
const FIRST_PORT_WAIT: Duration = Duration::from_millis(50);
const LONGEST_PORT_WAIT: Duration = Duration::from_secs(10);

/// A function of the pool.
pub(crate) struct PooledFunction {
    pub(crate) resource: Arc<Resource>,
    /// The objects that the resource refers to.
    pub(crate) objects: HashSet<ObjectKey>,
    /// The routes of its port, shared with the listener.
    pub(crate) routes: RouteTable,
    pub(crate) port: Port,
    pub(crate) live: Option<Live>,
    pub(crate) attempt: Option<Attempt>,
    /// Why the newest version is not served.
    pub(crate) failure: Option<PoolError>,
    /// A newer generation that cannot be read. Until the next one, the last that could be read
    /// follows its objects.
    pub(crate) unreadable: Option<Unreadable>,
    /// Attempts that have failed since the last change.
    pub(crate) failed: u32,
    /// The newest readable generation that was tried.
    pub(crate) generation: i64,
    /// The state in which the metrics count it.
    pub(crate) counted: Option<FunctionState>,
    /// Set while it is served only for a time; another number each time that it is seen.
    pub(crate) leaving: Option<u64>,
}

/// The port of a function.
#[derive(Default)]
pub(crate) struct Port {
    /// The open port.
    pub(crate) open: Option<(u16, Listener)>,
    pub(crate) failure: Option<PoolError>,
    pub(crate) failed: u32,
    /// The timer of the next attempt.
    pub(crate) retry: Option<Task>,
}

/// A generation that cannot be read.
pub(crate) struct Unreadable {
    pub(crate) generation: i64,
    pub(crate) error: PoolError,
}

/// An attempt to load a version: it runs, or it waits for its time.
pub(crate) struct Attempt {
    pub(crate) number: u64,
    pub(crate) version: Version,
    pub(crate) origin: Origin,
    pub(crate) is_running: bool,
    /// The version of the same image to load after the running one.
    pub(crate) next: Option<Version>,
    /// Held: dropping it ends the attempt.
    pub(crate) _task: Task,
}

/// A task that ends when this is dropped.
pub(crate) struct Task(pub(crate) AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl PooledFunction {
    pub(crate) fn new(resource: Arc<Resource>) -> Self {
        Self {
            objects: objects_of(&resource),
            generation: resource.generation,
            resource,
            routes: RouteTable::new(Routes::single(Entry::Compiling)),
            port: Port::default(),
            live: None,
            attempt: None,
            failure: None,
            unreadable: None,
            failed: 0,
            counted: None,
            leaving: None,
        }
    }

    /// Sets why the newest version is not served. Without an older one, requests get the cause.
    pub(crate) fn fail(&mut self, error: PoolError) {
        self.show(&error, self.generation);
        self.failure = Some(error);
    }

    /// Sets that a generation cannot be read. What is served or loaded stays as it is.
    pub(crate) fn set_unreadable(&mut self, generation: i64, message: String) {
        let error = PoolError::Unreadable(message);
        if self.attempt.is_none() {
            self.show(&error, generation);
        }
        self.unreadable = Some(Unreadable { generation, error });
    }

    /// Shows a failure in the log and, without a served version, to clients.
    fn show(&self, error: &PoolError, generation: i64) {
        let failure = error.failure();
        tracing::warn!(
            function = %self.resource.name,
            generation,
            cause = ?failure.cause,
            reason = failure.message,
            "a version is not served"
        );
        if self.live.is_none() {
            // The message is for the function's owner. Its clients get the cause alone.
            let cause = format!("{:?}", failure.cause);
            self.routes.set(Routes::single(Entry::Failed(cause)));
        }
    }

    /// Serves a loaded version from the next request on. Returns the one before.
    pub(crate) fn deploy(&mut self, live: Live) -> Option<Live> {
        let deployed = Arc::clone(&live.deployed);
        self.routes.set(Routes::single(deployed));
        (self.failure, self.attempt, self.failed) = (None, None, 0);
        self.live.replace(live)
    }

    /// Whether the version that was served before a restart is loaded for the first time. A refused connection carries no
    /// request, and an answer that it is being compiled would lose one: proxies still lead here.
    pub(crate) fn is_restoring(&self) -> bool {
        let attempt = self.attempt.as_ref();
        let restores = attempt.is_some_and(|attempt| matches!(attempt.origin, Origin::Restored(_)));
        restores && self.live.is_none() && self.failure.is_none()
    }

    /// How far it is, for the readiness of the pod.
    pub(crate) fn progress(&self) -> Progress {
        if self.live.is_some() {
            return match self.port.open {
                Some(_) => Progress::Serving,
                None => Progress::Loading,
            };
        }
        let has_failed = match &self.failure {
            Some(error) => error.is_lasting(),
            None => self.attempt.is_none() && self.unreadable.is_some(),
        };
        if has_failed {
            Progress::Failed
        } else {
            Progress::Loading
        }
    }

    pub(crate) fn state(&self) -> FunctionState {
        match (&self.live, self.is_failing()) {
            (Some(_), false) => FunctionState::Serving,
            (Some(_), true) => FunctionState::Outdated,
            (None, false) => FunctionState::Loading,
            (None, true) => FunctionState::Failed,
        }
    }

    pub(crate) fn reported(&self) -> Reported {
        let unreadable = self.unreadable.as_ref();
        let failure = unreadable.map(|unreadable| &unreadable.error);
        let failure = failure.or(self.failure.as_ref());
        let failure = failure.or(self.port.failure.as_ref());
        let serving = self.live.as_ref().zip(self.port.open.as_ref());
        Reported {
            name: self.resource.name.clone(),
            generation: unreadable.map_or(self.generation, |unreadable| unreadable.generation),
            serving: serving.map(|(live, (port, _))| Serving {
                generation: live.version.resource.generation,
                port: *port,
                digest: live.artifact.image.digest().to_string(),
            }),
            failure: failure.map(PoolError::failure),
        }
    }

    fn is_failing(&self) -> bool {
        self.unreadable.is_some() || self.failure.is_some() || self.port.failure.is_some()
    }
}

impl Port {
    /// Whether a port is not open yet.
    pub(crate) fn differs(&self, wanted: u16) -> bool {
        self.open.as_ref().is_none_or(|(open, _)| *open != wanted)
    }

    /// The wait before the next attempt.
    pub(crate) fn wait(&self) -> Duration {
        let earlier = self.failed.saturating_sub(1);
        doubled(FIRST_PORT_WAIT, LONGEST_PORT_WAIT, earlier)
    }
}
