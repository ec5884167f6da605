//! Reads `cargo metadata`, reduced to the fields that xtask uses.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::cargo;

/// A workspace, and the packages that it depends on if they were requested.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    /// The packages of the workspace, and those of registries that they depend on.
    pub packages: Vec<Package>,
    /// The identifiers of the workspace's packages.
    pub workspace_members: Vec<String>,
    /// `None` if dependencies were not requested.
    pub resolve: Option<Resolve>,
}

/// A package of the workspace or of a registry.
#[derive(Debug, Deserialize)]
pub struct Package {
    /// Its identifier in this output.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The path of its `Cargo.toml`.
    pub manifest_path: PathBuf,
    /// Its licence as an SPDX expression, if it names one.
    pub license: Option<String>,
    /// `None` for a package on this disk.
    pub source: Option<String>,
    /// The dependencies that its manifest names.
    pub dependencies: Vec<Dependency>,
    /// Its programs, libraries and tests.
    pub targets: Vec<Target>,
}

/// A dependency as a manifest names it.
#[derive(Debug, Deserialize)]
pub struct Dependency {
    /// Its name.
    pub name: String,
    /// `dev`, `build`, or `None`.
    pub kind: Option<String>,
    /// The folder of a dependency on this disk.
    pub path: Option<PathBuf>,
}

/// A build target of a package.
#[derive(Debug, Deserialize)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// `bin`, `lib`, `cdylib` and others.
    pub kind: Vec<String>,
}

/// The dependency graph.
#[derive(Debug, Deserialize)]
pub struct Resolve {
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
    pub fn read(mut command: Command) -> Result<Metadata> {
        let output = cargo::output(command.args(["--format-version", "1"]))?;
        serde_json::from_slice(&output).context("failed to parse the output of `cargo metadata`")
    }

    /// The workspace's own packages.
    pub fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages
            .iter()
            .filter(|package| self.workspace_members.contains(&package.id))
    }

    /// The packages that each package needs for its build, without those of tests; by their
    /// identifiers.
    pub fn graph(&self) -> BTreeMap<&str, Vec<&str>> {
        let nodes = self.resolve.iter().flat_map(|resolve| &resolve.nodes);
        nodes
            .map(|node| (node.id.as_str(), node.needs().collect()))
            .collect()
    }
}

impl Package {
    /// The folder of the package.
    pub fn folder(&self) -> PathBuf {
        let mut folder = self.manifest_path.clone();
        folder.pop();
        folder
    }

    /// The name of its target of a kind, such as `bin`.
    pub fn target(&self, kind: &str) -> Option<&str> {
        let target = self
            .targets
            .iter()
            .find(|target| target.kind.iter().any(|is| is == kind));
        target.map(|target| target.name.as_str())
    }
}

impl Dependency {
    /// Whether only tests need it.
    pub fn is_for_tests(&self) -> bool {
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
