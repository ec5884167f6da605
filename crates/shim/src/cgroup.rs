//! A container's control group as the supervisor sees it: who is in it, what was killed in it, what
//! it uses. libcontainer makes it and sets its limits.

mod entry;
mod mount;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

pub(crate) use entry::foresee_entry;
use mount::{Mount, mounts};

/// How long the kernel may take to let go of processes that were killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two looks at a group that is not empty yet.
const PAUSE: Duration = Duration::from_millis(5);

/// A group: one folder with version 2, one for each controller with version 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cgroup {
    folders: Vec<PathBuf>,
    unified: bool,
}

/// Where control groups are mounted.
#[derive(Debug, PartialEq, Eq)]
struct Hierarchies {
    mounts: Vec<PathBuf>,
    unified: bool,
}

impl Cgroup {
    /// The group at this path below the root of each hierarchy, as far as it exists.
    ///
    /// # Errors
    ///
    /// When the mounts cannot be read.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        let relative = path.strip_prefix("/").unwrap_or(path);
        if relative.as_os_str().is_empty() {
            // Nothing here ever touches everybody's group.
            return Ok(Self::default());
        }
        let Hierarchies { mounts, unified } = Hierarchies::of(&mounts()?);
        let folders = mounts.into_iter().map(|mount| mount.join(relative));
        Ok(Self {
            folders: folders.filter(|folder| folder.is_dir()).collect(),
            unified,
        })
    }

    /// The group of a process that systemd has put into a scope of its own.
    ///
    /// # Errors
    ///
    /// When the process is gone.
    pub(crate) fn of_scope(pid: i32) -> io::Result<Self> {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
        let scope = groups
            .lines()
            .find_map(|line| line.strip_prefix("0::"))
            // systemd writes it so.
            .filter(|path| path.strip_suffix(".scope").is_some());
        scope.map_or_else(|| Ok(Self::default()), |path| Self::at(Path::new(path)))
    }

    /// Whether this machine's control groups are of version 2.
    ///
    /// # Errors
    ///
    /// When the mounts cannot be read.
    pub(crate) fn is_version_2() -> io::Result<bool> {
        Ok(Hierarchies::of(&mounts()?).unified)
    }

    /// Whether it is of version 2.
    pub(crate) fn is_unified(&self) -> bool {
        self.unified
    }

    /// The processes in it.
    pub(crate) fn processes(&self) -> BTreeSet<i32> {
        let mut found = BTreeSet::new();
        for folder in &self.folders {
            collect(folder, &mut found);
        }
        found
    }

    /// How many of its processes the kernel has killed for want of memory.
    pub(crate) fn oom_kills(&self) -> u64 {
        let files = ["memory.events", "memory.oom_control"];
        self.folders
            .iter()
            .flat_map(|folder| files.map(|file| folder.join(file)))
            .filter_map(|file| fs::read_to_string(file).ok())
            .filter_map(|text| {
                let mut lines = text.lines();
                lines.find_map(|line| line.strip_prefix("oom_kill ")?.parse::<u64>().ok())
            })
            .sum()
    }

    /// The processor time that its processes have used, with version 1; 0 where it is not counted.
    pub(crate) fn processor_nanoseconds(&self) -> u64 {
        let mut files = self
            .folders
            .iter()
            .map(|folder| folder.join("cpuacct.usage"));
        files
            .find_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok())
            .unwrap_or(0)
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
            if waited > PATIENCE {
                return Err(io::ErrorKind::TimedOut.into());
            }
            tokio::time::sleep(PAUSE).await;
            waited += PAUSE;
        }
        Ok(())
    }

    /// Kills everything in it.
    pub(crate) fn kill(&self) {
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
            if waited > PATIENCE {
                return Err(error);
            }
            self.kill();
            tokio::time::sleep(PAUSE).await;
            waited += PAUSE;
        }
    }
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

impl Hierarchies {
    /// Reads the text of `mountinfo`. A hierarchy of version 2 beside others of version 1 has no
    /// controllers, and containers are not put into it.
    fn of(mountinfo: &str) -> Self {
        let (mut version1, mut version2) = (Vec::new(), Vec::new());
        for mount in mountinfo.lines().filter_map(Mount::of) {
            if mount.version2 {
                version2.push(mount.point.into());
            } else if !mount.has_a_name() {
                version1.push(mount.point.into());
            }
        }
        let unified = version1.is_empty();
        let mut mounts: Vec<PathBuf> = if unified { version2 } else { version1 };
        mounts.sort();
        mounts.dedup();
        Self { mounts, unified }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_are_told_from_mounts() {
        fn check(text: &str, expected: &[&str], unified: bool) {
            let expected = Hierarchies {
                mounts: expected.iter().map(PathBuf::from).collect(),
                unified,
            };
            assert_eq!(Hierarchies::of(text), expected);
        }
        check(
            "29 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n\
             30 23 0:27 / /proc rw - proc proc rw\n",
            &["/sys/fs/cgroup"],
            true,
        );
        check(
            "30 24 0:26 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n\
             31 24 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
             32 24 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
             33 24 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
            &["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/memory"],
            false,
        );
    }

    #[test]
    fn everybodys_group_is_never_ones_own() {
        for path in ["", "/"] {
            let cgroup = Cgroup::at(Path::new(path)).expect("mounts");
            assert_eq!(cgroup.folders, Vec::<PathBuf>::new(), "{path}");
        }
    }
}
