//! `cargo xtask cluster up`: starts a cluster, or completes one.
//!
//! Each step first checks whether it has been done. A cluster that was half started, or that lost a
//! part, is completed, and nothing else changes.

use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use sampan_build::functions::Functions;
use sampan_checkout::build::{self, Selection};
use sampan_checkout::machine::{Machine, Need};
use sampan_checkout::packages;
use sampan_checkout::repository::Repository;
use sampan_checkout::toolchain::Choice;

use super::arguments::{CgroupDriver, KubernetesVersion, Up};
use super::control_plane;
use super::foundation;
use super::functions;
use super::images;
use super::install;
use super::keys::Keys;
use super::kubeconfig::{self, Kubectl};
use super::layout::{Layout, Node};
use super::node;
use super::processes::Processes;
use super::ready;
use super::services;
use super::state::{Lock, SavedState, free_address};
use super::tools;

const COREDNS: &str = include_str!("manifests/coredns.yaml");
const METRICS_SERVER: &str = include_str!("manifests/metrics-server.yaml");

/// The tools that a cluster needs.
pub const NEEDS: &[Need] = &[
    Need::Root,
    Need::Go,
    Need::Linker,
    Need::Seccomp,
    Need::Networks,
    Need::Iptables,
    Need::Conntrack,
    Need::Socat,
    Need::Busybox,
    Need::Namespaces,
    Need::ControlGroups,
];

/// The tools that a cluster needs when everything is built.
const RUN_NEEDS: &[Need] = &[
    Need::Root,
    Need::Networks,
    Need::Iptables,
    Need::Conntrack,
    Need::Socat,
    Need::Busybox,
    Need::Namespaces,
    Need::ControlGroups,
];

/// The tools that Sampan and its functions need in addition.
pub const OWN_NEEDS: &[Need] = &[Need::Protoc, Need::Components, Need::Postgres, Need::Pip];

pub(crate) fn run(
    repository: &Repository,
    machine: &Machine,
    layout: &Layout,
    up: &Up,
) -> Result<()> {
    let begun = Instant::now();
    step("the machine", || {
        if up.built {
            return check(machine, RUN_NEEDS);
        }
        check(machine, NEEDS)?;
        let own = if up.bare { &[] } else { OWN_NEEDS };
        check(machine, own)
    })?;
    let before = SavedState::read(layout)?;
    let kubernetes = kubernetes(before.as_ref(), up);
    let metrics_server = up.metrics_server || before.is_some_and(|before| before.metrics_server);
    let optional: &[&str] = if metrics_server {
        &["metrics-server"]
    } else {
        &[]
    };
    let programs = step("the programs of a cluster", || {
        tools::provide(repository, kubernetes, optional)
    })?;
    if !up.bare && !up.built {
        step("the project's programs", || {
            build::build_programs(repository, Selection::Workspace)
        })?;
    }
    if up.functions() && !up.built {
        step("the functions", || build_functions(repository, machine))?;
    }
    let _lock = Lock::take(layout)?;
    let saved = update_state(repository, layout, up)?;
    let nodes = saved.all_nodes(layout);
    let processes = step("control groups and networks", || {
        foundation::make(repository, layout, &nodes, &programs)
    })?;
    let keys = Keys::make(layout, &nodes)?;
    let server = format!("https://{}", saved.api);
    kubeconfig::write(&layout.kubeconfig(), &server, &keys, "admin")?;
    saved.describe(layout)?;
    let kubectl = Kubectl::new(layout);

    step("the control plane", || {
        for component in control_plane::servers(layout, &keys) {
            processes.ensure(&component)?;
        }
        processes.ensure(&services::registry(layout)?)?;
        processes.ensure(&services::forwarder(layout, &saved)?)?;
        // They start in parallel.
        for node in &nodes {
            processes.ensure(&node::containerd(layout, node, &saved)?)?;
        }
        let parts = [
            control_plane::ETCD,
            control_plane::API_SERVER,
            services::REGISTRY,
            services::FORWARDER,
        ];
        ready::wait(&processes, "the API server", &parts, || {
            kubectl.succeeds(&["get", "--raw=/readyz"])
        })?;
        // They end at once if they may not read the objects that the API server creates as it
        // starts.
        for component in control_plane::controllers(layout, &keys)? {
            processes.ensure(&component)?;
        }
        Ok(())
    })?;
    step("the nodes", || {
        let archive = images::archive(layout)?;
        for node in &nodes {
            start_node(layout, &keys, node, &saved, &processes)?;
        }
        for node in &nodes {
            images::import_base(layout, node, &archive)?;
            wait_for_node(node, &processes, &kubectl)?;
        }
        Ok(())
    })?;
    step("the name server", || {
        kubectl.apply(COREDNS)?;
        wait_for_deployment(&processes, &nodes, &kubectl, "coredns")
    })?;
    if saved.metrics_server {
        step("the metrics server", || {
            kubectl.apply(METRICS_SERVER)?;
            wait_for_deployment(&processes, &nodes, &kubectl, "metrics-server")?;
            ready::wait(&processes, "the metrics API", &[], || {
                kubectl.succeeds(&["get", "--raw=/apis/metrics.k8s.io/v1beta1/nodes"])
            })
        })?;
    }
    if !up.bare {
        step("Sampan", || {
            install::install(repository, layout, &nodes, up.resync.as_deref())
        })?;
    }
    if up.functions() || up.services {
        step("the services of functions", || {
            functions::serve_backends(repository, layout, &processes, &kubectl)
        })?;
    }
    if up.functions() {
        let functions = step("the nine functions", || {
            functions::deploy(repository, layout, &saved, &processes, &kubectl)
        })?;
        functions::print_examples(repository, &functions)?;
    }
    eprintln!(
        "the cluster is up after {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Prints the name of a step and how long it took.
fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("==> {name}");
    let begun = Instant::now();
    let done = work().with_context(|| format!("failed at {name}"))?;
    eprintln!("    {name}: {:.1} s", begun.elapsed().as_secs_f64());
    Ok(done)
}

fn build_functions(repository: &Repository, machine: &Machine) -> Result<()> {
    sampan_build::functions::run(repository, machine, &Functions::all(Choice::default()))
}

fn check(machine: &Machine, needs: &[Need]) -> Result<()> {
    let missing = machine.provide(needs);
    if missing.is_empty() {
        return Ok(());
    }
    let lines = missing
        .iter()
        .map(|missing| format!("\n  {}: {}", missing.what, missing.remedy));
    bail!(
        "this machine lacks required tools:{}",
        lines.collect::<String>()
    );
}

/// The version of a running cluster, or the one that is asked for.
fn kubernetes(before: Option<&SavedState>, up: &Up) -> KubernetesVersion {
    match before {
        Some(before) => before.kubernetes,
        None => up.kubernetes.unwrap_or_default(),
    }
}

fn update_state(repository: &Repository, layout: &Layout, up: &Up) -> Result<SavedState> {
    let before = SavedState::read(layout)?;
    if let Some(before) = &before {
        before.check_checkout(layout, repository.root())?;
    }
    let has = before.as_ref().map_or(0, |before| before.nodes);
    let nodes = up.nodes.map_or(has.max(1), usize::from);
    if nodes < has {
        bail!("the cluster has {has} nodes, and a node cannot be removed; run `down` first");
    }
    // A running forwarder holds its ports, so they do not count as free.
    let processes = Processes::new(layout, Vec::new());
    let held = processes.running(services::FORWARDER)?.is_some();
    let address = |before: Option<std::net::SocketAddr>| match before {
        Some(address) if held => Ok(address),
        before => free_address(before),
    };
    let saved = SavedState {
        checkout: repository.root().to_owned(),
        nodes,
        metrics_server: up.metrics_server
            || before.as_ref().is_some_and(|before| before.metrics_server),
        sampan: !up.bare || before.as_ref().is_some_and(|before| before.sampan),
        cgroup_driver: before
            .as_ref()
            .map_or(up.cgroup_driver.unwrap_or_default(), |before| {
                before.cgroup_driver
            }),
        kubernetes: kubernetes(before.as_ref(), up),
        api: address(before.as_ref().map(|before| before.api))?,
        registry: address(before.as_ref().map(|before| before.registry))?,
    };
    if saved.cgroup_driver == CgroupDriver::Systemd && nodes > 1 {
        bail!("the cluster must have one node: systemd has one slice for pods");
    }
    saved.write(layout)?;
    Ok(saved)
}

/// Starts the components that need containerd, which must answer first.
fn start_node(
    layout: &Layout,
    keys: &Keys,
    node: &Node,
    saved: &SavedState,
    processes: &Processes,
) -> Result<()> {
    let containerd = node.component(node::CONTAINERD);
    ready::wait(processes, &containerd, &[&containerd], || {
        packages::succeeds_quietly(images::ctr(layout, node).arg("version"))
    })?;
    for component in node::clients(layout, keys, node, saved)? {
        processes.ensure(&component)?;
    }
    Ok(())
}

fn wait_for_node(node: &Node, processes: &Processes, kubectl: &Kubectl) -> Result<()> {
    let parts = [
        node.component(node::CONTAINERD),
        node.component(node::KUBELET),
        node.component(node::PROXY),
    ];
    let parts: Vec<_> = parts.iter().map(String::as_str).collect();
    let name = node.name();
    let path = r#"-o=jsonpath={.status.conditions[?(@.type=="Ready")].status}"#;
    ready::wait(processes, &name, &parts, || {
        if !kubectl.succeeds(&["get", "node", &name])? {
            return Ok(false);
        }
        Ok(kubectl.output(&["get", "node", &name, path])? == "True")
    })
}

fn wait_for_deployment(
    processes: &Processes,
    nodes: &[Node],
    kubectl: &Kubectl,
    name: &str,
) -> Result<()> {
    let kubelets: Vec<_> = nodes
        .iter()
        .map(|node| node.component(node::KUBELET))
        .collect();
    let kubelets = kubelets.iter().map(String::as_str);
    let mut parts = vec![control_plane::CONTROLLER_MANAGER, control_plane::SCHEDULER];
    parts.extend(kubelets);
    let path = "-o=jsonpath={.status.observedGeneration} {.metadata.generation} \
                {.status.updatedReplicas} {.status.availableReplicas}";
    let waited = ready::wait(processes, name, &parts, || {
        let said = kubectl.output(&["-n", "kube-system", "get", "deployment", name, path])?;
        let numbers: Vec<_> = said.split(' ').collect();
        Ok(matches!(numbers[..], [seen, is, "1", "1"] if seen == is))
    });
    if waited.is_err() {
        print_pods(kubectl, name);
    }
    waited
}

/// Prints the pods of the system, and the logs of a deployment.
fn print_pods(kubectl: &Kubectl, name: &str) {
    let deployment = format!("deployment/{name}");
    for words in [
        &["describe", "pods"][..],
        &["logs", "--tail=50", &deployment],
    ] {
        let words = [&["-n", "kube-system"], words].concat();
        match kubectl.output(&words) {
            Ok(said) => eprintln!("{said}"),
            Err(error) => eprintln!("{error:#}"),
        }
    }
}
