//! Runs critest, the validation tests of CRI, unpatched against runc and Sampan, and compares the results.
//!
//! Each runtime gets a node of its own with a containerd and no kubelet, and both run at the same time: most
//! specs wait. The images come from a registry on the first node, so no spec needs the internet.

mod comparison;
mod exceptions;
mod images;
mod leftovers;
mod program;
mod results;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::thread;

use anyhow::{Context as _, Result, anyhow};
use sampan_checkout::machine::Need;
use sampan_checkout::packages;
use sampan_checkout::repository::Repository;

use super::arguments::{CgroupDriver, KubernetesVersion};
use super::down;
use super::foundation;
use super::layout::{Layout, Node};
use super::name::Name;
use super::node;
use super::processes::Processes;
use super::ready;
use super::services;
use super::state::{Lock, SavedState};
use super::tools;
pub use comparison::Comparison;
use exceptions::Exceptions;
use leftovers::Baseline;
use results::Results;

/// The tools that critest needs, without a build of the project's programs.
pub const NEEDS: &[Need] = &[
    Need::Root,
    Need::Go,
    Need::Linker,
    Need::Seccomp,
    Need::Networks,
    Need::Iptables,
    Need::Busybox,
    Need::Nginx,
    Need::Procps,
    Need::Namespaces,
    Need::ControlGroups,
];

/// The folders of `dev/cluster/tools` that critest uses.
const TOOLS: [&str; 7] = [
    "runc",
    "cni",
    "containerd",
    "registry",
    "pause",
    "effective-uid",
    "cri-tools",
];

/// The runtime handlers, in the order of their nodes.
const HANDLERS: [&str; 2] = ["runc", "sampan"];

/// A selection of specs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A dozen that cover what default clients of CRI ask for.
    Short,
    /// All of them.
    Whole,
}

/// Runs the specs on both runtimes. The project's programs must have been built.
pub fn run(repository: &Repository, part: Part) -> Result<Comparison> {
    let exceptions = Exceptions::read(repository)?;
    let programs = tools::provide_only(repository, &TOOLS)?;
    let layout = Layout::new(Name::of_critest(repository.root()))?;
    // What an interrupted run left would be another start.
    down::run(&layout, repository.root())?;
    let baseline = Baseline::record()?;
    let tested = test(repository, &layout, &programs, part);
    let ended = down::run(&layout, repository.root()).and_then(|()| baseline.remove_leftovers());
    let [runc, sampan] = tested?;
    ended?;
    Comparison::of(&runc, &sampan, &exceptions, part)
}

fn test(
    repository: &Repository,
    layout: &Layout,
    programs: &[tools::Program],
    part: Part,
) -> Result<[Results; 2]> {
    let _lock = Lock::take(layout)?;
    let unused = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let saved = SavedState {
        checkout: repository.root().to_owned(),
        nodes: HANDLERS.len(),
        metrics_server: false,
        sampan: true,
        api: unused,
        registry: unused,
        cgroup_driver: CgroupDriver::Cgroupfs,
        kubernetes: KubernetesVersion::default(),
    };
    saved.write(layout)?;
    let nodes = saved.all_nodes(layout);
    let processes = foundation::make(repository, layout, &nodes, programs)?;
    processes.ensure(&services::registry(layout)?)?;
    for node in &nodes {
        start(layout, node, &saved, &processes)?;
    }
    images::publish(layout, &nodes)?;
    let logs = repository.logs();
    let run_one = |(node, handler): (&Node, &str)| {
        let report: PathBuf = logs.join(format!("critest-{handler}.json"));
        program::run(layout, node, handler, part, &report)?;
        Results::read(&report)
    };
    let run_one = &run_one;
    let results: Vec<_> = thread::scope(|scope| {
        let pairs = nodes.iter().zip(HANDLERS);
        let running: Vec<_> = pairs
            .map(|pair| scope.spawn(move || run_one(pair)))
            .collect();
        let ended = running.into_iter().map(thread::ScopedJoinHandle::join);
        ended
            .map(|ended| ended.map_err(|_| anyhow!("a thread that ran critest panicked"))?)
            .collect::<Result<_>>()
    })?;
    let results = <[Results; 2]>::try_from(results);
    results.map_err(|_| anyhow!("critest did not run once for each runtime"))
}

fn start(layout: &Layout, node: &Node, saved: &SavedState, processes: &Processes) -> Result<()> {
    let component = node::containerd(layout, node, saved)?;
    images::redirect(layout, node)?;
    processes.ensure(&component)?;
    ready::wait(processes, &component.name, &[&component.name], || {
        packages::succeeds_quietly(super::images::ctr(layout, node).arg("version"))
    })
    .with_context(|| format!("failed to start the containerd of {}", node.name()))
}
