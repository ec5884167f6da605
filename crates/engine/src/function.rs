//! A loaded function and its calls.

use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Response};
use http_body_util::BodyExt as _;
use sampan_spec::Function;
use wasmtime_wasi_http::WasiBody;

use crate::body::GuestBody;
use crate::call::Call;
use crate::cgi;
use crate::client::Client;
use crate::command::{self, CommandIo};
use crate::engine::{Shared, Wasm};
use crate::error::{CallError, LoadError, RequestBodyError};
use crate::guest::{Guest, GuestFuture};
use crate::guests::Guests;
use crate::idle::idle_timeout;
use crate::kind::Kind;
use crate::module::{Entry, Module};
use crate::observer::Observer;
use crate::outbound::traceparent;
use crate::report_limit::ReportLimit;
use crate::ticker::Active;

/// How long an idle module stays in memory. The next call takes it from the cache on disk.
const MODULE_IDLE: Duration = Duration::from_mins(1);

/// A function that is compiled, linked and ready. Clones are cheap.
#[derive(Clone)]
pub struct LoadedFunction(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) spec: Arc<Function>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) kind: Kind,
    pub(crate) digest: String,
    pub(crate) wasm: Wasm,
    pub(crate) engine: Arc<Shared>,
    module: RwLock<Option<ResidentModule>>,
    /// The TLS configuration of a function with certificate authorities of its own.
    tls: Option<Arc<rustls::ClientConfig>>,
    client: OnceLock<Client>,
    /// Limits the reports about outbound calls.
    pub(crate) report_limit: ReportLimit,
}

/// A module in memory, with a mark of recent calls.
struct ResidentModule {
    module: Arc<Module>,
    since: Instant,
    /// Whether it was called since the last sweep.
    called: std::sync::atomic::AtomicBool,
}

impl ResidentModule {
    fn new(module: Arc<Module>) -> Self {
        Self {
            module,
            since: Instant::now(),
            called: false.into(),
        }
    }
}

/// Parameters of one call.
#[derive(Clone, Debug, Default)]
pub struct CallContext {
    /// Logged with the guest's output and with failures.
    pub request_id: Option<Box<str>>,
    /// Whether requests arrive without pause. If so, the instance is cleared before the response
    /// leaves, which is the least work. Otherwise it is cleared afterwards, for the earliest
    /// response.
    pub busy: bool,
    /// For commands that respond over CGI.
    pub cgi: Option<Box<CgiContext>>,
}

/// Parameters of a call over CGI that the request does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgiContext {
    /// The address of the client.
    pub remote: IpAddr,
    /// The path that leads to the function; empty if every path does.
    pub script_name: Box<str>,
    /// The function's own path, decoded.
    pub path_info: String,
}

impl LoadedFunction {
    /// The specification.
    pub fn function(&self) -> &Arc<Function> {
        &self.0.spec
    }

    /// The kind of its file.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The `sha256:...` digest of its WebAssembly bytes.
    pub fn digest(&self) -> &str {
        &self.0.digest
    }

    /// The guests of its engine that go on after their answers.
    pub fn guests(&self) -> &Guests {
        self.0.guests()
    }

    /// Serves an HTTP request. Its target has a scheme and an authority, which the guest sees.
    ///
    /// The guest runs while this future and then the response's body are polled. Dropping either
    /// cancels it, except by [`GuestBody::finish_in_background`]. Both streams are as long as the
    /// guest makes them.
    ///
    /// The call limits the guest's memory, its time and its output. It does **not** limit the
    /// following, which is left to the caller:
    ///
    /// - the request's head and body,
    /// - the number of concurrent requests beyond the pool of instances,
    /// - the time in which a client reads.
    ///
    /// # Errors
    ///
    /// [`CallError`], when there is no response. Failures after the head come as errors of the
    /// body. The function's observer has received each of them.
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
        let to_head = request.method() == Method::HEAD;
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
                // Nothing has been sent yet, so the whole call fails.
                (_, Poll::Ready(Err(error))) => Poll::Ready(Err(error)),
                (Some(answer), _) => Poll::Ready(answer),
                (None, Poll::Ready(Ok(()))) => Poll::Ready(Err(CallError::NoResponse)),
                (None, Poll::Pending) => Poll::Pending,
            }
        })
        .await;
        match answer {
            Ok(response) => GuestBody::respond(response, guest, to_head),
            Err(error) => Err(guest.fail(error)),
        }
    }

    /// Prewarms a first instance of a handler before there is a request. A failure thus shows
    /// early, and the memory that instantiation takes is resident, compiled code included. The
    /// instance then waits for a request like any other prewarmed one. Does nothing for commands,
    /// which have no instance before a call.
    ///
    /// # Errors
    ///
    /// [`CallError`], as the first request would return it.
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
                module.prefault_code();
                match &module.entry {
                    Entry::Handler02(handler) => handler.warm_up(&module, &call).await,
                    Entry::Handler03(handler) => handler.warm_up(&module, &call).await,
                    Entry::Command02(_) | Entry::Preview1(_) => Ok(()),
                }
            })
        };
        run_to_completion(call, future).await
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

    /// Runs a command and returns its exit code. The deadline and processor time of a request do
    /// not apply here; the memory limit does.
    ///
    /// # Errors
    ///
    /// [`CallError`], also when the file is not a command. Dropping the future ends the command.
    pub async fn run(&self, io: CommandIo) -> Result<i32, CallError> {
        // Longer than any job, and short enough for a timer.
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
                // Only this line sets the cell.
                let _ = code.set(exit);
                Ok(())
            })
        };
        run_to_completion(call, future).await?;
        code.get().copied().ok_or(CallError::NoResponse)
    }
}

/// Runs a guest without a caller to its end, within its time. Reports its failure.
async fn run_to_completion(call: Arc<Call>, future: GuestFuture) -> Result<(), CallError> {
    let mut guest = Guest::new(Arc::clone(&call), future);
    let ended = poll_fn(|context| Guest::poll(&mut guest, context)).await;
    ended.map_err(|error| call.failed(error))
}

impl Inner {
    /// Makes a loaded function of its parts, and reads its certificate authorities.
    ///
    /// # Errors
    ///
    /// [`LoadError::Authorities`], when they cannot be read.
    pub(crate) fn new(
        spec: Arc<Function>,
        observer: Arc<dyn Observer>,
        kind: Kind,
        digest: String,
        wasm: Wasm,
        engine: Arc<Shared>,
        module: Module,
    ) -> Result<Arc<Self>, LoadError> {
        let module = RwLock::new(Some(ResidentModule::new(Arc::new(module))));
        let tls = engine
            .authorities
            .with_files(&spec.certificate_authorities)?;
        Ok(Arc::new(Self {
            spec,
            observer,
            kind,
            digest,
            wasm,
            engine,
            module,
            tls,
            client: OnceLock::new(),
            report_limit: ReportLimit::default(),
        }))
    }

    pub(crate) fn activate(&self) -> Active {
        self.engine.ticker.activate()
    }

    pub(crate) fn guests(&self) -> &Guests {
        &self.engine.guests
    }

    /// The client for outbound calls, made on first use.
    pub(crate) fn client(&self) -> &Client {
        self.client.get_or_init(|| {
            let tls = self.tls.as_ref().unwrap_or_else(|| self.engine.tls());
            Client::new(Arc::clone(tls))
        })
    }

    /// Returns the module from memory or, if it was unloaded, from the cache.
    async fn module(self: &Arc<Self>) -> Result<Arc<Module>, CallError> {
        if let Some(resident) = &*self.module.read().unwrap_or_else(PoisonError::into_inner) {
            resident
                .called
                .store(true, std::sync::atomic::Ordering::Relaxed);
            return Ok(Arc::clone(&resident.module));
        }
        let module = self.engine.reload(self).await.map_err(CallError::Reload)?;
        let module = Arc::new(module);
        // Two calls may have loaded it at once; the first one is kept.
        let mut slot = self.module.write().unwrap_or_else(PoisonError::into_inner);
        let resident = slot.get_or_insert_with(|| ResidentModule::new(module));
        let module = Arc::clone(&resident.module);
        drop(slot);
        self.engine.watch(Arc::downgrade(self));
        Ok(module)
    }

    /// Unloads what has been idle for long. Returns whether a later sweep may unload more.
    pub(crate) fn sweep(&self) -> bool {
        use std::sync::atomic::Ordering;
        let mut slot = self.module.write().unwrap_or_else(PoisonError::into_inner);
        let Some(resident) = &mut *slot else {
            return false;
        };
        let idle = idle_timeout(&self.spec.instances);
        match &resident.module.entry {
            Entry::Handler02(handler) => handler.idle().sweep(idle),
            Entry::Handler03(handler) => handler.idle().sweep(idle),
            Entry::Command02(_) | Entry::Preview1(_) => false,
        };
        if resident.called.swap(false, Ordering::Relaxed) {
            resident.since = Instant::now();
        }
        if resident.since.elapsed() < self.engine.module_idle.unwrap_or(MODULE_IDLE) {
            return true;
        }
        // A running call has its own reference; the last one unmaps the module.
        let module = slot.take();
        drop(slot);
        drop(module);
        false
    }
}

/// Functions that a sweep may unload.
pub(crate) type Watched = Vec<Weak<Inner>>;
