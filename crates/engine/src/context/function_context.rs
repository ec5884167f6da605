//! Parts of a loaded function that its calls need: specification, observer, and client for outbound
//! calls. The function's module is not among them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use sampan_spec::Function;
use tokio::task::spawn_blocking;

use super::engine_context::EngineContext;
use super::fair_share::FunctionShare;
use super::function_accounts::{Accounts, Version};
use super::guest_time;
use super::guests::Guests;
use super::memory_account::FunctionMemory;
use super::prewarm_budget::PrewarmBudget;
use super::ticker::Active;
use super::turn::Turn;
use super::upkeep::Sweep;
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
    /// The memory of its instances.
    pub(crate) memory: Arc<FunctionMemory>,
    /// Its share of the processors, where functions share them.
    share: Option<Arc<FunctionShare>>,
    version: Version,
    /// Whether a request has come to this version.
    was_requested: AtomicBool,
    /// Limits the reports about outbound calls.
    pub(crate) report_limit: ReportLimit,
}

/// The result of a poll.
pub(crate) struct Measured<T> {
    pub(crate) result: T,
    /// Its processor time; zero where it is not measured.
    pub(crate) spent: Duration,
    pub(crate) ended: Instant,
}

impl FunctionContext {
    /// Makes the context, and reads the function's certificate authorities. `identity` is that of the function's other
    /// versions, with which it shares its accounts; `None` for a function without any.
    ///
    /// # Errors
    ///
    /// [`LoadError::Authorities`], when they cannot be read.
    pub(crate) fn new(
        spec: Arc<Function>,
        identity: Option<&str>,
        observer: Arc<dyn Observer>,
        kind: Kind,
        engine: Arc<EngineContext>,
    ) -> Result<Arc<Self>, LoadError> {
        let authorities = engine.authorities();
        let tls = authorities.with_files(&spec.certificate_authorities)?;
        let Accounts {
            share,
            memory,
            version,
        } = engine.join(identity, &spec);
        Ok(Arc::new(Self {
            share,
            memory,
            version,
            was_requested: AtomicBool::new(false),
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

    /// Drops the idle instances of all functions; with an engine, only those in its pool.
    pub(crate) fn drop_idle_instances(&self, engine: Option<&wasmtime::Engine>) {
        self.engine.drop_idle_instances(engine);
    }

    /// Lets other versions of the function drop the idle instances of this one.
    pub(crate) fn watch(&self, module: Weak<dyn Sweep>) {
        self.version.watch(module);
    }

    /// Drops the idle instances of the function's other versions. They have memory of its budget, and this version
    /// cannot use them.
    pub(super) async fn drop_idle_of_other_versions(&self) {
        let others = self.version.others();
        if others.is_empty() {
            return;
        }
        // It may be many instances, each with memory to reset.
        let dropping = spawn_blocking(move || {
            for other in others {
                other.drop_idle_instances(None);
            }
        });
        if let Err(error) = dropping.await {
            tracing::warn!(%error, "idle instances were not dropped");
        }
    }

    /// Notes a request. Returns whether it is the first one of this version.
    pub(crate) fn is_first_request(&self) -> bool {
        // Processors that only read keep the line in their caches.
        !self.was_requested.load(Ordering::Relaxed)
            && !self.was_requested.swap(true, Ordering::Relaxed)
    }

    /// Whether the pool of this engine has no room for another instance.
    pub(crate) fn is_full(&self, engine: &wasmtime::Engine) -> bool {
        self.engine.is_full(engine)
    }

    /// The turns of another guest; `None` while each may run at once.
    pub(crate) fn turn(&self) -> Option<Box<Turn>> {
        let share = self.share.as_ref().filter(|share| share.is_limited())?;
        Some(Box::new(Turn::new(Arc::clone(share))))
    }

    /// Polls a guest of this function, and measures its processor time if functions share processors.
    pub(crate) fn measure<T>(&self, began: Instant, poll: impl FnOnce() -> T) -> Measured<T> {
        if self.share.is_some() {
            guest_time::begin(began);
        }
        let result = poll();
        let ended = Instant::now();
        let mut spent = Duration::ZERO;
        if let Some(share) = &self.share {
            spent = guest_time::end(began, ended);
            self.observer.guest_time(spent);
            share.polled(spent, ended.saturating_duration_since(began), ended);
        }
        Measured {
            result,
            spent,
            ended,
        }
    }

    /// Polls work for the instances of this function that has no turn, and counts its processor time.
    pub(crate) fn measure_aside<T>(&self, poll: impl FnOnce() -> T) -> T {
        let Measured { result, spent, .. } = self.measure(Instant::now(), poll);
        if let Some(share) = &self.share {
            share.charge(spent);
        }
        result
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
