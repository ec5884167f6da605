//! The part of deny.toml that is checked here. The file is that of `cargo deny`, which checks more of
//! it, such as advisories, where it is installed.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// The file.
pub(super) const FILE: &str = "deny.toml";

/// What dependencies may be.
#[derive(Debug)]
pub(super) struct Policy {
    /// The targets that are built for; what others need is no dependency.
    pub(super) targets: Vec<String>,
    /// Licences that any package may have, by their SPDX identifiers.
    pub(super) licences: Vec<String>,
    /// Licences that one package may have besides.
    pub(super) exceptions: Vec<Exception>,
    /// Licences of packages that have a text but do not name it.
    pub(super) clarifications: Vec<Clarification>,
}

/// What a package's text of a licence is.
#[derive(Debug, Deserialize)]
pub(super) struct Clarification {
    #[serde(rename = "crate")]
    pub(super) package: String,
    pub(super) expression: String,
}

/// More licences for one package.
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
        Policy::parse(&text).with_context(|| format!("failed to understand {FILE}"))
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
