//! Parts of an engine that the calls of all its functions share: ticker, guests, budget and TLS.

use std::sync::{Arc, OnceLock, Weak};

use sampan_spec::Function;

use super::function_accounts::{Accounts, FunctionAccounts};
use super::guests::Guests;
use super::prewarm_budget::PrewarmBudget;
use super::ticker::{Active, Ticker};
use super::upkeep::{Sweep, SweepList, Upkeep};
use crate::compile::config::EngineConfig;
use crate::outbound::trust::Authorities;

pub(crate) struct EngineContext {
    ticker: Ticker,
    swept: SweepList,
    guests: Guests,
    prewarm_budget: Arc<PrewarmBudget>,
    /// The size of each engine's pool.
    instances: u32,
    accounts: FunctionAccounts,
    authorities: Authorities,
    tls: OnceLock<Arc<rustls::ClientConfig>>,
}

impl EngineContext {
    /// Starts the ticker of these engines, which have the pool of `config`.
    ///
    /// # Errors
    ///
    /// When the operating system refuses another thread.
    pub(crate) fn start(
        engines: Vec<wasmtime::Engine>,
        config: &EngineConfig,
    ) -> std::io::Result<Self> {
        let swept = SweepList::default();
        let accounts = FunctionAccounts::new(config);
        let ticker = Ticker::start(Upkeep {
            engines,
            functions: swept.clone(),
            fair: accounts.fair().cloned(),
            release_memory: config.release_memory,
        })?;
        Ok(Self {
            ticker,
            swept,
            guests: Guests::default(),
            prewarm_budget: PrewarmBudget::of(config.instances),
            instances: config.instances,
            accounts,
            authorities: config.authorities.clone(),
            tls: OnceLock::new(),
        })
    }

    /// Marks a call as active until the guard is dropped.
    pub(super) fn activate(&self) -> Active {
        self.ticker.activate()
    }

    /// Sweeps a function until it has no idle instances or modules in memory.
    pub(crate) fn watch(&self, function: Weak<dyn Sweep>) {
        self.swept.push(function);
        self.ticker.wake();
    }

    /// Drops the idle instances of all functions; with an engine, only those in its pool.
    pub(super) fn drop_idle_instances(&self, engine: Option<&wasmtime::Engine>) {
        for function in self.swept.functions() {
            if let Some(function) = function.upgrade() {
                function.drop_idle_instances(engine);
            }
        }
    }

    /// Whether the pool of this engine has no room for another instance.
    pub(super) fn is_full(&self, engine: &wasmtime::Engine) -> bool {
        let most = u64::from(self.instances);
        engine.pooling_allocator_metrics().is_some_and(|pool| {
            let memories = pool.memories().max(pool.stacks()) as u64;
            memories >= most || pool.component_instances() >= most
        })
    }

    /// The accounts of another version of the function with this identity; without one, of a function that has no other
    /// version.
    pub(super) fn join(&self, identity: Option<&str>, function: &Function) -> Accounts {
        self.accounts.join(identity, function)
    }

    pub(crate) fn guests(&self) -> &Guests {
        &self.guests
    }

    pub(super) fn prewarm_budget(&self) -> &Arc<PrewarmBudget> {
        &self.prewarm_budget
    }

    pub(super) fn authorities(&self) -> &Authorities {
        &self.authorities
    }

    /// The TLS configuration of outbound calls, made on first use. Its roots take memory that most
    /// functions never need.
    pub(super) fn tls(&self) -> &Arc<rustls::ClientConfig> {
        self.tls.get_or_init(|| self.authorities.config())
    }
}
