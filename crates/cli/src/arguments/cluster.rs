//! Arguments of the cluster commands: `deploy`, `list`, `logs`, `invoke`, `delete`.
//!
//! They are checked here as far as possible without a cluster.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use http::{HeaderName, HeaderValue, Method};
use sampan_crd::PlacementPolicy;

use super::{Output, RegistryAccess};
use crate::values::{self, Payload, Target};

/// The cluster and its namespace, chosen as in kubectl.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ClusterChoice {
    /// The kubeconfig; default: the files of $KUBECONFIG, ~/.kube/config, or the pod that this runs in
    #[arg(long, value_name = "FILE", global = false)]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig; default: its current one
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// The namespace; default: the context's
    #[arg(short, long, value_name = "NAME", value_parser = values::object_name)]
    pub(crate) namespace: Option<String>,
}

/// Deploys functions to a cluster, and waits until they answer
///
/// FILE is a function.yaml or a .wasm, which becomes a `WasmFunction` that runs the image of
/// --image; or the YAML of one or several `WasmFunctions`, sent unchanged. `-` reads standard
/// input. Deploying the same again changes nothing.
///
/// It waits until every pod runs the deployed version. When that cannot be, it ends with 46 and
/// prints the cause: the conditions, the warnings about the pods, and the last lines of their logs.
/// The function stays as it was deployed, and pods from before continue to answer.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own on the command line"
)]
#[command(after_help = "Examples:
  sampan deploy hello/function.yaml --image registry.example/hello:1.0
  sampan deploy hello/function.yaml --image registry.example/hello:1.0 --push
  sampan deploy functions.yaml -n shop --timeout 5m
  sampan deploy hello/function.yaml --image registry.example/hello:1.0 --placement pooled
  sampan deploy hello/function.yaml --image registry.example/hello:1.0 --dry-run=client > wasmfunction.yaml
  sampan convert wasmapp.yaml | sampan deploy -

Needs the verbs get, list, watch, create and patch for wasmfunctions. Those of list for pods and events,
and of get for pods/log, make a failure's cause clearer.")]
pub(crate) struct Deploy {
    /// A function.yaml, a .wasm, or the YAML of `WasmFunctions`; - for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The image to run: REGISTRY/NAME:TAG, or REGISTRY/NAME@sha256:DIGEST
    #[arg(long, value_name = "REFERENCE")]
    pub(crate) image: Option<String>,
    /// Push the .wasm to --image first, and run exactly the pushed version
    #[arg(long, requires = "image", conflicts_with = "dry_run")]
    pub(crate) push: bool,
    #[command(flatten)]
    pub(crate) access: RegistryAccess,
    /// Number of pods; default: that of FILE, or else the current one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..=10_000))]
    pub(crate) replicas: Option<i32>,
    /// Where the functions are served: by pods of their own, by the pool of their namespace, or by
    /// either as their load asks for
    ///
    /// Default: that of FILE, or else `pod`. The place of a running function changes without a lost
    /// request.
    #[arg(long, value_name = "PLACE")]
    pub(crate) placement: Option<Place>,
    /// Wait until the functions answer; this is the default
    #[arg(long, overrides_with = "no_wait")]
    pub(crate) wait: bool,
    /// End as soon as the cluster has accepted the functions
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// How long to wait
    #[arg(long, value_name = "TIME", value_parser = values::positive_time, default_value = "2m")]
    pub(crate) timeout: Duration,
    /// Change nothing, and print what would be deployed
    ///
    /// With `server`, the cluster validates the resources; with `client`, no cluster is contacted.
    #[arg(long, value_name = "WHERE", num_args = 0..=1, require_equals = true, default_missing_value = "server")]
    pub(crate) dry_run: Option<DryRun>,
    /// Take over fields that another manager owns, such as kubectl
    #[arg(long)]
    pub(crate) force_conflicts: bool,
    /// Format of the output
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) cluster: ClusterChoice,
}

/// Place of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Place {
    /// Pods of its own
    Pod,
    /// The pool of its namespace, whose pods serve many functions
    Pooled,
    /// The pool, and under load pods of its own
    Auto,
}

impl From<Place> for PlacementPolicy {
    fn from(place: Place) -> Self {
        match place {
            Place::Pod => Self::Pod,
            Place::Pooled => Self::Pooled,
            Place::Auto => Self::Auto,
        }
    }
}

/// Place of a dry run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DryRun {
    /// The cluster validates the resources and stores nothing
    Server,
    /// No cluster is contacted
    Client,
}

/// Lists the functions of a cluster
///
/// READY is yes when requests are answered, no when not, and ? before the operator has reported.
/// With pooled functions, IN-FLIGHT and LAST are their requests in progress and the time since the
/// last one, from the pods of their pools. The lines below the table give the causes of functions
/// that are not ready, and of pools that cannot be asked.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sampan list
  sampan list -A
  sampan list -o json | jq -r '.[] | select(.ready == false) | .name'

Needs the verb list for wasmfunctions. For the requests of pooled functions: list for pods, and get for
pods/proxy.")]
pub(crate) struct List {
    /// Functions of all namespaces
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub(crate) all_namespaces: bool,
    /// Format of the output
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) cluster: ClusterChoice,
}

/// Prints the logs of a function's pods
///
/// When there are several pods, each line begins with its pod's name. With --follow, pods that come
/// later and containers that start again are followed too, until it is interrupted.
///
/// For a pooled function these are the pods of its pool, and the lines that name the function.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sampan logs hello
  sampan logs hello -f --tail 10
  sampan logs hello --previous          the containers before the last restart
  sampan logs hello --since 5m -o json | jq -r .message

Needs the verbs get for wasmfunctions and pods/log and list for pods; watch for pods to follow.")]
pub(crate) struct Logs {
    /// The function
    #[arg(value_name = "NAME", value_parser = values::object_name)]
    pub(crate) name: String,
    /// Continue with new lines
    #[arg(short, long, conflicts_with = "previous")]
    pub(crate) follow: bool,
    /// Only the last lines of each pod; default: all
    #[arg(long, value_name = "N")]
    pub(crate) tail: Option<u32>,
    /// Only lines younger than this, such as 90s, 5m or 1h
    #[arg(long, value_name = "TIME", value_parser = values::positive_time)]
    pub(crate) since: Option<Duration>,
    /// Logs from before the last restart of the containers
    #[arg(short, long)]
    pub(crate) previous: bool,
    /// Another container of the pods; default: the function's own
    #[arg(short, long, value_name = "NAME", default_value = sampan_crd::CONTAINER)]
    pub(crate) container: String,
    /// Begin each line with its time
    #[arg(long)]
    pub(crate) timestamps: bool,
    /// Format of the lines
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) cluster: ClusterChoice,
}

/// Calls a function through the API server
///
/// The request goes to the newest ready pod, its own or one of its pool, through a port that the API
/// server forwards. It needs
/// no Ingress, no address in the cluster's network and no kubectl. It is sent unchanged, with the
/// Host NAME.NAMESPACE.svc, and the response's body is written as it arrives.
///
/// Every response counts as success, independent of its status, unless --fail is given.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sampan invoke prime-numbers '/?n=100'
  sampan invoke hello -d '{\"name\": \"World\"}' -H 'Content-Type: application/json'
  sampan invoke resize -d @picture.png > small.png
  sampan invoke hello -i --fail

Needs the verbs get for wasmfunctions, list for pods, and get and create for pods/portforward.")]
pub(crate) struct Invoke {
    /// The function
    #[arg(value_name = "NAME", value_parser = values::object_name)]
    pub(crate) name: String,
    /// The path and query
    #[arg(value_name = "PATH?QUERY", value_parser = values::target, default_value = "/")]
    pub(crate) target: Target,
    /// The method; default: GET, or POST with --data
    #[arg(short = 'X', long, value_name = "METHOD")]
    pub(crate) method: Option<Method>,
    /// The body: a text, @FILE, or @- for standard input
    #[arg(short, long, value_name = "DATA", value_parser = values::payload)]
    pub(crate) data: Option<Payload>,
    /// A header of the request; may be given several times
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = values::header)]
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Print the response's status and headers too
    #[arg(short, long)]
    pub(crate) include: bool,
    /// End with 48 when the status is 400 or more
    #[arg(short, long)]
    pub(crate) fail: bool,
    /// How long the call may take
    #[arg(long, value_name = "TIME", value_parser = values::positive_time, default_value = "60s")]
    pub(crate) timeout: Duration,
    /// Format of the output
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) cluster: ClusterChoice,
}

/// Deletes functions of a cluster
///
/// The objects that the operator made for them are deleted too. With --wait it ends when the last
/// pod is gone, which finishes its requests first.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sampan delete hello
  sampan delete hello prime-numbers -n shop --wait

Needs the verbs get and delete for wasmfunctions; with --wait also list for pods.")]
pub(crate) struct Delete {
    /// The functions
    #[arg(value_name = "NAME", required = true, value_parser = values::object_name)]
    pub(crate) names: Vec<String>,
    /// Wait until the last pod is gone
    #[arg(long)]
    pub(crate) wait: bool,
    /// How long to wait
    #[arg(long, value_name = "TIME", value_parser = values::positive_time, default_value = "2m")]
    pub(crate) timeout: Duration,
    /// Accept functions that do not exist
    #[arg(long)]
    pub(crate) ignore_not_found: bool,
    /// Format of the output
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) cluster: ClusterChoice,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Deletion {
        #[command(flatten)]
        delete: Delete,
    }

    /// A DELETE of `wasmfunctions/?` would be one of all functions.
    #[test]
    fn a_name_is_checked_before_it_is_a_part_of_a_url() {
        fn check(arguments: &[&str], accepted: bool) {
            let parsed = Deletion::try_parse_from(["delete"].iter().chain(arguments));
            assert_eq!(parsed.is_ok(), accepted, "{arguments:?}: {parsed:?}");
        }
        check(&["hello", "a.b"], true);
        check(&["hello", "-n", "shop"], true);
        check(&["?"], false);
        check(&["hello", "?labelSelector="], false);
        check(&[".."], false);
        check(&["hello", "-n", "shop/wasmfunctions/x?"], false);
    }
}
