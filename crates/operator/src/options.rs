//! Command line of the operator, and the plan made from it.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use sampan_crd::pool_size;
use sampan_spec::Timespan;

use crate::build::{PoolSettings, Settings};
use crate::lease::Terms;

/// Turns each `WasmFunction` into a Deployment, a Service and an Ingress.
#[derive(Debug, Parser)]
#[command(name = "sampan-operator", version, about, max_term_width = 100)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) run: RunOptions,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the resource definitions, made from the program's own types.
    Crd,
}

/// Options of a running operator.
#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    /// Manage the functions of this namespace only. Without it: of all namespaces.
    #[arg(long, value_name = "NAMESPACE", env = "SAMPAN_NAMESPACE")]
    namespace: Option<String>,
    /// How often each function is reconciled without a change.
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "10m", env = "SAMPAN_RESYNC")]
    resync: Duration,
    /// How many functions are reconciled concurrently.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=256), default_value = "16")]
    concurrency: u16,
    /// How long a terminating pod accepts requests, until every proxy has removed it. Whole
    /// seconds; 0s disables the delay.
    #[arg(long, value_name = "TIME", value_parser = seconds, default_value = "3s", env = "SAMPAN_DRAIN_DELAY")]
    drain_delay: Duration,
    #[command(flatten)]
    pool: PoolOptions,
    /// The address that serves /metrics, /healthz and /readyz.
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "[::]:9090",
        env = "SAMPAN_ADMIN"
    )]
    pub(crate) admin: SocketAddr,
    /// Work only while holding a Lease, so that several operators can stand by.
    #[arg(long, env = "SAMPAN_LEADER_ELECTION")]
    leader_election: bool,
    /// The namespace of the Lease. Default: that of the operator's own pod or kubeconfig.
    #[arg(long, value_name = "NAMESPACE", env = "SAMPAN_LEASE_NAMESPACE")]
    pub(crate) lease_namespace: Option<String>,
    /// The name of the Lease.
    #[arg(long, value_name = "NAME", default_value = "sampan-operator")]
    lease_name: String,
    /// The name of this operator among several. Default: its host's name, which is its pod's.
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    identity: Option<String>,
    /// Format of log lines.
    #[arg(long, value_enum, default_value = "json", env = "SAMPAN_LOG_FORMAT")]
    pub(crate) log_format: Format,
    /// A log filter, such as info or `info,sampan_operator=debug`. Default: `RUST_LOG`, or info.
    #[arg(long, value_name = "FILTER")]
    pub(crate) log_filter: Option<String>,
}

/// Options of the pools of functions.
#[derive(Debug, Args)]
struct PoolOptions {
    /// The image of pools. Without it, no pool is made.
    #[arg(long = "pool-image", value_name = "IMAGE", env = "SAMPAN_POOL_IMAGE")]
    image: Option<String>,
    /// When nodes pull the image of pools: Always, `IfNotPresent` or Never.
    #[arg(long = "pool-image-pull-policy", value_name = "POLICY", value_parser = ["Always", "IfNotPresent", "Never"])]
    image_pull_policy: Option<String>,
    /// A Secret with credentials for the image of pools, in each namespace with a pool; may be given
    /// several times.
    #[arg(long = "pool-image-pull-secret", value_name = "NAME")]
    image_pull_secret: Vec<String>,
    /// The `RuntimeClass` of pools. Default: none, the cluster's default runtime.
    #[arg(long = "pool-runtime-class", value_name = "NAME", default_value = "")]
    runtime_class: String,
    /// Pods of each pool.
    #[arg(long = "pool-replicas", value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1000), default_value = "1")]
    replicas: u16,
    /// The resources of each pod of a pool, as JSON, such as `{"limits":{"memory":"8Gi"}}`.
    #[arg(long = "pool-resources", value_name = "JSON", value_parser = resources, default_value = POOL_RESOURCES)]
    resources: ResourceRequirements,
    /// How long a starting pod of a pool waits for the next function that is loaded before it is
    /// ready without the rest. Whole seconds.
    #[arg(long = "pool-ready-timeout", value_name = "TIME", value_parser = ready_timeout, default_value = "2m")]
    ready_timeout: Duration,
    /// The most memory of what each pod of a pool keeps for a restart of its container: a few KiB for
    /// each function.
    #[arg(long = "pool-state-size", value_name = "SIZE", value_parser = pool_size, default_value = "512Mi")]
    state_size: Quantity,
    /// The most disk of the compiled modules of each pod of a pool.
    #[arg(long = "pool-cache-size", value_name = "SIZE", value_parser = pool_size, default_value = "10Gi")]
    cache_size: Quantity,
    /// A registry, HOST or HOST:PORT, from which pools pull over HTTP without TLS; may be given
    /// several times.
    #[arg(long = "pool-plain-http-registry", value_name = "HOST")]
    plain_http_registry: Vec<String>,
}

/// The default resources of a pool's pod. The limit is that of all its functions together.
const POOL_RESOURCES: &str =
    r#"{"requests":{"cpu":"50m","memory":"128Mi"},"limits":{"memory":"4Gi"}}"#;

impl PoolOptions {
    fn settings(&self, drain_delay: Duration) -> Option<PoolSettings> {
        let image = self.image.clone().filter(|image| !image.is_empty())?;
        Some(PoolSettings {
            image,
            image_pull_policy: self.image_pull_policy.clone(),
            image_pull_secrets: self.image_pull_secret.clone(),
            runtime_class: Some(self.runtime_class.clone()).filter(|name| !name.is_empty()),
            replicas: self.replicas.into(),
            plain_http_registries: self.plain_http_registry.clone(),
            resources: self.resources.clone(),
            drain_delay,
            ready_timeout: self.ready_timeout,
            state_size: self.state_size.clone(),
            cache_size: self.cache_size.clone(),
        })
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

/// The validated options.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The namespace of the functions; `None` for all.
    pub namespace: Option<String>,
    /// How often each function is reconciled without a change.
    pub resync: Duration,
    /// How many functions are reconciled concurrently.
    pub concurrency: u16,
    /// Settings for all functions.
    pub settings: Settings,
    /// Settings for pools; `None` if this operator makes none.
    pub pool: Option<PoolSettings>,
    /// The name of this operator among several.
    pub identity: String,
    /// The Lease to hold while working; `None` to work without one.
    pub lease: Option<LeasePlan>,
}

/// The Lease of an operator that is one of several.
#[derive(Clone, Debug)]
pub struct LeasePlan {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its durations.
    pub terms: Terms,
}

impl RunOptions {
    /// Makes the plan. `namespace` is the operator's own, `host` its host's name.
    pub(crate) fn plan(&self, namespace: &str, host: &str) -> Plan {
        Plan {
            namespace: self.namespace.clone(),
            resync: self.resync,
            concurrency: self.concurrency,
            settings: Settings {
                drain_delay: self.drain_delay,
            },
            pool: self.pool.settings(self.drain_delay),
            identity: self.identity.clone().unwrap_or_else(|| host.to_owned()),
            lease: self.leader_election.then(|| LeasePlan {
                namespace: self
                    .lease_namespace
                    .clone()
                    .unwrap_or_else(|| namespace.to_owned()),
                name: self.lease_name.clone(),
                terms: Terms::default(),
            }),
        }
    }
}

/// Parses the resources of a container.
fn resources(text: &str) -> Result<ResourceRequirements, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// Parses the time that a starting pod waits.
fn ready_timeout(text: &str) -> Result<Duration, String> {
    let Timespan(time) = text.parse().map_err(|error| format!("{error}"))?;
    if time.subsec_nanos() > 0 || time.is_zero() || time > Duration::from_hours(24) {
        return Err("whole seconds are expected, 1s to 24h".to_owned());
    }
    Ok(time)
}

/// Parses a time such as 30s or 10m, at least a tenth of a second.
fn time(text: &str) -> Result<Duration, String> {
    let Timespan(time) = text.parse().map_err(|error| format!("{error}"))?;
    if time < Duration::from_millis(100) {
        return Err("it is less than 100ms".to_owned());
    }
    Ok(time)
}

/// Parses whole seconds, as in a pod.
fn seconds(text: &str) -> Result<Duration, String> {
    let Timespan(time) = text.parse().map_err(|error| format!("{error}"))?;
    if time.subsec_nanos() > 0 || time > Duration::from_mins(5) {
        return Err("whole seconds are expected, at most 300s".to_owned());
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::Options;

    #[test]
    fn command_lines_are_parsed() {
        fn check(arguments: &[&str], accepted: bool) {
            let parsed = Options::try_parse_from(["sampan-operator"].iter().chain(arguments));
            assert_eq!(parsed.is_ok(), accepted, "{arguments:?}: {parsed:?}");
        }
        check(&[], true);
        check(&["crd"], true);
        check(
            &["--resync", "1s", "--drain-delay", "0s", "--leader-election"],
            true,
        );
        check(&["--resync", "1"], false);
        check(&["--resync", "1ms"], false);
        check(&["--drain-delay", "500ms"], false);
        check(&["--concurrency", "0"], false);
        check(&["--unknown"], false);
        check(&["--pool-image", "i", "--pool-replicas", "2"], true);
        check(&["--pool-replicas", "0"], false);
        check(
            &["--pool-resources", r#"{"limits":{"memory":"1Gi"}}"#],
            true,
        );
        check(&["--pool-resources", "1Gi"], false);
        check(&["--pool-image-pull-policy", "Sometimes"], false);
        check(&["--pool-ready-timeout", "20m"], true);
        check(&["--pool-ready-timeout", "0s"], false);
        check(&["--pool-ready-timeout", "1500ms"], false);
        check(
            &["--pool-state-size", "1Gi", "--pool-cache-size", "500M"],
            true,
        );
        check(&["--pool-state-size", "0"], false);
        check(&["--pool-cache-size", "much"], false);
    }

    #[test]
    fn pools_need_an_image() {
        let plan = |arguments: &[&str]| {
            let arguments = ["sampan-operator"].iter().chain(arguments);
            Options::parse_from(arguments).run.plan("ns", "host")
        };
        assert_eq!(plan(&[]).pool, None);
        assert_eq!(plan(&["--pool-image", ""]).pool, None);
        let pool = plan(&[
            "--pool-image",
            "i",
            "--pool-plain-http-registry",
            "one:80",
            "--pool-plain-http-registry",
            "two",
        ]);
        let pool = pool.pool.expect("a pool");
        assert_eq!(pool.plain_http_registries, ["one:80", "two"]);
        assert_eq!((pool.replicas, pool.runtime_class), (1, None));
        assert!(pool.resources.limits.is_some() && pool.resources.requests.is_some());
    }
}
