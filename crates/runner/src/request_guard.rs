//! A request's turn at a function, from the route to the end of its answer.
//!
//! However it ends, it ends once, here: admission gets its slot back, the request is counted, and the
//! access log has its line.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, Method, Request, StatusCode, Uri, Version};
use sampan_telemetry::TraceContext;

use crate::admission::Crowded;
use crate::deployed::{Callee, Deployed};

/// The status that stands for a client which went away before there was one; nginx began it.
const CLIENT_GONE: u16 = 499;

pub(crate) struct Turn<F: Callee> {
    deployed: Arc<Deployed<F>>,
    started: Instant,
    /// What the client was told, if anything.
    status: u16,
    /// Admission was asked and said yes.
    entered: bool,
    /// The answer was not the function's, or broke off.
    cause: Option<&'static str>,
    access: Option<Box<Access>>,
}

/// What the access log shows of a request, kept only when somebody wants to see it.
#[derive(Debug)]
pub(crate) struct Access {
    method: Method,
    uri: Uri,
    version: Version,
    peer: SocketAddr,
    pub(crate) request_id: HeaderValue,
    pub(crate) trace: Option<TraceContext>,
}

impl Access {
    /// `None` when nobody wants to see it, which costs next to nothing.
    pub(crate) fn of<B>(
        request: &Request<B>,
        peer: SocketAddr,
        request_id: &HeaderValue,
        trace: Option<TraceContext>,
    ) -> Option<Box<Self>> {
        if !tracing::event_enabled!(target: "access", tracing::Level::INFO) {
            return None;
        }
        Some(Box::new(Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            peer,
            request_id: request_id.clone(),
            trace,
        }))
    }

    /// Writes the line.
    pub(crate) fn log(
        &self,
        function: Option<&str>,
        status: u16,
        took: Duration,
        cause: Option<&'static str>,
    ) {
        tracing::info!(
            target: "access",
            function,
            method = %self.method,
            // Queries carry what people would not want in a log.
            path = self.uri.path(),
            version = ?self.version,
            status,
            cause,
            microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            peer = %self.peer,
            request_id = self.request_id.to_str().unwrap_or_default(),
            trace = self.trace.map(tracing::field::display),
        );
    }
}

impl<F: Callee> Turn<F> {
    pub(crate) fn new(
        deployed: Arc<Deployed<F>>,
        started: Instant,
        access: Option<Box<Access>>,
    ) -> Self {
        let status = CLIENT_GONE;
        Self {
            deployed,
            started,
            status,
            entered: false,
            cause: None,
            access,
        }
    }

    pub(crate) fn deployed(&self) -> &Arc<Deployed<F>> {
        &self.deployed
    }

    /// Waits for admission.
    pub(crate) async fn enter(&mut self) -> Result<(), Crowded> {
        let patience = self.deployed.function().limits.timeout;
        let entered = self.deployed.admission().enter(patience).await;
        if let Err(crowded) = entered {
            self.deployed.metrics().rejected(crowded);
        }
        self.entered = entered.is_ok();
        entered
    }

    /// The client is told this status.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = status.as_u16();
    }

    /// The answer is not the function's, or broke off.
    pub(crate) fn failed(&mut self, cause: &'static str) {
        self.cause = Some(cause);
    }
}

impl<F: Callee> Drop for Turn<F> {
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
