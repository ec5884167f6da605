//! A container's control group, once it is made: reads, freezes, kills and removes it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use containerd_shim::protos::cgroups_v2::metrics::Metrics;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use super::error::GroupError;
use super::mount::{Mount, mounts};
use super::path::GroupPath;
use super::settings::write_value;
use super::stats;
use super::version::{ROOT, Version};

/// How long the kernel may take to let go of processes that were killed.
const REMOVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Between two looks at a group that is not empty yet.
const RETRY_DELAY: Duration = Duration::from_millis(5);

/// A group: one folder with version 2, one for each controller with version 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cgroup {
    pub(super) folders: Vec<PathBuf>,
    pub(super) unified: bool,
    /// The scope of systemd's that it is.
    #[serde(default)]
    pub(super) unit: Option<String>,
}

impl Cgroup {
    /// What there is of the group that a specification asks for.
    ///
    /// # Errors
    ///
    /// When the path names no group that a container may have, or the mounts cannot be read.
    pub(crate) fn of_specification(asked: Option<&Path>, id: &str) -> Result<Self, GroupError> {
        let root = Path::new(ROOT);
        let version = Version::of_node().map_err(GroupError::system("looking at", root))?;
        let path = GroupPath::parse(asked, id, version)?;
        let mounts = match version {
            Version::V2 => vec![root.to_owned()],
            Version::V1 => {
                let text = mounts().map_err(GroupError::system(
                    "reading",
                    Path::new("/proc/self/mountinfo"),
                ))?;
                hierarchies(&text)
            }
        };
        let folders = mounts.into_iter().map(|mount| mount.join(path.folder()));
        Ok(Self {
            folders: folders.filter(|folder| folder.is_dir()).collect(),
            unified: version == Version::V2,
            unit: match path {
                GroupPath::Folder(_) => None,
                GroupPath::Scope(scope) => Some(scope.unit),
            },
        })
    }

    /// One of version 2 with this folder.
    #[cfg(test)]
    pub(crate) fn of_folder(folder: PathBuf) -> Self {
        Self {
            folders: vec![folder],
            unified: true,
            unit: None,
        }
    }

    /// Whether it is of version 2.
    pub(crate) fn is_unified(&self) -> bool {
        self.unified
    }

    /// What a group of version 2 uses.
    ///
    /// # Errors
    ///
    /// When it is gone.
    pub(crate) fn metrics(&self) -> io::Result<Metrics> {
        let folder = self.folders.first();
        stats::metrics(folder.ok_or(io::ErrorKind::NotFound)?)
    }

    /// The path, relative to this group, of the one that process `init` has moved to, where processes cannot be put into
    /// this group itself: one of version 2 that shares its controllers out has none of its own.
    ///
    /// # Errors
    ///
    /// When the process or the group is gone.
    pub(crate) fn below(&self, init: i32) -> io::Result<Option<String>> {
        let Some(folder) = self.folders.first().filter(|_| self.unified) else {
            return Ok(None);
        };
        let shared = fs::read_to_string(folder.join("cgroup.subtree_control"))?;
        if shared.trim().is_empty() {
            return Ok(None);
        }
        let groups = fs::read_to_string(format!("/proc/{init}/cgroup"))?;
        let group = groups.lines().find_map(|line| line.strip_prefix("0::/"));
        let below = group.and_then(|group| {
            Path::new(ROOT)
                .join(group)
                .strip_prefix(folder)
                .map(Path::to_owned)
                .ok()
        });
        let below = below.filter(|below| !below.as_os_str().is_empty());
        Ok(below.map(|below| below.display().to_string()))
    }

    /// The processes in it.
    pub(crate) fn processes(&self) -> BTreeSet<i32> {
        let mut found = BTreeSet::new();
        for folder in &self.folders {
            collect(folder, &mut found);
        }
        found
    }

    /// How many of its processes, and of those in groups below it, the kernel has killed for want of memory; `None` when
    /// the group is gone.
    pub(crate) fn oom_kills(&self) -> Option<u64> {
        self.folders.iter().find_map(|folder| oom_kills(folder))
    }

    /// The same for the group above it, with version 2.
    pub(crate) fn oom_kills_above(&self) -> Option<u64> {
        let folder = self.folders.first().filter(|_| self.unified)?;
        oom_kills(folder.parent()?)
    }

    /// The processor time that its processes have used, with version 1; 0 where it is not counted.
    pub(crate) fn processor_nanoseconds(&self) -> u64 {
        self.number("cpuacct.usage").unwrap_or(0)
    }

    /// How much memory it may use, and how much with what is swapped out, with version 1. Where memory is not counted it
    /// may use any.
    pub(crate) fn memory_limits(&self) -> (u64, u64) {
        let files = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"];
        let [memory, swap] = files.map(|file| self.number(file).unwrap_or(u64::MAX));
        (memory, swap)
    }

    fn number(&self, file: &str) -> Option<u64> {
        let mut files = self.folders.iter().map(|folder| folder.join(file));
        files.find_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok())
    }

    /// Stops its processes, or lets them go on.
    ///
    /// # Errors
    ///
    /// When there is no freezer.
    pub(crate) async fn freeze(&self, freeze: bool) -> io::Result<()> {
        let (file, state, value, now) = if self.unified {
            let value = if freeze { "1" } else { "0" };
            (
                "cgroup.freeze",
                "cgroup.events",
                value,
                format!("frozen {value}"),
            )
        } else {
            let value = if freeze { "FROZEN" } else { "THAWED" };
            ("freezer.state", "freezer.state", value, value.to_owned())
        };
        let folder = self
            .folders
            .iter()
            .find(|folder| folder.join(file).exists())
            .ok_or(io::ErrorKind::NotFound)?;
        fs::write(folder.join(file), value)?;
        let mut waited = Duration::ZERO;
        while !fs::read_to_string(folder.join(state))?.contains(&now) {
            if waited > REMOVE_TIMEOUT {
                return Err(io::ErrorKind::TimedOut.into());
            }
            tokio::time::sleep(RETRY_DELAY).await;
            waited += RETRY_DELAY;
        }
        Ok(())
    }

    /// Kills everything in it.
    pub(crate) fn kill(&self) {
        // Since Linux 5.14 the kernel does so at once, which no process can outrun by forking.
        let mut killed = false;
        for folder in &self.folders {
            killed |= self.unified && write_value(&folder.join("cgroup.kill"), "1").is_ok();
        }
        if killed {
            return;
        }
        for pid in self.processes() {
            if let Some(pid) = Pid::from_raw(pid) {
                // It may have ended by itself.
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }

    /// Kills everything in it and removes it.
    ///
    /// # Errors
    ///
    /// When it is still in use after a while.
    pub(crate) async fn remove(&self) -> io::Result<()> {
        let mut waited = Duration::ZERO;
        loop {
            let busy: Vec<_> = self
                .folders
                .iter()
                .filter_map(|folder| remove(folder).err())
                .collect();
            let Some(error) = busy.into_iter().next() else {
                return Ok(());
            };
            if waited > REMOVE_TIMEOUT {
                return Err(error);
            }
            self.kill();
            tokio::time::sleep(RETRY_DELAY).await;
            waited += RETRY_DELAY;
        }
    }
}

fn oom_kills(folder: &Path) -> Option<u64> {
    let files = ["memory.events", "memory.oom_control"].into_iter();
    let mut texts = files.filter_map(|file| fs::read_to_string(folder.join(file)).ok());
    let text = texts.next()?;
    let mut lines = text.lines();
    lines.find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok())
}

fn collect(folder: &Path, found: &mut BTreeSet<i32>) {
    if let Ok(text) = fs::read_to_string(folder.join("cgroup.procs")) {
        found.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    }
    for child in children(folder) {
        collect(&child, found);
    }
}

/// Removes a group with the groups in it.
fn remove(folder: &Path) -> io::Result<()> {
    for child in children(folder) {
        remove(&child)?;
    }
    match fs::remove_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Where hierarchies of version 1 are mounted, by the text of `mountinfo`. One that has a name has no controllers.
fn hierarchies(mountinfo: &str) -> Vec<PathBuf> {
    let mounts = mountinfo.lines().filter_map(Mount::of);
    let mounts = mounts.filter(|mount| !mount.version2 && !mount.has_a_name());
    let mut points: Vec<PathBuf> = mounts.map(|mount| mount.point.into()).collect();
    points.sort();
    points.dedup();
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_of_version_1_are_those_with_controllers() {
        let text = "30 24 0:26 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n\
            31 24 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
            32 24 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
            33 24 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
            34 24 0:30 / /proc rw - proc proc rw\n";
        let expected = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/memory"].map(PathBuf::from);
        assert_eq!(hierarchies(text), expected);
    }

    #[test]
    fn the_root_group_is_never_a_containers() {
        for path in ["/", "/..", "/a/.."] {
            let refused = Cgroup::of_specification(Some(Path::new(path)), "c");
            assert!(refused.is_err(), "{path}");
        }
    }
}
