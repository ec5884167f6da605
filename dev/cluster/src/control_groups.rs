//! The cluster's control groups.
//!
//! In every hierarchy the cluster has one group of its own. Below it are one group for each node's
//! pods and one for the cluster's programs. Other groups and the hierarchies themselves are left
//! alone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::layout::Layout;
use super::mounts;

/// The mounted hierarchies, of version 1 or 2 or both.
#[derive(Debug)]
pub(crate) struct ControlGroups {
    hierarchies: Vec<PathBuf>,
}

impl ControlGroups {
    pub(crate) fn find() -> Result<ControlGroups> {
        let mounts = mounts::all()?.into_iter();
        let hierarchies = mounts.filter(|mount| {
            matches!(mount.kind.as_str(), "cgroup" | "cgroup2") && mount.root == Path::new("/")
        });
        let mut hierarchies: Vec<_> = hierarchies.map(|mount| mount.point).collect();
        hierarchies.sort();
        hierarchies.dedup();
        if hierarchies.is_empty() {
            bail!("no hierarchy of control groups is mounted; mount one at /sys/fs/cgroup");
        }
        Ok(ControlGroups { hierarchies })
    }

    /// Makes a group and its ancestors in all hierarchies.
    pub(crate) fn make(&self, group: &str) -> Result<()> {
        for hierarchy in &self.hierarchies {
            let mut folder = hierarchy.clone();
            for part in group.split('/').filter(|part| !part.is_empty()) {
                let above = folder.clone();
                folder.push(part);
                make_one(&above, &folder)
                    .with_context(|| format!("failed to make {}", folder.display()))?;
            }
        }
        Ok(())
    }

    /// Whether any hierarchy has the group.
    pub(crate) fn exists(&self, group: &str) -> bool {
        self.folders(group).any(|folder| folder.exists())
    }

    /// The `cgroup.procs` files of a group.
    pub(crate) fn entrances(&self, group: &str) -> Vec<PathBuf> {
        let folders = self.folders(group);
        folders.map(|folder| folder.join("cgroup.procs")).collect()
    }

    /// The processes in a group and below it.
    pub(crate) fn processes(&self, group: &str) -> Result<Vec<i32>> {
        let mut processes = Vec::new();
        for folder in self.folders(group) {
            for folder in below(&folder)? {
                let file = folder.join("cgroup.procs");
                match fs::read_to_string(&file) {
                    Ok(text) => {
                        processes.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
                    }
                    Err(error) if is_gone(&error) => {}
                    Err(error) => {
                        return Err(error)
                            .with_context(|| format!("failed to read {}", file.display()));
                    }
                }
            }
        }
        processes.sort_unstable();
        processes.dedup();
        Ok(processes)
    }

    /// Removes a group and its descendants, which must be empty.
    pub(crate) fn remove(&self, group: &str) -> Result<()> {
        for folder in self.folders(group) {
            for folder in below(&folder)?.iter().rev() {
                match fs::remove_dir(folder) {
                    Err(error) if !is_gone(&error) => {
                        return Err(error)
                            .with_context(|| format!("failed to remove {}", folder.display()));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn folders(&self, group: &str) -> impl Iterator<Item = PathBuf> {
        let group = group.trim_start_matches('/');
        self.hierarchies
            .iter()
            .map(move |hierarchy| hierarchy.join(group))
    }
}

/// The group of the cluster's own programs.
pub(crate) fn of_programs(layout: &Layout) -> String {
    format!("{}/programs", layout.control_group())
}

fn make_one(above: &Path, folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    // In version 1, a new group takes no process until these two files are set.
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let (from, to) = (above.join(file), folder.join(file));
        if to.exists() && above.join("cpuset.sched_load_balance").exists() {
            let has = fs::read_to_string(&to)?;
            if has.trim().is_empty() {
                fs::write(&to, fs::read_to_string(&from)?.trim())?;
            }
        }
    }
    Ok(())
}

/// A folder and all folders below it, parents first.
fn below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    let mut left = vec![folder.to_owned()];
    while let Some(folder) = left.pop() {
        let entries = match fs::read_dir(&folder) {
            Err(error) if is_gone(&error) => continue,
            entries => entries.with_context(|| format!("failed to read {}", folder.display()))?,
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                left.push(entry.path());
            }
        }
        all.push(folder);
    }
    Ok(all)
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_made_filled_and_removed_from_below() {
        let folder = tempfile::tempdir().unwrap();
        let hierarchies = vec![folder.path().join("cpuset"), folder.path().join("pids")];
        for hierarchy in &hierarchies {
            fs::create_dir(hierarchy).unwrap();
        }
        let groups = ControlGroups { hierarchies };
        groups.make("/a/b").unwrap();
        groups.make("/a/b").unwrap();
        groups.make("/a/c").unwrap();
        let entrances = groups.entrances("/a/b");
        assert_eq!(entrances.len(), 2);
        fs::write(&entrances[0], "7\n8\n").unwrap();
        fs::write(&entrances[1], "7\n").unwrap();
        assert_eq!(groups.processes("/a").unwrap(), [7, 8]);
        assert_eq!(groups.processes("/none").unwrap(), Vec::<i32>::new());
        for entrance in entrances {
            // On a cgroup file system these files go with their folder; in this test they do not.
            fs::remove_file(entrance).unwrap();
        }
        groups.remove("/a").unwrap();
        groups.remove("/a").unwrap();
        assert!(!folder.path().join("pids/a").exists());
        assert!(folder.path().join("pids").exists());
    }
}
