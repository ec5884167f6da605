//! Command line of the operator, and the plan made from it.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use sampan_spec::Timespan;

use crate::build::Settings;
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
    /// Print the resource definition, made from the program's own types.
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
    }
}
