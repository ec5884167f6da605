//! Compiled modules from the other pods of the pool, so that a module is compiled once for all of them.
//!
//! A pod that lacks a module asks others for it, and compiles it when they do not have it. The file of a module ends
//! with a keyed hash, which the engine verifies before it loads anything. The pods have the key from a Secret that the
//! operator makes. Requests and answers have [proofs](proof) of the same key.
//!
//! When several pods want a module at once, the one of the highest [rank](rank) for it compiles. The others wait for its
//! answer. A pod waits only for one that compiles or has a higher rank, so no two wait for each other. Every wait has a
//! limit, after which the pod compiles.

mod client;
mod in_flight;
mod known;
mod proof;
mod rank;
mod server;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sampan_engine::{CacheKey, Engine, MissingModule, ModuleName, ModulePeers, SharedModules};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use self::client::{Answer, FetchError, ModuleClient};
use self::in_flight::{InFlight, PendingModule};
use self::known::KnownPods;
use self::proof::Prover;
use self::server::{ModuleServer, serve};
use crate::metrics::{PeerResult, PoolMetrics};

/// Headers of a request: the address of the pod that asks, and a random number.
const FROM: &str = "sampan-from";
const NONCE: &str = "sampan-nonce";

/// Header of an answer: its proof. That of a request is in `Authorization`, after the scheme.
const PROOF: &str = "sampan-proof";
const SCHEME: &str = "Sampan";

/// The path before the name of a module.
const MODULES: &str = "/modules/";

/// The most pods that are asked for one module. Each of them should have what is served.
const MOST_ASKED: usize = 3;

/// Time limit for all of them together. A module with a language's engine takes as long to compile.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);

/// How a pod shares compiled modules with others.
#[derive(Clone, Debug)]
pub struct PeerSettings {
    /// The key of the pool.
    pub key: CacheKey,
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The address by which the others reach this pod.
    pub own: SocketAddr,
    /// The names of the pods, as `HOST:PORT`; each may have many addresses, and this pod's among them.
    pub pods: Vec<String>,
}

/// The other pods. Clones share it.
#[derive(Clone)]
pub(crate) struct Peers(Arc<Shared>);

struct Shared {
    prover: Prover,
    client: ModuleClient,
    in_flight: InFlight,
    pods: KnownPods,
    own: SocketAddr,
    metrics: PoolMetrics,
}

/// A module that this pod lacks.
struct Missing {
    pending: PendingModule,
    shared: Arc<Shared>,
}

impl Peers {
    pub(crate) fn new(settings: &PeerSettings, metrics: PoolMetrics) -> Self {
        let prover = Prover::new(&settings.key);
        Self(Arc::new(Shared {
            client: ModuleClient::new(prover.clone(), settings.own),
            prover,
            in_flight: InFlight::default(),
            pods: KnownPods::new(settings.pods.clone(), settings.own),
            own: settings.own,
            metrics,
        }))
    }

    /// For the engine's configuration.
    pub(crate) fn shared_modules(&self, key: CacheKey) -> SharedModules {
        let peers = Arc::new(self.clone());
        SharedModules { key, peers }
    }

    /// Starts to give modules to the others.
    ///
    /// # Errors
    ///
    /// When the address cannot be listened on.
    pub(crate) fn serve(&self, listen: SocketAddr, engine: Engine) -> io::Result<JoinHandle<()>> {
        let listener = std::net::TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let server = ModuleServer {
            engine,
            prover: self.0.prover.clone(),
            in_flight: self.0.in_flight.clone(),
            own: self.0.own,
        };
        Ok(tokio::spawn(serve(listener, server)))
    }
}

impl ModulePeers for Peers {
    fn missing(&self, name: &ModuleName) -> Box<dyn MissingModule> {
        Box::new(Missing {
            pending: self.0.in_flight.add(name.clone()),
            shared: Arc::clone(&self.0),
        })
    }
}

impl MissingModule for Missing {
    fn fetch(&self) -> Pin<Box<dyn Future<Output = Option<Vec<u8>>> + Send + '_>> {
        Box::pin(self.shared.fetch(self.pending.name()))
    }

    fn set_compiling(&self) {
        self.pending.set_compiling();
    }
}

impl Shared {
    /// Asks some of the pods, one after the other; `None` when none of them gives the module in time.
    async fn fetch(&self, name: &ModuleName) -> Option<Vec<u8>> {
        let deadline = Instant::now() + FETCH_TIMEOUT;
        let pods = self.pods.others().await;
        for pod in rank::in_order(name, pods, MOST_ASKED) {
            let asked = timeout_at(deadline, self.fetch_from(name, pod)).await;
            match asked.unwrap_or(Err(FetchError::Slow)) {
                Ok(Some(file)) => {
                    self.metrics.asked_peer(PeerResult::Fetched);
                    return Some(file);
                }
                Ok(None) => self.metrics.asked_peer(PeerResult::Missing),
                Err(error) => {
                    self.metrics.asked_peer(PeerResult::Failed);
                    self.pods.set_failed(pod);
                    // The module comes from another pod or is compiled here, so this costs time only.
                    tracing::warn!(
                        %pod, module = %name, %error, cause = error.cause(),
                        "a pod of the pool gave no module"
                    );
                }
            }
        }
        None
    }

    /// Asks a pod until it has the module, or does not get it.
    async fn fetch_from(
        &self,
        name: &ModuleName,
        pod: SocketAddr,
    ) -> Result<Option<Vec<u8>>, FetchError> {
        loop {
            match self.client.ask(name, pod).await? {
                Answer::File(file) => return Ok(Some(file)),
                Answer::Missing => return Ok(None),
                // The pod has waited before it has said so.
                Answer::Pending => {}
            }
        }
    }
}

/// The path of a module.
fn path(name: &ModuleName) -> String {
    format!("{MODULES}{name}")
}

/// The module of a path.
fn module_of(path: &str) -> Option<ModuleName> {
    path.strip_prefix(MODULES)?.parse().ok()
}
