//! A function as a route points at it: what to call, who may, and where it is counted.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use sampan_engine::{CallContext, CallError, GuestBody, LoadedFunction};
use sampan_spec::Function;

use crate::admission::Admission;
use crate::metrics::{FunctionMetrics, Metrics};
use crate::server::RequestBody;

/// What answers a function's requests: a [`LoadedFunction`], or plain code in tests.
pub trait Callee: Send + Sync + 'static {
    /// What answers carry.
    type Body: Body<Data = Bytes, Error = CallError> + Send + Unpin + 'static;

    /// What the function's owner asked for.
    fn function(&self) -> &Arc<Function>;

    /// Answers a request, like [`LoadedFunction::handle`].
    fn handle(
        &self,
        request: Request<RequestBody>,
        context: CallContext,
    ) -> impl Future<Output = Result<Response<Self::Body>, CallError>> + Send;
}

impl Callee for LoadedFunction {
    type Body = GuestBody;

    fn function(&self) -> &Arc<Function> {
        Self::function(self)
    }

    fn handle(
        &self,
        request: Request<RequestBody>,
        context: CallContext,
    ) -> impl Future<Output = Result<Response<GuestBody>, CallError>> + Send {
        Self::handle(self, request, context)
    }
}

/// A function that takes requests.
///
/// A function that is deployed again gets a new one, with the numbers of the old one; requests that
/// the old one has admitted finish there.
#[derive(Debug)]
pub struct Deployed<F = LoadedFunction> {
    callee: F,
    admission: Arc<Admission>,
    metrics: Arc<FunctionMetrics>,
}

impl<F: Callee> Deployed<F> {
    /// Takes requests for `callee`, as many as its limits allow.
    pub fn new(callee: F, metrics: &Metrics) -> Arc<Self> {
        let function = callee.function();
        let limits = &function.limits;
        let admission = Arc::new(Admission::new(limits.concurrency, limits.queue));
        let metrics = metrics.function(&function.name);
        metrics.watch(&admission);
        Arc::new(Self {
            callee,
            admission,
            metrics,
        })
    }

    /// What answers its requests.
    pub fn callee(&self) -> &F {
        &self.callee
    }

    /// What the function's owner asked for.
    pub fn function(&self) -> &Function {
        self.callee.function()
    }

    pub(crate) fn admission(&self) -> &Admission {
        &self.admission
    }

    pub(crate) fn metrics(&self) -> &FunctionMetrics {
        &self.metrics
    }
}
