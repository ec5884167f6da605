//! Removes what critest and containerd leave on the machine outside of the cluster's folders.
//!
//! These are the control group of all containers without a parent, and segments of shared memory.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};
use sampan_checkout::cargo::output;

use crate::control_groups::ControlGroups;

/// containerd's control group for containers of pods that name no parent, as critest's do.
const GROUP: &str = "/k8s.io";

/// The size of critest's segments, in bytes.
const SEGMENT: &str = "1048576";

/// The state of the machine before critest ran.
#[derive(Debug)]
pub(super) struct Baseline {
    groups: ControlGroups,
    had_group: bool,
    segments: BTreeSet<String>,
}

impl Baseline {
    pub(super) fn record() -> Result<Baseline> {
        let groups = ControlGroups::find()?;
        Ok(Baseline {
            had_group: groups.exists(GROUP),
            groups,
            segments: segments()?,
        })
    }

    /// Removes what the baseline lacks.
    pub(super) fn remove_leftovers(&self) -> Result<()> {
        if !self.had_group {
            self.groups.remove(GROUP)?;
        }
        for segment in segments()?.difference(&self.segments) {
            output(Command::new("ipcrm").args(["--shmem-id", segment]))?;
        }
        Ok(())
    }
}

/// The segments of critest's size that no process has attached.
fn segments() -> Result<BTreeSet<String>> {
    let file = "/proc/sysvipc/shm";
    let text = fs::read_to_string(file).with_context(|| format!("failed to read {file}"))?;
    Ok(parse(&text))
}

fn parse(text: &str) -> BTreeSet<String> {
    let segment = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (id, size, attached) = (fields.get(1)?, fields.get(3)?, fields.get(6)?);
        (*size == SEGMENT && *attached == "0").then(|| (*id).to_owned())
    };
    text.lines().skip(1).filter_map(segment).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_known_by_their_size_and_use() {
        let head = "       key      shmid perms  size  cpid  lpid nattch   uid   gid  cuid  cgid\n";
        let line = |id: u32, size: u32, attached: u32| {
            format!("         0 {id:>10}   644 {size} 77 77 {attached} 0 0 0 0\n")
        };
        let text = [
            head.to_owned(),
            line(3, 1 << 20, 0),
            line(4, 1 << 20, 1),
            line(5, 4096, 0),
        ];
        let expected = BTreeSet::from(["3".to_owned()]);
        assert_eq!(parse(&text.concat()), expected);
    }
}
