//! Makes the cluster's network: a namespace for each node, and one for the bridge between them.
//!
//! The machine's own namespace has no part in it, so neither its addresses nor its rules change.
//! The bridge is in no node's namespace: bridged frames would pass that node's connection tracking
//! twice, and Services would fail between nodes.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use sampan_checkout::cargo::{output, run, shown};

use super::layout::{Layout, Node};

const BRIDGE: &str = "nodes";

/// Makes the missing parts of the network.
pub(crate) fn make(layout: &Layout, nodes: &[Node]) -> Result<()> {
    let switch = layout.switch();
    if !namespace_exists(&switch) {
        ip(&["netns", "add", &switch])?;
    }
    if !has_link(&switch, BRIDGE)? {
        ip(&["-n", &switch, "link", "add", BRIDGE, "type", "bridge"])?;
    }
    ip(&["-n", &switch, "link", "set", BRIDGE, "up"])?;
    for node in nodes {
        make_node(&switch, node)?;
    }
    for node in nodes {
        for other in nodes.iter().filter(|other| other.number != node.number) {
            let (namespace, pods) = (node.namespace(), other.pods());
            let via = other.address().to_string();
            ip(&["-n", &namespace, "route", "replace", &pods, "via", &via])?;
        }
    }
    Ok(())
}

fn make_node(switch: &str, node: &Node) -> Result<()> {
    let namespace = node.namespace();
    let port = node.name();
    if !namespace_exists(&namespace) {
        ip(&["netns", "add", &namespace])?;
    }
    let inside = ["-n", &namespace];
    if !has_link(&namespace, "eth0")? {
        let mut words = vec!["-n", switch, "link", "add", &port, "type", "veth"];
        words.extend(["peer", "name", "eth0", "netns", &namespace]);
        ip(&words)?;
    }
    ip(&["-n", switch, "link", "set", &port, "master", BRIDGE, "up"])?;
    let address = format!("{}/24", node.address());
    ip(&[
        &inside[..],
        &["address", "replace", &address, "dev", "eth0"],
    ]
    .concat())?;
    ip(&[&inside[..], &["link", "set", "lo", "up"]].concat())?;
    ip(&[&inside[..], &["link", "set", "eth0", "up"]].concat())?;
    // Kubernetes takes the node's address from the interface of the default route, so there must be
    // one. It leads nowhere.
    ip(&[&inside[..], &["route", "replace", "default", "dev", "eth0"]].concat())?;
    let mut forward = inside_of(node);
    forward.args(["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"]);
    run(&mut forward)
}

/// A command that runs in a node's namespace, once its program and arguments are added.
pub(crate) fn inside_of(node: &Node) -> Command {
    // `ip netns exec` would hide the control groups behind a fresh /sys.
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", node.namespace_path().display()));
    command
}

/// The existing namespaces of the cluster.
pub(crate) fn namespaces(layout: &Layout) -> Result<Vec<String>> {
    let entries = match std::fs::read_dir("/run/netns") {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.context("failed to read /run/netns")?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if is_of(layout, &name) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Removes the network. Interfaces, addresses and rules go with their namespaces.
pub(crate) fn remove(layout: &Layout) -> Result<()> {
    for namespace in namespaces(layout)? {
        ip(&["netns", "delete", &namespace])?;
    }
    Ok(())
}

/// Whether a namespace belongs to the cluster. The name of another cluster may begin with this
/// one's.
fn is_of(layout: &Layout, namespace: &str) -> bool {
    let prefix = layout.name().prefix();
    let rest = namespace
        .strip_prefix(&prefix)
        .and_then(|rest| rest.strip_prefix('-'));
    rest.is_some_and(|rest| rest == "switch" || rest.parse::<u8>().is_ok())
}

fn namespace_exists(name: &str) -> bool {
    Path::new("/run/netns").join(name).exists()
}

fn has_link(namespace: &str, link: &str) -> Result<bool> {
    let mut command = Command::new("ip");
    command
        .args(["-n", namespace, "link", "show", link])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let status = command.status();
    Ok(status
        .with_context(|| format!("failed to start {}", shown(&command)))?
        .success())
}

fn ip(words: &[&str]) -> Result<()> {
    let mut command = Command::new("ip");
    output(command.args(words)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_of_others_are_not_ours() {
        fn check(layout: &Layout, namespace: &str, expected: bool) {
            assert_eq!(is_of(layout, namespace), expected, "{namespace}");
        }
        let layout = Layout::new("a".parse().unwrap()).unwrap();
        check(&layout, "sampan-a-switch", true);
        check(&layout, "sampan-a-2", true);
        check(&layout, "sampan-a-b-switch", false);
        check(&layout, "sampan-ab-1", false);
        check(&layout, "cni-1", false);
    }
}
