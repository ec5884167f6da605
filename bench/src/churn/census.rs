//! What lies around on a node: processes, mounts, control groups, network namespaces, sockets and files.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::cluster::Node;

/// Names of everything that a pod may leave behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Census(BTreeSet<String>);

impl Census {
    /// What is there now.
    pub(super) fn take(node: &Node) -> Result<Self> {
        let mut found = BTreeSet::new();
        shims(&mut found)?;
        let state = node.containerd_state.display().to_string();
        let mounts =
            fs::read_to_string("/proc/self/mounts").context("failed to read the mounts")?;
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        found.extend(
            points
                .filter(|point| point.starts_with(&state) || point.contains("/netns/cni-"))
                .map(|point| format!("mount {point}")),
        );
        for hierarchy in entries(Path::new("/sys/fs/cgroup"))? {
            let name = node.cgroup.strip_prefix("/").unwrap_or(&node.cgroup);
            groups(
                &Path::new("/sys/fs/cgroup").join(hierarchy).join(name),
                &mut found,
            )?;
        }
        for name in entries(Path::new("/run/netns"))?
            .into_iter()
            .filter(|name| name.starts_with("cni-"))
        {
            found.insert(format!("network namespace {name}"));
        }
        for name in entries(Path::new("/run/containerd/s"))? {
            found.insert(format!("socket {name}"));
        }
        let tasks = node
            .containerd_state
            .join("io.containerd.runtime.v2.task/k8s.io");
        for name in entries(&tasks)? {
            found.insert(format!("bundle {name}"));
        }
        Ok(Self(found))
    }

    /// What is there beyond this once it stays the same or `patience` ends: what a pod used goes a moment after it.
    pub(super) async fn left(&self, node: &Node, patience: Duration) -> Result<Left> {
        let begun = Instant::now();
        loop {
            let now = Self::take(node)?;
            let left: Vec<String> = now.0.difference(&self.0).cloned().collect();
            if left.is_empty() || begun.elapsed() > patience {
                return Ok(Left(left));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// What was left behind.
pub(super) struct Left(Vec<String>);

impl Left {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Left {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return formatter.write_str("nothing");
        }
        write!(formatter, "{} things", self.0.len())?;
        self.0
            .iter()
            .take(20)
            .try_for_each(|name| write!(formatter, "\n  {name}"))
    }
}

/// Processes of shims, by number: a shim that lives on is one that was left.
fn shims(found: &mut BTreeSet<String>) -> Result<()> {
    for name in entries(Path::new("/proc"))? {
        if name.parse::<u32>().is_err() {
            continue;
        }
        // It may have ended since.
        let line = fs::read(format!("/proc/{name}/cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains("containerd-shim-") {
            found.insert(format!("process {name}"));
        }
    }
    Ok(())
}

/// A control group and all below it.
fn groups(group: &Path, found: &mut BTreeSet<String>) -> Result<()> {
    for name in entries(group)? {
        let below = group.join(name);
        if below.is_dir() {
            found.insert(format!("control group {}", below.display()));
            groups(&below, found)?;
        }
    }
    Ok(())
}

/// The names in a folder; none where there is no such folder.
fn entries(folder: &Path) -> Result<Vec<String>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect(),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(Vec::new())
        }
        Err(error) => Err(error).with_context(|| format!("failed to read {}", folder.display())),
    }
}
