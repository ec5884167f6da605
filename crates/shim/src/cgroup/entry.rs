//! Waits for the kernel's control group lock before a container's first process needs it.
//!
//! The kernel moves processes between groups under a lock (`cgroup_threadgroup_rwsem`), which every fork and exit of
//! the machine takes as a reader. Its first writer after a while waits for a grace period, in which every processor
//! learns that there is a writer: 4 to 20 ms. Writers that come before the lock has gone back to its readers, which
//! takes as long again, need not wait. A container's first process comes to its group some 10 ms after the container
//! is asked for, so a writer that comes with the request has the wait over by then, or nearly.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::mount::{self, Mount};

/// Takes the lock once, by moving this process to where it is. Blocks for a grace period.
///
/// # Errors
///
/// When this process's group cannot be found or written to; nothing but time is lost then.
pub(crate) fn prime_cgroup_lock() -> io::Result<()> {
    let mounts = mount::mounts()?;
    let groups = fs::read_to_string("/proc/self/cgroup")?;
    let group = own_group(&mounts, &groups).ok_or(io::ErrorKind::NotFound)?;
    // 0 stands for the writing process.
    fs::write(group.join("cgroup.procs"), "0")
}

/// This process's group in any of the hierarchies, by the texts of `mountinfo` and `cgroup` in its `/proc/self`. One
/// lock is for all of them.
fn own_group(mountinfo: &str, groups: &str) -> Option<PathBuf> {
    groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let mounts = mountinfo.lines().filter_map(Mount::of);
        let mut mounts = mounts.filter(|mount| mount.is_of(controllers));
        mounts.find_map(|mount| mount.place_of(Path::new(path)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_group_is_found_where_it_is_mounted() {
        fn check(mountinfo: &str, groups: &str, expected: Option<&str>) {
            let expected = expected.map(PathBuf::from);
            assert_eq!(own_group(mountinfo, groups), expected, "{groups}");
        }
        let version2 = "29 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        let service = "0::/system.slice/containerd.service\n";
        let there = "/sys/fs/cgroup/system.slice/containerd.service";
        check(version2, service, Some(there));
        check(version2, "0::/\n", Some("/sys/fs/cgroup/"));
        let version1 = "30 23 0:27 / /proc rw - proc proc rw\n\
            31 24 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
            32 24 0:26 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n\
            33 24 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n";
        let both = Some("/sys/fs/cgroup/cpu,cpuacct/a");
        check(version1, "4:cpu,cpuacct:/a\n3:memory:/b\n", both);
        check(
            version1,
            "5:cpuset:/c\n3:memory:/b\n",
            Some("/sys/fs/cgroup/memory/b"),
        );
        check(
            version1,
            "1:name=systemd:/d\n",
            Some("/sys/fs/cgroup/systemd/d"),
        );
        // In a container that sees a part of the machine's groups, with their whole paths.
        let part = "29 23 0:26 /docker/a /sys/fs/cgroup rw - cgroup2 cgroup rw\n";
        check(part, "0::/docker/a/init\n", Some("/sys/fs/cgroup/init"));
        check(part, "0::/docker/b\n", None);
        check(version1, service, None);
        check("", service, None);
        check(version2, "", None);
    }
}
