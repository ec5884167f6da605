//! State of one call, shared by the poller of the guest and by the store in which the guest runs.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::Semaphore;
use wasmtime_wasi_http::WasiBody;

use super::clock::Clock;
use super::function_context::FunctionContext;
use super::memory_account::Reservation;
use crate::error::CallError;
use crate::request_id::RequestId;

/// The result of a handler.
pub(super) type Answer = Result<http::Response<WasiBody>, CallError>;

/// The most bytes of all responses that are read before the guest takes them, in addition to those of
/// connections in use.
const READ_AHEAD: usize = 1 << 20;

pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Parameters of one call.
#[derive(Clone, Debug, Default)]
pub struct CallContext {
    /// When the request arrived, from which its time limit counts: it may have waited since. `None` is now.
    pub arrived: Option<Instant>,
    /// Logged with the guest's output and with failures.
    pub request_id: Option<RequestId>,
    /// Whether requests arrive without pause. If so, the instance is cleared before the response
    /// leaves, which is the least work. Otherwise it is cleared afterwards, for the earliest
    /// response.
    pub busy: bool,
    /// For commands that respond over CGI.
    pub cgi: Option<Box<CgiContext>>,
    /// The trace that outbound calls continue, unless the guest sets its own.
    pub trace: Option<Box<TraceFields>>,
}

/// The fields of the W3C trace context, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceFields {
    /// `traceparent`.
    pub parent: HeaderValue,
    /// `tracestate`, as one field.
    pub state: Option<HeaderValue>,
}

impl TraceFields {
    /// Puts the fields into a head, in place of those that it has. A `tracestate` belongs to the `traceparent` beside it
    /// (W3C Trace Context, section 3.3), so one without a `traceparent` of its own does not stay.
    pub fn write(&self, headers: &mut HeaderMap) {
        headers.insert(TRACEPARENT, self.parent.clone());
        match &self.state {
            Some(state) => drop(headers.insert(TRACESTATE, state.clone())),
            None => drop(headers.remove(TRACESTATE)),
        }
    }
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

/// What a call gets.
pub(crate) enum Admitted<T> {
    /// An idle instance.
    ToIdle(T),
    /// The memory of a new instance.
    ToNew(Reservation),
}

pub(crate) struct Call {
    pub(crate) function: Arc<FunctionContext>,
    pub(crate) clock: Clock,
    pub(crate) request_id: Option<RequestId>,
    pub(crate) busy: bool,
    pub(crate) cgi: Option<Box<CgiContext>>,
    pub(crate) trace: Option<Box<TraceFields>>,
    /// Written by the guest within a poll and taken by the poller right after it, so it needs no
    /// waker.
    answer: Mutex<Option<Answer>>,
    /// Whether it runs in an instance that was made before.
    took_idle: AtomicBool,
    /// Whether the guest has set a response. Only the thread that polls the guest uses this.
    has_responded: AtomicBool,
    /// The free ones of `limits.outboundConnections`.
    outbound: Semaphore,
    /// Whether the ticker has interrupted the guest in its last poll.
    was_interrupted: AtomicBool,
    /// Whether it waits until other instances of the function give memory back.
    memory_waiting: AtomicBool,
    /// How many outbound calls wait for a free connection.
    outbound_waiting: AtomicU32,
    /// The free part of [`READ_AHEAD`]. Most calls never use it.
    ahead: OnceLock<Arc<Semaphore>>,
}

impl Call {
    pub(crate) fn new(
        function: Arc<FunctionContext>,
        timeout: Duration,
        processor_limit: Duration,
        context: CallContext,
    ) -> Self {
        let connections = function.spec.limits.outbound_connections;
        Self {
            function,
            clock: Clock::start(context.arrived, timeout, processor_limit),
            request_id: context.request_id,
            busy: context.busy,
            cgi: context.cgi,
            trace: context.trace,
            answer: Mutex::new(None),
            took_idle: AtomicBool::new(false),
            has_responded: AtomicBool::new(false),
            outbound: Semaphore::new(usize::try_from(connections).unwrap_or(usize::MAX)),
            was_interrupted: AtomicBool::new(false),
            memory_waiting: AtomicBool::new(false),
            outbound_waiting: AtomicU32::new(0),
            ahead: OnceLock::new(),
        }
    }

    /// Makes a call under which an instance is prewarmed. It has the time limits of a normal call.
    pub(crate) fn preparing(function: Arc<FunctionContext>) -> Self {
        let (timeout, processor_time) = {
            let limits = &function.spec.limits;
            (limits.timeout, limits.processor_time)
        };
        Self::new(function, timeout, processor_time, CallContext::default())
    }

    pub(crate) fn answer(&self, answer: Answer) {
        self.has_responded.store(answer.is_ok(), Ordering::Relaxed);
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
    }

    pub(crate) fn take_answer(&self) -> Option<Answer> {
        self.answer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Whether the guest has set a response. An instance that has not, or has set an error instead,
    /// may be broken and serves no further request.
    pub(crate) fn has_responded(&self) -> bool {
        self.has_responded.load(Ordering::Relaxed)
    }

    /// Notes that the ticker interrupts the guest, which wants to go on.
    pub(crate) fn interrupt(&self) {
        self.was_interrupted.store(true, Ordering::Relaxed);
    }

    /// Whether the guest was interrupted since the last call of this.
    pub(crate) fn take_interrupt(&self) -> bool {
        // Only the thread that polls the guest uses this.
        let was_interrupted = self.was_interrupted.load(Ordering::Relaxed);
        if was_interrupted {
            self.was_interrupted.store(false, Ordering::Relaxed);
        }
        was_interrupted
    }

    /// Reports a failure to the function's observer and returns it. Every failure passes here
    /// exactly once.
    pub(crate) fn failed(&self, error: CallError) -> CallError {
        self.function
            .observer
            .failed(&error, self.request_id.as_ref());
        error
    }

    /// The failure of a call after its deadline.
    pub(crate) fn deadline_error(&self) -> CallError {
        if self.memory_waiting.load(Ordering::Relaxed) {
            let limit = self.function.memory.budget();
            return CallError::TotalMemory { limit };
        }
        match self.clock.deadline_error() {
            CallError::Deadline { limit } if self.outbound_waiting.load(Ordering::Acquire) > 0 => {
                CallError::OutboundConnections {
                    limit,
                    connections: self.function.spec.limits.outbound_connections,
                }
            }
            error => error,
        }
    }

    /// Waits for a change of the memory of the function. The call's deadline ends the wait, and is then
    /// a lack of memory.
    pub(crate) async fn wait_for_memory<T>(&self, changed: impl Future<Output = T>) -> T {
        self.memory_waiting.store(true, Ordering::Relaxed);
        let result = changed.await;
        self.memory_waiting.store(false, Ordering::Relaxed);
        result
    }

    /// Waits for an idle instance, or for the memory of a new one. The caller holds the line of the function's memory.
    pub(crate) async fn admit<T>(&self, idle: impl Fn() -> Option<T>) -> Admitted<T> {
        let memory = &self.function.memory;
        loop {
            let changed = memory.changed();
            if let Some(instance) = idle() {
                self.took_idle.store(true, Ordering::Relaxed);
                return Admitted::ToIdle(instance);
            }
            if let Some(reserved) = memory.reserve() {
                return Admitted::ToNew(reserved);
            }
            self.function.drop_idle_of_other_versions().await;
            self.wait_for_memory(changed).await;
        }
    }

    /// Whether it runs in an instance that was made before the call.
    pub(crate) fn took_idle(&self) -> bool {
        self.took_idle.load(Ordering::Relaxed)
    }

    /// The budget of bytes that are read ahead of the guest.
    pub(crate) fn ahead(&self) -> Arc<Semaphore> {
        let budget = || Arc::new(Semaphore::new(READ_AHEAD));
        Arc::clone(self.ahead.get_or_init(budget))
    }

    /// Takes one of the call's outbound connections; `None` when all are in use, or calls wait for
    /// one.
    pub(crate) fn try_open_outbound(self: &Arc<Self>) -> Option<OutboundPermit> {
        let permit = self.outbound.try_acquire().ok()?;
        permit.forget();
        Some(OutboundPermit(Arc::clone(self)))
    }

    /// Waits for one of the call's outbound connections, in the order of the calls. The call's
    /// deadline ends the wait.
    pub(crate) async fn open_outbound(self: &Arc<Self>) -> OutboundPermit {
        let _waiting = Waiting::new(&self.outbound_waiting);
        let acquired = self.outbound.acquire().await;
        acquired.expect("nothing closes the semaphore").forget();
        OutboundPermit(Arc::clone(self))
    }
}

/// Counts a wait, until dropped.
struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One outbound connection in use, until dropped.
pub(crate) struct OutboundPermit(Arc<Call>);

impl Drop for OutboundPermit {
    fn drop(&mut self) {
        self.0.outbound.add_permits(1);
    }
}
