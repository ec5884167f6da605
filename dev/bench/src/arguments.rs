//! Parses the command line of `sampan-bench`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use sampan_experiments::{Paper, ReportOf};

/// Measures Sampan on this machine.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Compare functions with native programs, and measure starts and memory
    ///
    /// Prints a table and writes all samples as JSON. The contenders are measured in turns, several
    /// times. A ratio is that of one turn; the table shows the median of the turns with the least
    /// and the greatest. Needs Debian's package `wrk`.
    Engine(Engine),
    /// Call all functions many times, and check that nothing grows
    ///
    /// Every answer is checked. It fails when one is wrong, or when memory or open files grow after
    /// the first tenth of the requests.
    Soak(Soak),
    /// Compare functions in pods with containers in pods, on a real cluster
    ///
    /// Measures how long a pod takes to start, the memory of an idle one, and how long many at once
    /// take. Also measures the cost that the pod adds to a request. Both kinds are taken in turns
    /// on the same node.
    Pods(Pods),
    /// Measure the pool of functions, against a real API server and a real registry
    ///
    /// The operator and the pool run as processes beside them; there is no kubelet. Measures the
    /// memory of many idle functions, the first request of one that was never called, the time from
    /// a resource to its first answer, requests a second against `sampan up`, and the requests of
    /// quiet functions beside a busy one.
    Pool(Pool),
    /// Compare functions in a pool with containers in pods, on a real cluster
    ///
    /// Measures the time from a created resource to the first answer against that of a Deployment,
    /// and many at once. The kinds are taken in turns.
    PoolCluster(PoolCluster),
    /// Start and stop many pods, and check that nothing stays behind
    ///
    /// Both kinds, in batches. It fails when a process, a mount, a control group, a network
    /// namespace, a socket or a file is left.
    Churn(Churn),
    /// Repeat the published experiments: functions as components against the same ones in
    /// containers
    ///
    /// Nine experiments on a real cluster, both kinds in turns. Every sample is kept; an
    /// interrupted run is resumed with --resume. At the end the report is written beside the
    /// samples.
    Paper(Paper),
    /// Write the report of a run of `paper` again, from its samples alone
    ///
    /// report.html, which needs no network, report.md and PLOT.svg, the plot of the ratios.
    Report(ReportOf),
    /// Run the operator with many functions, against a real API server
    ///
    /// Measures how long it takes until it has set the status of all functions, its requests to the
    /// API server meanwhile, and its memory. Then counts its writes while nothing changes, which
    /// must be none.
    Operator(Operator),
}

#[derive(Debug, Args)]
pub(crate) struct Engine {
    /// Measure only these; all when none is named
    #[arg(value_enum, value_name = "MEASURE")]
    pub(crate) measures: Vec<Measure>,

    /// A `wasmtime` program to measure in the same run
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) against: Option<PathBuf>,

    /// How often everything is measured, in turns
    #[arg(long, value_name = "COUNT", default_value_t = 7)]
    pub(crate) repeats: usize,

    /// How long one load lasts, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 4)]
    pub(crate) seconds: u64,

    /// How many idle functions the measurement of memory has
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    pub(crate) idle: usize,

    /// The file of the samples
    #[arg(long, value_name = "FILE", default_value = "bench-engine.json")]
    pub(crate) json: PathBuf,
}

/// The measurements of `engine`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Measure {
    /// Requests a second at 50 connections, an instance a request and with instances reused
    Throughput,
    /// The median latency of one connection
    Latency,
    /// Processor time a request of each of the nine functions
    Processor,
    /// The first request to a function that was never called
    First,
    /// From a file's arrival in a watched folder to the first answer
    Arrival,
    /// Memory of idle functions
    Idle,
}

#[derive(Debug, Args)]
pub(crate) struct Soak {
    /// How many requests, over all functions
    #[arg(long, value_name = "COUNT", default_value_t = 100_000)]
    pub(crate) requests: u64,

    /// How many connections
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    pub(crate) connections: usize,
}

/// The images of both kinds. `cargo xtask bench` builds them and sets their names.
#[derive(Debug, Clone, Args)]
pub(crate) struct Images {
    /// The image of the component
    #[arg(long, value_name = "IMAGE", env = "SAMPAN_BENCH_WASM_IMAGE")]
    pub(crate) wasm_image: String,

    /// The image of the native program
    #[arg(long, value_name = "IMAGE", env = "SAMPAN_BENCH_CONTAINER_IMAGE")]
    pub(crate) container_image: String,
}

#[derive(Debug, Args)]
pub(crate) struct Pods {
    /// Measure only these; all when none is named
    #[arg(value_enum, value_name = "MEASURE")]
    pub(crate) measures: Vec<PodMeasure>,

    #[command(flatten)]
    pub(crate) images: Images,

    /// How often everything is measured, in turns
    #[arg(long, value_name = "COUNT", default_value_t = 18)]
    pub(crate) repeats: usize,

    /// How many pods are started at once for the burst
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub(crate) burst: usize,

    /// How long one load lasts, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 4)]
    pub(crate) seconds: u64,

    /// The file of the samples
    #[arg(long, value_name = "FILE", default_value = "bench-pods.json")]
    pub(crate) json: PathBuf,
}

/// The measurements of `pods`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PodMeasure {
    /// The calls that start a pod, and the time to its first answer
    Starts,
    /// Memory of an idle pod
    Memory,
    /// Many pods at once
    Burst,
    /// Requests a second in a pod against `sampan up`
    Throughput,
}

#[derive(Debug, Args)]
pub(crate) struct Pool {
    /// Measure only these; all when none is named
    #[arg(value_enum, value_name = "MEASURE")]
    pub(crate) measures: Vec<PoolMeasure>,

    /// How many functions the pool has; memory is also measured with a tenth of them
    #[arg(long, value_name = "COUNT", default_value = "10000", value_parser = functions)]
    pub(crate) functions: usize,

    /// How many distinct modules they have
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) modules: u64,

    /// How often loads are measured, in turns
    #[arg(long, value_name = "COUNT", default_value_t = 7)]
    pub(crate) repeats: usize,

    /// How long one load lasts, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 4)]
    pub(crate) seconds: u64,

    /// The file of the samples
    #[arg(long, value_name = "FILE", default_value = "bench-pool.json")]
    pub(crate) json: PathBuf,
}

/// The measurements of `pool`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PoolMeasure {
    /// Memory of idle functions
    Memory,
    /// The first request of a function that was never called
    First,
    /// From a created resource to its first answer
    Created,
    /// Requests a second against `sampan up`
    Throughput,
    /// Requests of quiet functions beside a busy one
    Neighbour,
}

/// Parses a count of which a tenth is at least one, and for which one pool has ports.
fn functions(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 10..=19_000) => Ok(count),
        _ => Err("it is a number from 10 to 19000".to_owned()),
    }
}

#[derive(Debug, Args)]
pub(crate) struct PoolCluster {
    /// Measure only these; all when none is named
    #[arg(value_enum, value_name = "MEASURE")]
    pub(crate) measures: Vec<PoolClusterMeasure>,

    #[command(flatten)]
    pub(crate) images: Images,

    /// How often everything is measured, in turns
    #[arg(long, value_name = "COUNT", default_value_t = 9)]
    pub(crate) repeats: usize,

    /// How many functions, and how many pods, are made at once for the burst
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    pub(crate) burst: usize,

    /// How many distinct modules a further pod of the pool has
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    pub(crate) further: usize,

    /// The file of the samples
    #[arg(long, value_name = "FILE", default_value = "bench-pool-cluster.json")]
    pub(crate) json: PathBuf,
}

/// The measurements of `pool-cluster`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PoolClusterMeasure {
    /// From a created resource to its first answer, against a Deployment that is created, and one
    /// that is scaled from zero
    Created,
    /// Many functions at once, against many pods
    Burst,
    /// A further pod of the pool, which gets its modules from the first, against one that compiles them
    Further,
}

#[derive(Debug, Args)]
pub(crate) struct Churn {
    #[command(flatten)]
    pub(crate) images: Images,

    /// How many pods of each kind
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    pub(crate) pods: usize,

    /// How many at once
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub(crate) batch: usize,
}

#[derive(Debug, Args)]
pub(crate) struct Operator {
    /// How many functions; each number has a server of its own
    #[arg(value_name = "COUNT", default_values_t = [1000, 10_000])]
    pub(crate) counts: Vec<usize>,

    /// The file of the samples
    #[arg(long, value_name = "FILE", default_value = "bench-operator.json")]
    pub(crate) json: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_has_at_least_ten_functions_and_a_port_for_each() {
        fn check(text: &str, expected: Option<usize>) {
            assert_eq!(functions(text).ok(), expected, "{text}");
        }
        check("10000", Some(10_000));
        check("10", Some(10));
        check("9", None);
        check("20000", None);
        check("many", None);
    }
}
