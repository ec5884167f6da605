//! Guard of one request, from routing to the end of its response.
//!
//! Its drop runs exactly once: it frees the admission slot, counts the request and writes the
//! access log. Only a function that goes on after its response keeps the slot, until its own end.

use std::sync::Arc;
use std::time::Instant;

use http::StatusCode;
use sampan_engine::CallError;

use crate::admission::Rejection;
use crate::local_reply::refusal::Refusal;
use crate::observability::access_log::AccessEntry;
use crate::routing::deployed::{Callee, Deployed};

/// The status for a client that disconnected before there was one, as in nginx.
const CLIENT_GONE: u16 = 499;

pub(crate) struct RequestGuard<F: Callee> {
    deployed: Arc<Deployed<F>>,
    started: Instant,
    /// The status that the client received.
    status: u16,
    /// Whether the request was admitted and has its slot.
    entered: bool,
    /// The cause, if the response is not the function's or broke off.
    cause: Option<&'static str>,
    access: Option<Box<AccessEntry>>,
}

/// A slot of a function's concurrency, until dropped.
pub(crate) struct Slot<F: Callee>(Arc<Deployed<F>>);

impl<F: Callee> RequestGuard<F> {
    pub(crate) fn new(
        deployed: Arc<Deployed<F>>,
        started: Instant,
        access: Option<Box<AccessEntry>>,
    ) -> Self {
        let status = CLIENT_GONE;
        deployed.metrics().arrived(started);
        Self {
            deployed,
            started,
            status,
            entered: false,
            cause: None,
            access,
        }
    }

    /// When the request arrived.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    pub(crate) fn deployed(&self) -> &Arc<Deployed<F>> {
        &self.deployed
    }

    /// Waits for admission.
    pub(crate) async fn enter(&mut self) -> Result<(), Rejection> {
        let queue_timeout = self.deployed.function().limits.timeout;
        let entered = self.deployed.admission().enter(queue_timeout).await;
        if let Err(rejection) = entered {
            self.deployed.metrics().rejected(rejection);
        }
        self.entered = entered.is_ok();
        entered
    }

    /// Records the status of the response.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = status.as_u16();
    }

    /// Records a response of the runner in place of the function's.
    pub(crate) fn refused(&mut self, refusal: &Refusal) {
        self.answered(refusal.status());
        self.failed(refusal.cause());
        match refusal {
            Refusal::Call(CallError::Instances) => {
                self.deployed.metrics().rejected_without_instance();
            }
            Refusal::Call(CallError::TotalMemory { .. } | CallError::ProcessMemory) => {
                self.deployed.metrics().rejected_without_memory();
            }
            _ => {}
        }
    }

    /// Takes the slot of an admitted request out of this guard.
    pub(crate) fn take_slot(&mut self) -> Slot<F> {
        self.entered = false;
        Slot(Arc::clone(&self.deployed))
    }

    /// Records that the response is not the function's, or broke off.
    pub(crate) fn failed(&mut self, cause: &'static str) {
        self.cause = Some(cause);
    }
}

impl<F: Callee> Drop for Slot<F> {
    fn drop(&mut self) {
        self.0.admission().leave();
    }
}

impl<F: Callee> Drop for RequestGuard<F> {
    fn drop(&mut self) {
        if self.entered {
            self.deployed.admission().leave();
        }
        let took = self.started.elapsed();
        self.deployed.metrics().answered(self.status, took);
        if let Some(access) = &self.access {
            let function = self.deployed.function().name.as_str();
            access.log(Some(function), self.status, took, self.cause);
        }
    }
}
