//! A function that is ready to be called.

use std::future::poll_fn;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Response;
use http_body_util::BodyExt as _;
use sampan_spec::Function;
use wasmtime_wasi_http::WasiBody;

use crate::body::GuestBody;
use crate::call::Call;
use crate::cgi;
use crate::client::{self, OutboundClient};
use crate::command::{self, CommandIo};
use crate::engine::{Shared, Wasm};
use crate::error::{CallError, RequestBodyError};
use crate::guest::{Guest, GuestFuture};
use crate::idle::patience;
use crate::kind::Kind;
use crate::module::{Entry, Module};
use crate::observer::Observer;
use crate::outbound::traceparent;
use crate::ticker::Active;

/// How long a module that nobody calls stays in memory; the cache on disk has it for the next call.
const MODULE_IDLE: Duration = Duration::from_mins(1);

/// A function that is compiled, linked and ready. Cheap to clone.
#[derive(Clone)]
pub struct LoadedFunction(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) spec: Arc<Function>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) kind: Kind,
    pub(crate) digest: String,
    pub(crate) wasm: Wasm,
    pub(crate) engine: Arc<Shared>,
    module: RwLock<Option<Warm>>,
    client: OnceLock<OutboundClient>,
}

/// A module in memory, with the last time that it was taken up from rest.
struct Warm {
    module: Arc<Module>,
    since: Instant,
    /// Whether it was called since the last sweep.
    called: std::sync::atomic::AtomicBool,
}

impl Warm {
    fn new(module: Arc<Module>) -> Self {
        Self {
            module,
            since: Instant::now(),
            called: false.into(),
        }
    }
}

/// How one call is made: which request it belongs to.
#[derive(Clone, Debug, Default)]
pub struct CallContext {
    /// Shown beside what the guest prints and beside failures.
    pub request_id: Option<Box<str>>,
    /// There is no time between requests: what a call leaves behind is cleared away at once, for the
    /// least work, rather than behind the answer, for the earliest answer.
    pub busy: bool,
}

impl LoadedFunction {
    /// What the function's owner asked for.
    pub fn function(&self) -> &Arc<Function> {
        &self.0.spec
    }

    /// What its file is.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The `sha256:...` digest of its WebAssembly bytes.
    pub fn digest(&self) -> &str {
        &self.0.digest
    }

    /// Answers an HTTP request.
    ///
    /// The guest runs while this future and then the answer's body are polled; dropping either
    /// cancels it. Both streams are as long as the guest makes them: this limits the guest's memory,
    /// its time and what it prints. It does **not** limit the request's head and body, nor how many
    /// requests run at once beyond the pool of instances, nor the time that a client takes to read:
    /// the caller does.
    ///
    /// # Errors
    ///
    /// [`CallError`], when there is no answer. Failures after the head come as errors of the body.
    /// Each has been reported to the function's observer.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with time enabled.
    pub async fn handle<B>(
        &self,
        request: http::Request<B>,
        context: CallContext,
    ) -> Result<Response<GuestBody>, CallError>
    where
        B: http_body::Body<Data = Bytes, Error = RequestBodyError> + Send + 'static,
    {
        let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
        let limits = &self.0.spec.limits;
        let call = Arc::new(Call::new(
            Arc::clone(&self.0),
            limits.timeout,
            limits.processor_time,
            context,
            traceparent(request.headers()),
        ));
        let mut guest = Guest::new(Arc::clone(&call), self.serve(Arc::clone(&call), request));
        let answer = poll_fn(|context| {
            let run = guest.poll(context);
            match (call.take_answer(), run) {
                // Nothing has been sent yet, so a failure is still a failure of the whole.
                (_, Poll::Ready(Err(error))) => Poll::Ready(Err(error)),
                (Some(answer), _) => Poll::Ready(answer),
                (None, Poll::Ready(Ok(()))) => Poll::Ready(Err(CallError::NoResponse)),
                (None, Poll::Pending) => Poll::Pending,
            }
        })
        .await;
        match answer {
            Ok(response) => Ok(response.map(|body| GuestBody::new(body, guest))),
            Err(error) => Err(call.failed(error)),
        }
    }

    /// Makes a first instance of a handler before there is a request: one that cannot be made is known of, and what
    /// making one takes is in memory, the compiled code included. It waits for a request for a while, like any spare. Of
    /// commands there is no instance before a call.
    ///
    /// # Errors
    ///
    /// [`CallError`], as the first request would get it.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with time enabled.
    pub async fn warm_up(&self) -> Result<(), CallError> {
        let call = Arc::new(Call::preparing(Arc::clone(&self.0)));
        let future: GuestFuture = {
            let (inner, call) = (Arc::clone(&self.0), Arc::clone(&call));
            Box::pin(async move {
                let module = inner.module().await?;
                module.map_code();
                match &module.entry {
                    Entry::Handler02(handler) => handler.warm_up(&module, &call).await,
                    Entry::Handler03(handler) => handler.warm_up(&module, &call).await,
                    Entry::Command02(_) | Entry::Preview1(_) => Ok(()),
                }
            })
        };
        to_its_end(call, future).await
    }

    fn serve(&self, call: Arc<Call>, request: http::Request<WasiBody>) -> GuestFuture {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let module = inner.module().await?;
            match &module.entry {
                Entry::Handler02(handler) => handler.run(&module, call, request).await,
                Entry::Handler03(handler) => handler.run(&module, call, request).await,
                Entry::Command02(_) | Entry::Preview1(_) => cgi::run(&module, call, request).await,
            }
        })
    }

    /// Runs a command to its end and returns its exit code. Neither the deadline nor the processor
    /// time of a request hold here; memory does.
    ///
    /// # Errors
    ///
    /// [`CallError`], also when the file is no command. Dropping the future ends the command.
    pub async fn run(&self, io: CommandIo) -> Result<i32, CallError> {
        // Far enough for any job, near enough for a timer.
        const FOR_EVER: Duration = Duration::from_hours(10 * 365 * 24);
        let timeout = io.timeout.unwrap_or(FOR_EVER);
        let call = Arc::new(Call::new(
            Arc::clone(&self.0),
            timeout,
            FOR_EVER,
            CallContext::default(),
            None,
        ));
        let code = Arc::new(OnceLock::new());
        let future: GuestFuture = {
            let (inner, call, code) = (Arc::clone(&self.0), Arc::clone(&call), Arc::clone(&code));
            Box::pin(async move {
                let module = inner.module().await?;
                let stdio = io.into_stdio(&call);
                let exit = command::run(&module, call, stdio).await?;
                // The cell is set here only.
                let _ = code.set(exit);
                Ok(())
            })
        };
        to_its_end(call, future).await?;
        code.get().copied().ok_or(CallError::NoResponse)
    }
}

/// Runs a guest that nobody waits for an answer of, within its time; tells of its failure.
async fn to_its_end(call: Arc<Call>, future: GuestFuture) -> Result<(), CallError> {
    let mut guest = Guest::new(Arc::clone(&call), future);
    let ended = poll_fn(|context| Guest::poll(&mut guest, context)).await;
    ended.map_err(|error| call.failed(error))
}

impl Inner {
    pub(crate) fn new(
        spec: Arc<Function>,
        observer: Arc<dyn Observer>,
        kind: Kind,
        digest: String,
        wasm: Wasm,
        engine: Arc<Shared>,
        module: Module,
    ) -> Arc<Self> {
        let module = RwLock::new(Some(Warm::new(Arc::new(module))));
        let client = OnceLock::new();
        Arc::new(Self {
            spec,
            observer,
            kind,
            digest,
            wasm,
            engine,
            module,
            client,
        })
    }

    pub(crate) fn activate(&self) -> Active {
        self.engine.ticker.activate()
    }

    /// The client for outbound calls, made when the function first makes one.
    pub(crate) fn client(&self) -> &OutboundClient {
        self.client
            .get_or_init(|| client::new(Arc::clone(&self.spec), Arc::clone(self.engine.tls())))
    }

    /// The module, taken from memory or, after a long rest, from the cache.
    async fn module(self: &Arc<Self>) -> Result<Arc<Module>, CallError> {
        if let Some(warm) = &*self.module.read().unwrap_or_else(PoisonError::into_inner) {
            warm.called
                .store(true, std::sync::atomic::Ordering::Relaxed);
            return Ok(Arc::clone(&warm.module));
        }
        let module = self.engine.reload(self).await.map_err(CallError::Reload)?;
        let module = Arc::new(module);
        // Two calls may have loaded it at once: the first one to arrive is kept.
        let mut slot = self.module.write().unwrap_or_else(PoisonError::into_inner);
        let warm = slot.get_or_insert_with(|| Warm::new(module));
        let module = Arc::clone(&warm.module);
        drop(slot);
        self.engine.watch(Arc::downgrade(self));
        Ok(module)
    }

    /// Puts aside what has been idle for long. Says whether there is more to put aside later.
    pub(crate) fn sweep(&self) -> bool {
        use std::sync::atomic::Ordering;
        let mut slot = self.module.write().unwrap_or_else(PoisonError::into_inner);
        let Some(warm) = &mut *slot else { return false };
        let idle = patience(&self.spec.instances);
        match &warm.module.entry {
            Entry::Handler02(handler) => handler.idle().sweep(idle),
            Entry::Handler03(handler) => handler.idle().sweep(idle),
            Entry::Command02(_) | Entry::Preview1(_) => false,
        };
        if warm.called.swap(false, Ordering::Relaxed) {
            warm.since = Instant::now();
        }
        if warm.since.elapsed() < self.engine.module_idle.unwrap_or(MODULE_IDLE) {
            return true;
        }
        // A call under way has its own reference; unmapping waits for the last one.
        let module = slot.take();
        drop(slot);
        drop(module);
        false
    }
}

/// Functions that may have something to put aside.
pub(crate) type Watched = Vec<Weak<Inner>>;
