//! Parts of a loaded function that its calls need: specification, observer, and client for outbound
//! calls. The function's module is not among them.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use sampan_spec::Function;

use super::engine_context::EngineContext;
use super::guest_time;
use super::guests::Guests;
use super::prewarm_budget::PrewarmBudget;
use super::ticker::Active;
use crate::error::LoadError;
use crate::kind::Kind;
use crate::observer::Observer;
use crate::outbound::client::Client;
use crate::outbound::report_limit::ReportLimit;

pub(crate) struct FunctionContext {
    pub(crate) spec: Arc<Function>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) kind: Kind,
    engine: Arc<EngineContext>,
    /// The TLS configuration of a function with certificate authorities of its own.
    tls: Option<Arc<rustls::ClientConfig>>,
    client: OnceLock<Client>,
    /// Limits the reports about outbound calls.
    pub(crate) report_limit: ReportLimit,
}

impl FunctionContext {
    /// Makes the context, and reads the function's certificate authorities.
    ///
    /// # Errors
    ///
    /// [`LoadError::Authorities`], when they cannot be read.
    pub(crate) fn new(
        spec: Arc<Function>,
        observer: Arc<dyn Observer>,
        kind: Kind,
        engine: Arc<EngineContext>,
    ) -> Result<Arc<Self>, LoadError> {
        let authorities = engine.authorities();
        let tls = authorities.with_files(&spec.certificate_authorities)?;
        Ok(Arc::new(Self {
            spec,
            observer,
            kind,
            engine,
            tls,
            client: OnceLock::new(),
            report_limit: ReportLimit::default(),
        }))
    }

    /// Marks a call as active until the guard is dropped.
    pub(crate) fn activate(&self) -> Active {
        self.engine.activate()
    }

    /// The guests of the engine that go on after their answers.
    pub(crate) fn guests(&self) -> &Guests {
        self.engine.guests()
    }

    /// Drops the idle instances of all functions that have theirs in the pool of this engine.
    pub(crate) fn drop_idle_instances(&self, engine: &wasmtime::Engine) {
        self.engine.drop_idle_instances(engine);
    }

    /// Whether the pool of this engine has no room for another instance.
    pub(crate) fn is_full(&self, engine: &wasmtime::Engine) -> bool {
        self.engine.is_full(engine)
    }

    /// Polls a guest of this function, or other work for its instances, and counts its processor time.
    pub(crate) fn measure<T>(&self, began: Instant, poll: impl FnOnce() -> T) -> (T, Instant) {
        let measures = self.engine.measures_guest_time();
        if measures {
            guest_time::begin(began);
        }
        let polled = poll();
        let ended = Instant::now();
        if measures {
            self.observer.guest_time(guest_time::end(began, ended));
        }
        (polled, ended)
    }

    pub(crate) fn prewarm_budget(&self) -> &Arc<PrewarmBudget> {
        self.engine.prewarm_budget()
    }

    /// The client for outbound calls, made on first use.
    pub(crate) fn client(&self) -> &Client {
        self.client.get_or_init(|| {
            let tls = self.tls.as_ref().unwrap_or_else(|| self.engine.tls());
            Client::new(Arc::clone(tls))
        })
    }
}
