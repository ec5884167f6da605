//! A deployed function: what to call, its admission control and its metrics.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use sampan_engine::{CallContext, CallError, GuestBody, LoadedFunction, MemoryUse};
use sampan_spec::Function;

use crate::admission::Admission;
use crate::observability::metrics::{FunctionMetrics, Metrics};
use crate::server::RequestBody;

/// A function that serves requests: a [`LoadedFunction`], or a stub in tests.
pub trait Callee: Send + Sync + 'static {
    /// The body of responses.
    type Body: Body<Data = Bytes, Error = CallError> + Send + Unpin + 'static;

    /// The function's specification.
    fn function(&self) -> &Arc<Function>;

    /// Reads the memory of its instances; `None` without any.
    fn memory_use(&self) -> Option<MemoryUse> {
        None
    }

    /// Serves a request, like [`LoadedFunction::handle`].
    fn handle(
        &self,
        request: Request<RequestBody>,
        context: CallContext,
    ) -> impl Future<Output = Result<Response<Self::Body>, CallError>> + Send;

    /// Called once before a body is dropped, like [`GuestBody::finish_in_background`]: if the
    /// function goes on after its answer, it keeps what `hold` returns until its end.
    fn finish<T: Send + 'static>(body: &mut Self::Body, hold: impl FnOnce() -> T);
}

impl Callee for LoadedFunction {
    type Body = GuestBody;

    fn function(&self) -> &Arc<Function> {
        Self::function(self)
    }

    fn memory_use(&self) -> Option<MemoryUse> {
        Some(Self::memory_use(self))
    }

    fn handle(
        &self,
        request: Request<RequestBody>,
        context: CallContext,
    ) -> impl Future<Output = Result<Response<GuestBody>, CallError>> + Send {
        Self::handle(self, request, context)
    }

    fn finish<T: Send + 'static>(body: &mut GuestBody, hold: impl FnOnce() -> T) {
        body.finish_in_background(hold);
    }
}

/// A function that accepts requests.
///
/// Each deployment of a function makes a new one that continues the metrics of the old one.
/// Requests that the old one has admitted finish there.
#[derive(Debug)]
pub struct Deployed<F = LoadedFunction> {
    callee: F,
    admission: Arc<Admission>,
    metrics: Arc<FunctionMetrics>,
}

impl<F: Callee> Deployed<F> {
    /// Accepts requests for `callee` up to its limits.
    pub fn new(callee: F, metrics: &Metrics) -> Arc<Self> {
        let function = callee.function();
        let limits = &function.limits;
        let admission = Arc::new(Admission::new(limits.concurrency, limits.queue));
        let metrics = metrics.function(&function.name);
        metrics.watch(&admission);
        if let Some(memory) = callee.memory_use() {
            metrics.watch_memory(memory);
        }
        Arc::new(Self {
            callee,
            admission,
            metrics,
        })
    }

    /// The function that serves the requests.
    pub fn callee(&self) -> &F {
        &self.callee
    }

    /// The function's specification.
    pub fn function(&self) -> &Function {
        self.callee.function()
    }

    pub(crate) fn admission(&self) -> &Admission {
        &self.admission
    }

    /// The function's metrics, which its other deployments share.
    pub fn metrics(&self) -> &Arc<FunctionMetrics> {
        &self.metrics
    }
}
