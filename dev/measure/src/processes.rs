//! Finds the processes of a pod: its shim and all of the shim's descendants.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::namespace::Namespace;
use crate::process::Process;

/// All processes of a pod with one container, its shim first.
pub async fn of_pod(namespace: &Namespace, name: &str) -> Result<Vec<Process>> {
    let container = container_of(namespace, name).await?;
    let table = Table::read()?;
    let inside = table.in_group(&container)?;
    // The outermost ancestor that is a shim, because a container's own process may look like one as
    // well.
    let shim = table
        .ancestors(inside)
        .into_iter()
        .rfind(|pid| is_shim(*pid))
        .context("no shim is above the container's process")?;
    Ok(table.below(shim).into_iter().map(Process).collect())
}

/// The proportional memory of all processes of a pod, in kibibytes.
pub async fn kibibytes_of_pod(namespace: &Namespace, name: &str) -> Result<f64> {
    let mut kibibytes = 0.0;
    for process in of_pod(namespace, name).await? {
        kibibytes += process.proportional_kibibytes()?;
    }
    Ok(kibibytes)
}

/// The process of a pod's container.
pub async fn main_of(namespace: &Namespace, name: &str) -> Result<u32> {
    let container = container_of(namespace, name).await?;
    Table::read()?.in_group(&container)
}

/// The network namespace of a pod.
pub async fn network_of(namespace: &Namespace, name: &str) -> Result<PathBuf> {
    let pid = main_of(namespace, name).await?;
    Ok(format!("/proc/{pid}/ns/net").into())
}

/// The `cgroup.procs` files of a pod's container.
pub async fn groups_of(namespace: &Namespace, name: &str) -> Result<Vec<PathBuf>> {
    let pid = main_of(namespace, name).await?;
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let folders = groups.lines().filter_map(group);
    let entrances = folders.map(|folder| folder.join("cgroup.procs"));
    Ok(entrances.filter(|entrance| entrance.exists()).collect())
}

/// The folder of a group, from a line `NUMBER:CONTROLLERS:PATH`.
fn group(line: &str) -> Option<PathBuf> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, path) = (parts.next()?, parts.next()?);
    let hierarchy = Path::new("/sys/fs/cgroup").join(controllers);
    Some(hierarchy.join(path.trim_start_matches('/')))
}

/// The identifier of the pod's container, which names its control group.
async fn container_of(namespace: &Namespace, name: &str) -> Result<String> {
    let pod = namespace.pods().get(name).await?;
    let status = pod.status.context("a pod has no status")?;
    let mut containers = status.container_statuses.into_iter().flatten();
    let id = containers.find_map(|container| container.container_id);
    let id = id.with_context(|| format!("{name} has no container"))?;
    // Its form is RUNTIME://IDENTIFIER.
    let id = id.rsplit('/').next().unwrap_or(&id);
    Ok(id.to_owned())
}

/// Every process with its parent.
struct Table(Vec<(u32, u32)>);

impl Table {
    fn read() -> Result<Self> {
        let mut all = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // It may have ended since.
            let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
                continue;
            };
            // The second field is a name in parentheses that may hold any character.
            let fields = stat.rsplit_once(") ").map(|(_, fields)| fields);
            let parent = fields.and_then(|fields| fields.split(' ').nth(1));
            all.push((pid, parent.context("stat has no parent")?.parse()?));
        }
        Ok(Self(all))
    }

    /// A process in the control group of a container.
    fn in_group(&self, container: &str) -> Result<u32> {
        let mut pids = self.0.iter().map(|(pid, _)| *pid);
        let found = pids.find(|pid| {
            fs::read_to_string(format!("/proc/{pid}/cgroup"))
                .is_ok_and(|groups| groups.lines().any(|line| line.ends_with(container)))
        });
        found.with_context(|| format!("no process is in the control group of {container}"))
    }

    /// A process and its ancestors, from the inside outwards.
    fn ancestors(&self, pid: u32) -> Vec<u32> {
        let parent = |pid: &u32| {
            let known = self.0.iter().find(|(known, _)| known == pid);
            known
                .map(|(_, parent)| *parent)
                .filter(|parent| *parent > 0)
        };
        std::iter::successors(Some(pid), parent).collect()
    }

    /// A process and its descendants.
    fn below(&self, pid: u32) -> Vec<u32> {
        let mut all = vec![pid];
        let mut next = 0;
        while let Some(above) = all.get(next).copied() {
            let children = self.0.iter().filter(|(_, parent)| *parent == above);
            all.extend(children.map(|(pid, _)| *pid));
            next += 1;
        }
        all
    }
}

fn is_shim(pid: u32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline"))
        .is_ok_and(|line| String::from_utf8_lossy(&line).contains("containerd-shim-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_in_its_hierarchy() {
        fn check(line: &str, expected: Option<&str>) {
            assert_eq!(group(line), expected.map(PathBuf::from), "{line}");
        }
        check("4:cpu:/a/b", Some("/sys/fs/cgroup/cpu/a/b"));
        check("3:cpu,cpuacct:/a", Some("/sys/fs/cgroup/cpu,cpuacct/a"));
        check("0::/a/b", Some("/sys/fs/cgroup/a/b"));
        check("0", None);
    }
}
