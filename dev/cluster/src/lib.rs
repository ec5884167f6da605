//! `cargo xtask cluster`: a real Kubernetes on this machine, built once from Go modules, without a
//! container engine.
//!
//! Each node is a network namespace with its own containerd and kubelet. [`layout`] lists every
//! path, address and name that a cluster uses. All of them carry the cluster's [`name`], so that
//! `down` finds them and two clusters never meet. `cluster.json` describes a cluster to tests and
//! tools. docs/cluster.md is the manual.

mod arguments;
mod bench_images;
mod control_groups;
mod control_plane;
pub mod critest;
mod down;
mod forward;
mod foundation;
mod functions;
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
mod sysctls;
mod tools;
mod up;

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode};

use anyhow::{Context as _, Result, bail};
use sampan_checkout::machine::Machine;
use sampan_checkout::repository::Repository;

pub use arguments::{Cluster, KubernetesVersion};
pub use bench_images::{BenchImages, FunctionImages};
pub use up::{NEEDS, OWN_NEEDS};

use arguments::ClusterCommand;
use layout::{Layout, Node};
use name::Name;
use state::SavedState;

/// The variable with the path of `cluster.json`.
pub const DESCRIPTION: &str = "SAMPAN_CLUSTER";

/// The variable with the folder of the cluster's programs.
pub const TOOLS_FOLDER: &str = "SAMPAN_TOOLS";

/// Carries out a command of `cargo xtask cluster`.
pub fn run(repository: &Repository, machine: &Machine, cluster: &Cluster) -> Result<ExitCode> {
    let name = cluster.name.clone();
    let name = name.unwrap_or_else(|| Name::of_checkout(repository.root()));
    let layout = Layout::new(name)?;
    match &cluster.command {
        ClusterCommand::Up(up) => {
            up::run(repository, machine, &layout, up)?;
            status::print_usage(&layout, cluster.name.as_ref())?;
        }
        ClusterCommand::Down => down::run(&layout, repository.root())?,
        ClusterCommand::Status => return status::run(&layout),
        ClusterCommand::Env => print!("{}", status::environment(&existing(&layout)?.0)),
        ClusterCommand::Load { image } => load(&layout, image)?,
        ClusterCommand::RestartContainerd { node, kill } => {
            let (layout, saved) = existing(&layout)?;
            restart::containerd(&layout, &saved, *node, *kill)?;
        }
        ClusterCommand::Exec { node, command } => return exec(&layout, *node, command),
        ClusterCommand::Forward { routes } => forward::run(routes)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Forwards connections until it is killed or a route fails, if the command line asks for that; `None` otherwise. A
/// forwarder runs on its own, outside of any checkout.
pub fn forward(cluster: &Cluster) -> Option<Result<()>> {
    match &cluster.command {
        ClusterCommand::Forward { routes } => Some(forward::run(routes)),
        _ => None,
    }
}

/// The name and the description file of the cluster of a checkout's tests.
pub fn test_cluster(repository: &Repository) -> Result<(String, PathBuf)> {
    name_and_description(Name::of_tests(repository.root()))
}

/// The name and the description file of the cluster of a checkout's benchmarks.
pub fn bench_cluster(repository: &Repository) -> Result<(String, PathBuf)> {
    name_and_description(Name::of_benchmarks(repository.root()))
}

fn name_and_description(name: Name) -> Result<(String, PathBuf)> {
    let layout = Layout::new(name)?;
    Ok((layout.name().to_string(), layout.description()))
}

/// Starts the cluster of the benchmarks: one node, Sampan without functions, and the services
/// behind two of them.
pub fn start_for_bench(repository: &Repository, machine: &Machine) -> Result<()> {
    let layout = Layout::new(Name::of_benchmarks(repository.root()))?;
    up::run(repository, machine, &layout, &arguments::Up::for_bench())
}

/// The name of the cluster that a description file belongs to.
pub fn name_in_description(description: &Path) -> Result<String> {
    let text = std::fs::read(description)
        .with_context(|| format!("failed to read {}", description.display()))?;
    let known: serde_json::Value = serde_json::from_slice(&text)
        .with_context(|| format!("{} describes no cluster", description.display()))?;
    let name = known["name"].as_str();
    let name = name.with_context(|| format!("{} has no name", description.display()))?;
    Ok(name.to_owned())
}

/// Puts every function, in all its forms, into the registry of a cluster and on its nodes.
pub fn provide_bench_images(repository: &Repository, name: &str) -> Result<BenchImages> {
    let name: Name = name.parse().map_err(anyhow::Error::msg)?;
    let (layout, saved) = existing(&Layout::new(name)?)?;
    bench_images::provide(repository, &layout, &saved)
}

/// Builds the programs of a cluster, and returns their folder.
pub fn programs(repository: &Repository) -> Result<PathBuf> {
    foundation::tools(
        repository,
        &tools::provide(repository, KubernetesVersion::default(), &[])?,
    )
}

/// Builds all programs of a cluster, with metrics-server and critest, and returns their folder.
pub fn all_programs(repository: &Repository) -> Result<PathBuf> {
    let optional = ["metrics-server", "cri-tools", "effective-uid"];
    foundation::tools(
        repository,
        &tools::provide(repository, KubernetesVersion::default(), &optional)?,
    )
}

/// Builds only the programs of these modules, and returns their folder.
pub fn programs_of(repository: &Repository, modules: &[&str]) -> Result<PathBuf> {
    foundation::tools(repository, &tools::provide_only(repository, modules)?)
}

fn existing(layout: &Layout) -> Result<(Layout, SavedState)> {
    let saved = SavedState::read(layout)?;
    let saved = saved.with_context(|| {
        format!(
            "there is no cluster {}; `cargo xtask cluster up` starts it",
            layout.name()
        )
    })?;
    Ok((layout.clone(), saved))
}

fn load(layout: &Layout, image: &Path) -> Result<()> {
    let (layout, saved) = existing(layout)?;
    let packed = layout.state().join(format!("load-{}.tar", process::id()));
    let is_layout = sampan_images::is_layout(image);
    if is_layout {
        sampan_images::pack(image, &packed)
            .with_context(|| format!("failed to pack {}", image.display()))?;
    } else if !image.is_file() {
        bail!(
            "{} is neither an OCI layout nor an archive",
            image.display()
        );
    }
    let archive = if is_layout { &packed } else { image };
    let mut nodes = saved.all_nodes(&layout).into_iter();
    let loaded = nodes.try_for_each(|node| images::import(&layout, &node, archive));
    if is_layout {
        std::fs::remove_file(&packed)
            .with_context(|| format!("failed to remove {}", packed.display()))?;
    }
    loaded
}

/// Replaces this process by the command.
fn exec(layout: &Layout, number: usize, words: &[OsString]) -> Result<ExitCode> {
    let (layout, saved) = existing(layout)?;
    if !(1..=saved.nodes).contains(&number) {
        bail!(
            "there is no such node; the cluster has the nodes 1 to {}",
            saved.nodes
        );
    }
    let node: Node = layout.node(number);
    let mut command = network::inside_of(&node);
    command.args(words);
    for (name, value) in status::variables(&layout) {
        command.env(name, value);
    }
    Err(command.exec()).context("failed to start nsenter")
}
