//! Restarting a node's containerd, as an upgrade of it does: its pods are to go on meanwhile.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::control_groups::{self, ControlGroups};
use super::images;
use super::layout::Layout;
use super::node;
use super::processes::Processes;
use super::ready;
use super::state::{Lock, Memory};
use crate::packages;

/// How long containerd may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// Ends containerd, kindly or at once, starts it again, and waits until it answers.
pub(super) fn containerd(
    layout: &Layout,
    memory: &Memory,
    number: usize,
    kill: bool,
) -> Result<()> {
    if !(1..=memory.nodes).contains(&number) {
        bail!("the cluster has the nodes 1 to {}", memory.nodes);
    }
    let _lock = Lock::take(layout)?;
    let node = layout.node(number);
    let groups = ControlGroups::find()?;
    let own = control_groups::of_programs(layout);
    let processes = Processes::new(layout, groups.entrances(&own));
    let name = node.component(node::CONTAINERD);
    let begun = Instant::now();
    let patience = if kill { Duration::ZERO } else { PATIENCE };
    processes.stop(&name, patience)?;
    processes.ensure(&node::containerd(layout, &node, memory)?)?;
    ready::wait(&processes, &name, &[&name], || {
        packages::starts_quietly(images::ctr(layout, &node).arg("version"))
    })?;
    eprintln!(
        "{name} answers again after {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}
