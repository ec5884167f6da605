//! `cargo xtask cluster`: a real Kubernetes on this machine, from programs built once out of Go modules,
//! without a container engine. Each node is a network namespace with its own containerd and kubelet.
//!
//! [`layout`] names every place that a cluster has; all of it carries the cluster's [`name`], so that
//! `down` finds it and two clusters never meet. What it offers to tests and tools is written down in
//! `cluster.json`. docs/cluster.md is its manual.

mod arguments;
mod control_groups;
mod control_plane;
pub(crate) mod critest;
mod down;
mod forward;
mod functions;
mod ground;
mod images;
mod install;
mod keys;
mod kubeconfig;
mod layout;
mod mounts;
mod name;
mod network;
mod node;
mod processes;
mod ready;
mod restart;
mod services;
mod state;
mod status;
mod stock;
mod tools;
mod tunables;
mod up;

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode};

use anyhow::{Context as _, Result, bail};

pub(crate) use arguments::Cluster;
pub(crate) use processes::shell_quoted;
pub(crate) use stock::Stock;
pub(crate) use up::{NEEDS, OWN_NEEDS};

use crate::arguments::Command;
use crate::machine::Machine;
use crate::oci;
use crate::repository::Repository;
use arguments::ClusterCommand;
use forward::Route;
use layout::{Layout, Node};
use name::Name;
use state::Memory;

/// Tells tests and tools where `cluster.json` is.
pub(crate) const DESCRIPTION: &str = "SAMPAN_CLUSTER";

pub(crate) fn run(
    repository: &Repository,
    machine: &Machine,
    cluster: &Cluster,
) -> Result<ExitCode> {
    let name = cluster.name.clone();
    let name = name.unwrap_or_else(|| Name::of_checkout(repository.root()));
    let layout = Layout::new(name)?;
    match &cluster.command {
        ClusterCommand::Up(up) => {
            up::run(repository, machine, &layout, up)?;
            status::tell_use(&layout, cluster.name.as_ref())?;
        }
        ClusterCommand::Down => down::run(&layout, repository.root())?,
        ClusterCommand::Status => return status::run(&layout),
        ClusterCommand::Env => print!("{}", status::environment(&existing(&layout)?.0)),
        ClusterCommand::Load { image } => load(&layout, image)?,
        ClusterCommand::RestartContainerd { node, kill } => {
            let (layout, memory) = existing(&layout)?;
            restart::containerd(&layout, &memory, *node, *kill)?;
        }
        ClusterCommand::Exec { node, command } => return exec(&layout, *node, command),
        ClusterCommand::Forward { routes } => forward(routes)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What is to be passed on, if that is what is asked for.
pub(crate) fn routes(command: &Command) -> Option<&[Route]> {
    match command {
        Command::Cluster(Cluster {
            command: ClusterCommand::Forward { routes },
            ..
        }) => Some(routes),
        _ => None,
    }
}

/// Passes connections on until it is killed, or until a route fails.
pub(crate) fn forward(routes: &[Route]) -> Result<()> {
    forward::run(routes)
}

/// What the cluster of a checkout's tests is called, and where it describes itself.
pub(crate) fn of_tests(repository: &Repository) -> Result<(String, PathBuf)> {
    described_as(Name::of_tests(repository.root()))
}

/// What the cluster of a checkout's benchmarks is called, and where it describes itself.
pub(crate) fn of_bench(repository: &Repository) -> Result<(String, PathBuf)> {
    described_as(Name::of_benchmarks(repository.root()))
}

fn described_as(name: Name) -> Result<(String, PathBuf)> {
    let layout = Layout::new(name)?;
    Ok((layout.name().to_string(), layout.description()))
}

/// Starts that cluster: one node, Sampan without functions, and the services behind two of them.
pub(crate) fn start_for_bench(repository: &Repository, machine: &Machine) -> Result<()> {
    let layout = Layout::new(Name::of_benchmarks(repository.root()))?;
    up::run(repository, machine, &layout, &arguments::Up::for_bench())
}

/// The name of the cluster that a file describes.
pub(crate) fn described(description: &Path) -> Result<String> {
    let text = std::fs::read(description)
        .with_context(|| format!("failed to read {}", description.display()))?;
    let known: serde_json::Value = serde_json::from_slice(&text)
        .with_context(|| format!("{} describes no cluster", description.display()))?;
    let name = known["name"].as_str();
    let name = name.with_context(|| format!("{} has no name", description.display()))?;
    Ok(name.to_owned())
}

/// Puts every function, in all its forms, into the registry of a cluster and on its nodes.
pub(crate) fn stock(repository: &Repository, name: &str) -> Result<Stock> {
    let name: Name = name.parse().map_err(anyhow::Error::msg)?;
    let (layout, memory) = existing(&Layout::new(name)?)?;
    stock::fill(repository, &layout, &memory)
}

/// Builds the programs of a cluster, and tells the folder that has them.
pub(crate) fn programs(repository: &Repository) -> Result<PathBuf> {
    ground::tools(repository, &tools::provide(repository, &[])?)
}

/// Builds all of them, and those for metrics and for critest.
pub(crate) fn all_programs(repository: &Repository) -> Result<PathBuf> {
    let optional = ["metrics-server", "cri-tools", "effective-uid"];
    ground::tools(repository, &tools::provide(repository, &optional)?)
}

/// Builds programs of these modules alone, and returns the folder with them.
pub(crate) fn programs_of(repository: &Repository, modules: &[&str]) -> Result<PathBuf> {
    ground::tools(repository, &tools::provide_only(repository, modules)?)
}

fn existing(layout: &Layout) -> Result<(Layout, Memory)> {
    let memory = Memory::read(layout)?;
    let memory = memory.with_context(|| {
        format!(
            "there is no cluster {}; `cargo xtask cluster up` starts it",
            layout.name()
        )
    })?;
    Ok((layout.clone(), memory))
}

fn load(layout: &Layout, image: &Path) -> Result<()> {
    let (layout, memory) = existing(layout)?;
    let packed = layout.state().join(format!("load-{}.tar", process::id()));
    let is_layout = oci::is_layout(image);
    if is_layout {
        oci::pack(image, &packed).with_context(|| format!("failed to pack {}", image.display()))?;
    } else if !image.is_file() {
        bail!(
            "{} is neither an OCI layout nor an archive",
            image.display()
        );
    }
    let archive = if is_layout { &packed } else { image };
    let mut nodes = memory.all_nodes(&layout).into_iter();
    let loaded = nodes.try_for_each(|node| images::import(&layout, &node, archive));
    if is_layout {
        std::fs::remove_file(&packed)
            .with_context(|| format!("failed to remove {}", packed.display()))?;
    }
    loaded
}

/// Becomes the command.
fn exec(layout: &Layout, number: usize, words: &[OsString]) -> Result<ExitCode> {
    let (layout, memory) = existing(layout)?;
    if !(1..=memory.nodes).contains(&number) {
        bail!("the cluster has the nodes 1 to {}", memory.nodes);
    }
    let node: Node = layout.node(number);
    let mut command = network::inside_of(&node);
    command.args(words);
    for (name, value) in status::variables(&layout) {
        command.env(name, value);
    }
    Err(command.exec()).context("failed to start nsenter")
}
