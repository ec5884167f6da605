//! Reads the counters of a container's control group, in either version of control groups.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The files of one container's groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ControlGroup {
    processor: Processor,
    memory: PathBuf,
    peak: PathBuf,
}

/// The counter of processor time.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Processor {
    /// Version 1: nanoseconds.
    Usage(PathBuf),
    /// Version 2: a line `usage_usec`.
    Stat(PathBuf),
}

impl ControlGroup {
    /// The control group of a process.
    pub(super) fn of(pid: u32) -> Result<Self> {
        let groups = format!("/proc/{pid}/cgroup");
        let groups =
            fs::read_to_string(&groups).with_context(|| format!("failed to read {groups}"))?;
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        Self::find(&groups, &mounts)
            .with_context(|| format!("failed to find the control groups of process {pid}"))
    }

    fn find(groups: &str, mounts: &str) -> Option<Self> {
        if let Some(processor) = folder(groups, mounts, "cpuacct") {
            let memory = folder(groups, mounts, "memory")?;
            return Some(Self {
                processor: Processor::Usage(processor.join("cpuacct.usage")),
                memory: memory.join("memory.usage_in_bytes"),
                peak: memory.join("memory.max_usage_in_bytes"),
            });
        }
        let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
        let root = mounts
            .lines()
            .find_map(|line| mount(line, "cgroup2", None))?;
        let folder = below(root, path);
        Some(Self {
            processor: Processor::Stat(folder.join("cpu.stat")),
            memory: folder.join("memory.current"),
            peak: folder.join("memory.peak"),
        })
    }

    /// Processor time so far, in nanoseconds.
    pub(super) fn processor_nanoseconds(&self) -> Result<u64> {
        match &self.processor {
            Processor::Usage(path) => number(path),
            Processor::Stat(path) => {
                let text = read(path)?;
                let line = text
                    .lines()
                    .find_map(|line| line.strip_prefix("usage_usec "));
                let microseconds: u64 = line.context("no usage_usec")?.trim().parse()?;
                Ok(microseconds * 1000)
            }
        }
    }

    /// Current memory, in bytes.
    pub(super) fn memory(&self) -> Result<u64> {
        number(&self.memory)
    }

    /// Peak memory so far, in bytes.
    pub(super) fn peak(&self) -> Result<u64> {
        number(&self.peak)
    }
}

/// A group's folder in the hierarchy of a controller of version 1.
fn folder(groups: &str, mounts: &str, controller: &str) -> Option<PathBuf> {
    let path = groups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let has = parts.next()?.split(',').any(|name| name == controller);
        has.then(|| parts.next()).flatten()
    })?;
    let root = mounts
        .lines()
        .find_map(|line| mount(line, "cgroup", Some(controller)))?;
    Some(below(root, path))
}

/// The mount point of a line of `mountinfo`, if it has this type and this option.
///
/// Source: proc(5), `/proc/pid/mountinfo`.
fn mount<'a>(line: &'a str, kind: &str, option: Option<&str>) -> Option<&'a str> {
    let (before, after) = line.split_once(" - ")?;
    let mut after = after.split(' ');
    let is_kind = after.next()? == kind;
    let mut options = after.nth(1).unwrap_or_default().split(',');
    let has = option.is_none_or(|option| options.any(|found| found == option));
    (is_kind && has).then(|| before.split(' ').nth(4)).flatten()
}

fn below(root: &str, path: &str) -> PathBuf {
    Path::new(root).join(path.trim_start_matches('/'))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))
}

fn number(path: &Path) -> Result<u64> {
    let text = read(path)?;
    let parsed = text.trim().parse();
    parsed.with_context(|| format!("{} holds no number", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_in_both_versions() {
        fn check(groups: &str, mounts: &str, expected: Option<[&str; 3]>) {
            let found = ControlGroup::find(groups, mounts).map(|found| {
                let processor = match found.processor {
                    Processor::Usage(path) | Processor::Stat(path) => path,
                };
                [processor, found.memory, found.peak]
            });
            let expected = expected.map(|paths| paths.map(PathBuf::from));
            assert_eq!(found, expected, "{groups}");
        }
        let v1 = "30 25 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                  31 25 0:27 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct\n\
                  32 25 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                  33 25 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        check(
            "3:memory:/n/pod/c\n2:cpuacct:/n/pod/c\n1:cpu:/n/pod/c\n0::/\n",
            v1,
            Some([
                "/sys/fs/cgroup/cpuacct/n/pod/c/cpuacct.usage",
                "/sys/fs/cgroup/memory/n/pod/c/memory.usage_in_bytes",
                "/sys/fs/cgroup/memory/n/pod/c/memory.max_usage_in_bytes",
            ]),
        );
        let v2 = "33 25 0:29 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        check(
            "0::/kubepods/pod/c\n",
            v2,
            Some([
                "/sys/fs/cgroup/kubepods/pod/c/cpu.stat",
                "/sys/fs/cgroup/kubepods/pod/c/memory.current",
                "/sys/fs/cgroup/kubepods/pod/c/memory.peak",
            ]),
        );
        check("", v2, None);
        check("0::/c\n", "", None);
    }
}
