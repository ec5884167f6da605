//! Reads the part of deny.toml that tidy checks.
//!
//! The file belongs to `cargo deny`, which checks more of it, such as advisories, where it is
//! installed.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// The path of the file.
pub(super) const FILE: &str = "deny.toml";

/// The rules for dependencies.
#[derive(Debug)]
pub(super) struct Policy {
    /// The targets of a build; a package that only other targets need is no dependency.
    pub(super) targets: Vec<String>,
    /// Licences that any package may have, by their SPDX identifiers.
    pub(super) licences: Vec<String>,
    /// Further licences of single packages.
    pub(super) exceptions: Vec<Exception>,
    /// Licences of packages that contain a licence text but do not name it.
    pub(super) clarifications: Vec<Clarification>,
}

/// The licence of a package's text.
#[derive(Debug, Deserialize)]
pub(super) struct Clarification {
    #[serde(rename = "crate")]
    pub(super) package: String,
    pub(super) expression: String,
}

/// Further licences of one package.
#[derive(Debug, Deserialize)]
pub(super) struct Exception {
    #[serde(rename = "crate")]
    pub(super) package: String,
    pub(super) allow: Vec<String>,
}

#[derive(Deserialize)]
struct Document {
    graph: Graph,
    licenses: Licenses,
}

#[derive(Deserialize)]
struct Graph {
    targets: Vec<String>,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
    #[serde(default)]
    exceptions: Vec<Exception>,
    #[serde(default)]
    clarify: Vec<Clarification>,
}

impl Policy {
    pub(super) fn read(root: &Path) -> Result<Policy> {
        let text = fs::read_to_string(root.join(FILE));
        let text = text.with_context(|| format!("failed to read {FILE}"))?;
        Policy::parse(&text).with_context(|| format!("failed to parse {FILE}"))
    }

    pub(super) fn parse(text: &str) -> Result<Policy> {
        let Document { graph, licenses } = toml::from_str(text)?;
        Ok(Policy {
            targets: graph.targets,
            licences: licenses.allow,
            exceptions: licenses.exceptions,
            clarifications: licenses.clarify,
        })
    }
}
