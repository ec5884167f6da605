//! Reads `cargo metadata`, reduced to the fields that xtask uses.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::cargo;

/// A workspace, and the packages that it depends on if they were requested.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) workspace_members: Vec<String>,
    pub(crate) resolve: Option<Resolve>,
}

/// A package of the workspace or of a registry.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) manifest_path: PathBuf,
    pub(crate) license: Option<String>,
    /// `None` for a package on this disk.
    pub(crate) source: Option<String>,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) targets: Vec<Target>,
}

/// A dependency as a manifest names it.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `dev`, `build`, or `None`.
    pub(crate) kind: Option<String>,
    /// The folder of a dependency on this disk.
    pub(crate) path: Option<PathBuf>,
}

/// A build target of a package.
#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: Vec<String>,
}

/// The dependency graph.
#[derive(Debug, Deserialize)]
pub(crate) struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<NodeDependency>,
}

#[derive(Debug, Deserialize)]
struct NodeDependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Debug, Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

impl Metadata {
    /// Runs a command that was made for `cargo metadata`.
    pub(crate) fn read(mut command: Command) -> Result<Metadata> {
        command.args(["--format-version", "1"]);
        let output = command.output();
        let output =
            output.with_context(|| format!("failed to start {}", cargo::shown(&command)))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("{} failed:\n{}", cargo::shown(&command), said.trim());
        }
        serde_json::from_slice(&output.stdout)
            .context("failed to parse the output of `cargo metadata`")
    }

    /// The workspace's own packages.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages
            .iter()
            .filter(|package| self.workspace_members.contains(&package.id))
    }

    /// The packages that each package needs for its build, without those of tests; by their
    /// identifiers.
    pub(crate) fn graph(&self) -> BTreeMap<&str, Vec<&str>> {
        let nodes = self.resolve.iter().flat_map(|resolve| &resolve.nodes);
        nodes
            .map(|node| (node.id.as_str(), node.needs().collect()))
            .collect()
    }
}

impl Package {
    /// The folder of the package.
    pub(crate) fn folder(&self) -> PathBuf {
        let mut folder = self.manifest_path.clone();
        folder.pop();
        folder
    }

    /// The name of its target of a kind, such as `bin`.
    pub(crate) fn target(&self, kind: &str) -> Option<&str> {
        let target = self
            .targets
            .iter()
            .find(|target| target.kind.iter().any(|is| is == kind));
        target.map(|target| target.name.as_str())
    }
}

impl Dependency {
    pub(crate) fn is_for_tests(&self) -> bool {
        self.kind.as_deref() == Some("dev")
    }
}

impl Node {
    fn needs(&self) -> impl Iterator<Item = &str> {
        let needed = |dependency: &&NodeDependency| {
            let mut kinds = dependency.dep_kinds.iter();
            kinds.any(|kind| kind.kind.as_deref() != Some("dev"))
        };
        self.deps
            .iter()
            .filter(needed)
            .map(|dependency| dependency.pkg.as_str())
    }
}
