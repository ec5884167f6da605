//! Restarts a node's containerd, as an upgrade of it does. Pods must go on meanwhile.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use sampan_checkout::packages;

use super::control_groups::{self, ControlGroups};
use super::images;
use super::layout::Layout;
use super::node;
use super::processes::Processes;
use super::ready;
use super::state::{Lock, SavedState};

/// How long containerd may take to end after SIGTERM.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Ends containerd by SIGTERM or SIGKILL, starts it again, and waits until it answers.
pub(super) fn containerd(
    layout: &Layout,
    saved: &SavedState,
    number: usize,
    kill: bool,
) -> Result<()> {
    if !(1..=saved.nodes).contains(&number) {
        bail!(
            "there is no such node; the cluster has the nodes 1 to {}",
            saved.nodes
        );
    }
    let _lock = Lock::take(layout)?;
    let node = layout.node(number);
    let groups = ControlGroups::find()?;
    let own = control_groups::of_programs(layout);
    let processes = Processes::new(layout, groups.entrances(&own));
    let name = node.component(node::CONTAINERD);
    let begun = Instant::now();
    let timeout = if kill { Duration::ZERO } else { STOP_TIMEOUT };
    processes.stop(&name, timeout)?;
    processes.ensure(&node::containerd(layout, &node, saved)?)?;
    ready::wait(&processes, &name, &[&name], || {
        packages::succeeds_quietly(images::ctr(layout, &node).arg("version"))
    })?;
    eprintln!(
        "{name} answers again after {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}
