//! `pool-cluster`: compares functions in a pool with containers in pods, on a real cluster, in turns.

mod burst;
mod created;
mod deployment;
mod further;

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum as _;
use kube::api::{Api, DynamicObject};
use sampan_measure::cluster::Cluster;
use sampan_measure::files::Files;
use sampan_measure::functions::functions;
use sampan_measure::namespace::Namespace;
use sampan_measure::netns_thread::NetnsThread;
use sampan_measure::pool;

use crate::arguments::{PoolCluster, PoolClusterMeasure};
use crate::pooled::{self, Modules, PortWatch};
use crate::report::{Row, Unit, publish};

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(2);
/// The function that stays, so that the pool does, and has the module of others.
const RESIDENT: &str = "resident";

/// The context of all measurements.
struct Bench<'a> {
    asked: &'a PoolCluster,
    cluster: Cluster,
    namespace: Namespace,
    netns_thread: NetnsThread,
    modules: Modules,
}

/// Runs the requested measurements.
pub(crate) async fn run(asked: &PoolCluster) -> Result<ExitCode> {
    let cluster = Cluster::find()?;
    let netns_thread = NetnsThread::enter(&cluster.node()?.netns)?;
    let modules = Modules::new(&Files::find()?)?;
    let namespace = Namespace::create(cluster.client().await?, "bench-pool").await?;
    let bench = Bench {
        asked,
        cluster,
        namespace,
        netns_thread,
        modules,
    };
    let mut rows = Vec::new();
    let measured = bench.all(&mut rows).await;
    // No pod stays and no sample is lost, however the measurements end; the first error is the one
    // to report.
    let removed = bench.namespace.remove().await;
    publish(rows, &asked.json)?;
    measured.and(removed).map(|()| ExitCode::SUCCESS)
}

impl Bench<'_> {
    async fn all(&self, rows: &mut Vec<Row>) -> Result<()> {
        let pool = self.pool().await?;
        for measure in PoolClusterMeasure::value_variants() {
            if !self.asked.measures.is_empty() && !self.asked.measures.contains(measure) {
                continue;
            }
            eprintln!("==> {measure:?}");
            rows.extend(match measure {
                PoolClusterMeasure::Created => created::measure(self, pool).await?,
                PoolClusterMeasure::Burst => burst::measure(self, pool).await?,
                // The last one: it replaces the pod of the others.
                PoolClusterMeasure::Further => further::measure(self).await?,
            });
        }
        Ok(())
    }

    /// Makes the pool, with one function that stays, and returns the address of its pod.
    async fn pool(&self) -> Result<IpAddr> {
        let functions = self.functions();
        let mut watch = PortWatch::start(functions.clone()).await?;
        pooled::create(&functions, RESIDENT, 0, &self.known_image()?).await?;
        let node = &self.cluster.node()?.name;
        pool::pin(&self.namespace, node).await?;
        let (_, address) = pool::ready_pod(&self.namespace, node, None).await?;
        let port = watch.port(RESIDENT).await?;
        self.netns_thread
            .until_ok(SocketAddr::new(address, port), ANSWER_TIMEOUT)
            .await?;
        Ok(address)
    }

    /// The functions of the namespace.
    fn functions(&self) -> Api<DynamicObject> {
        functions(self.namespace.client(), self.namespace.name())
    }

    /// The image of the module that the pool has.
    fn known_image(&self) -> Result<String> {
        self.cluster.image_in_cluster(&self.asked.images.wasm_image)
    }
}

/// A row of ratios of one turn each.
fn ratios(measure: &str, subject: &str, ours: &[f64], theirs: &[f64]) -> Row {
    let ratios = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs);
    Row::new(measure, subject, Unit::Ratio, ratios.collect())
}
