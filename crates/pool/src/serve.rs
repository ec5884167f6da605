//! The pool without its watches: everything that serves functions, fed with events.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use sampan_allocator::release_memory;
use sampan_artifact::Trust;
use sampan_crd::POOL_DRAIN_PER_FUNCTION;
use sampan_engine::{CompileCommand, Engine, EngineConfig, EngineError, SharedProcessors};
use sampan_runner::{Metrics, Ports, ServerConfig, Summary};
use sampan_telemetry::{Health, Registry};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::artifacts::Artifacts;
use crate::event::Event;
use crate::fields::PodFields;
use crate::load::Loader;
use crate::metrics::PoolMetrics;
use crate::objects::ObjectKey;
use crate::peers::{PeerSettings, Peers};
use crate::pool::{Parts, Pool};
use crate::readiness::Readiness;
use crate::report::Reports;
use crate::snapshot::Snapshot;
use crate::wanted_objects::WantedObjects;

/// Events that wait for the pool; a watch that is ahead waits.
const MAX_EVENTS: usize = 1024;

/// Settings of a pool.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder of the snapshot, which contains secrets: in memory.
    pub state: PathBuf,
    /// The folder of images and compiled modules: on a disk.
    pub cache: PathBuf,
    /// The program that compiles.
    pub compiler: CompileCommand,
    /// The most instances at once, over all functions.
    pub instances: u32,
    /// The most linear memory of all instances, in bytes; `None` for no budget.
    pub instance_memory: Option<u64>,
    /// The processors of this process. The runtime has more threads, for requests beside functions that compute.
    pub processors: usize,
    /// Limits of connections, and the time of the drain.
    pub server: ServerConfig,
    /// Registries without TLS.
    pub plain_http_registries: Vec<String>,
    /// The certificate authorities of registries.
    pub trust: Trust,
    /// The most concurrent downloads, loads of new modules, and loads of known ones.
    pub loads: usize,
    /// How long readiness waits for the next function that is loaded, if another one is served.
    pub ready_timeout: Duration,
    /// How long a restarted pod waits for the list of functions before it gets ready without one.
    pub list_timeout: Duration,
    /// The fields of the pool's pod.
    pub fields: PodFields,
    /// How it shares compiled modules with other pods; `None` for a pod that compiles everything itself.
    pub peers: Option<PeerSettings>,
}

/// Reasons why a pool could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The engine did not start.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The address for the other pods cannot be used.
    #[error("{address} cannot be listened on: choose another --peer-listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// A folder cannot be used.
    #[error("the folder {} cannot be used: mount a writable volume there, or choose another with {option}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The option that chooses it.
        option: &'static str,
        /// The cause.
        source: io::Error,
    },
}

/// A pool that serves.
pub struct Serving {
    /// Takes what the watches see. The pool ends after the last sender.
    pub events: mpsc::Sender<Event>,
    /// The names of the objects whose data the pool wants.
    pub wanted: WantedObjects,
    /// The reports of its functions.
    pub reports: Reports,
    readiness: Readiness,
    ports: Ports,
    task: JoinHandle<()>,
    peer_server: Option<JoinHandle<()>>,
}

/// Starts a pool, which first serves what its folder says that it served before. The receiver gets
/// the name of each object whose data the pool wants from then on.
///
/// # Errors
///
/// [`StartError`], which names the folder or the engine's fault.
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn serve(
    settings: Settings,
    registry: &Registry,
    health: Health,
) -> Result<(Serving, UnboundedReceiver<ObjectKey>), StartError> {
    let mut config = EngineConfig::new(settings.cache.join("compiled"), settings.compiler);
    config.instances = settings.instances;
    config.release_memory = release_memory;
    config.instance_memory = settings.instance_memory;
    config.shared_processors = Some(SharedProcessors {
        processors: settings.processors,
        threads: Handle::current().metrics().num_workers(),
    });
    let function_metrics = Metrics::register(registry);
    let metrics = PoolMetrics::register(registry);
    let peers = settings
        .peers
        .as_ref()
        .map(|own| (own, Peers::new(own, metrics.clone())));
    let shared = peers
        .as_ref()
        .map(|(own, peers)| peers.shared_modules(own.key.clone()));
    config.shared_modules = shared;
    let engine = Engine::new(&config)?;
    let peer_server = match &peers {
        Some((own, peers)) => Some(serve_modules(own, peers, &engine)?),
        None => None,
    };
    let images = settings.cache.join("pulled");
    let plain_http = settings.plain_http_registries;
    let loads = settings.loads;
    let artifacts = Artifacts::open(images.clone(), plain_http, settings.trust, loads);
    let artifacts = artifacts.map_err(|source| StartError::Folder {
        folder: images,
        option: "--cache",
        source,
    })?;
    let opened = Snapshot::open(&settings.state);
    let (snapshot, restored) = opened.map_err(|source| StartError::Folder {
        folder: settings.state,
        option: "--state",
        source,
    })?;
    tracing::info!(
        functions = restored.records.len(),
        complete = restored.is_complete,
        "restored from the snapshot"
    );

    let guests = engine.guests().clone();
    let ports = Ports::new(settings.server, function_metrics.clone(), guests);
    let loader = Loader::new(engine, artifacts, function_metrics, metrics.clone(), loads);
    let (wanted, added) = WantedObjects::new();
    let (reports, readiness) = (Reports::default(), Readiness::new(health));
    let parts = Parts {
        fields: settings.fields,
        loader,
        ports: ports.clone(),
        reports: reports.clone(),
        metrics,
        snapshot,
        wanted: wanted.clone(),
        readiness: readiness.clone(),
        ready_timeout: settings.ready_timeout,
        list_timeout: settings.list_timeout,
    };
    let (events, received) = mpsc::channel(MAX_EVENTS);
    let task = tokio::spawn(Pool::new(parts, restored).run(received));
    let serving = Serving {
        events,
        wanted,
        reports,
        readiness,
        ports,
        task,
        peer_server,
    };
    Ok((serving, added))
}

/// How long a pod that ends goes on accepting requests.
fn serves_on_for(delay: Duration, functions: usize) -> Duration {
    let others = u32::try_from(functions.saturating_sub(1)).unwrap_or(u32::MAX);
    delay.saturating_add(POOL_DRAIN_PER_FUNCTION.saturating_mul(others))
}

fn serve_modules(
    own: &PeerSettings,
    peers: &Peers,
    engine: &Engine,
) -> Result<JoinHandle<()>, StartError> {
    let address = own.listen;
    peers
        .serve(address, engine.clone())
        .map_err(|source| StartError::Listen { address, source })
}

impl Serving {
    /// Ready when the pool has ended, which only a fault of this program causes while its events
    /// have a sender.
    pub async fn ended(&mut self) {
        // A panic is in the log already.
        let _ = (&mut self.task).await;
    }

    /// Gets unready, serves on until every proxy knows, and then drains. That takes `delay` for a function, and
    /// [`POOL_DRAIN_PER_FUNCTION`] more for each other one, because their endpoints change one after the other.
    pub async fn stop(self, delay: Duration) -> Summary {
        self.readiness.stop();
        let functions = self.reports.count();
        let until_drain = serves_on_for(delay, functions);
        tracing::info!(
            functions,
            ?until_drain,
            "serving on until no proxy leads here"
        );
        sleep(until_drain).await;
        let summary = self.ports.drain().await;
        self.task.abort();
        if let Some(server) = self.peer_server {
            server.abort();
        }
        summary
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_serves_on_while_the_endpoints_of_its_functions_change() {
        fn check(delay: u64, functions: usize, expected: u64) {
            let found = serves_on_for(Duration::from_secs(delay), functions);
            assert_eq!(found, Duration::from_millis(expected), "{functions}");
        }
        check(3, 0, 3_000);
        check(3, 1, 3_000);
        check(3, 9, 3_400);
        check(0, 1_001, 50_000);
        check(5, 20_000, 1_004_950);
    }
}
