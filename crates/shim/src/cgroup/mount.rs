//! Where hierarchies of control groups are mounted, as the kernel's `mountinfo` lists them
//! ([proc_pid_mountinfo(5)](https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html)).

use std::path::{Path, PathBuf};
use std::{fs, io};

/// The mounts that this process sees, a line each.
///
/// # Errors
///
/// When they cannot be read.
pub(super) fn mounts() -> io::Result<String> {
    fs::read_to_string("/proc/self/mountinfo")
}

/// A hierarchy that is mounted.
pub(super) struct Mount<'a> {
    /// Which of its groups is seen at the mount point.
    root: &'a str,
    /// Where it is mounted.
    pub(super) point: &'a str,
    pub(super) version2: bool,
    /// With version 1, the controllers or the name among them.
    options: &'a str,
}

impl<'a> Mount<'a> {
    /// Reads a line of `mountinfo`; `None` for what is no hierarchy.
    pub(super) fn of(line: &'a str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let mut after = after.split(' ');
        let kind = after.next()?;
        (kind == "cgroup" || kind == "cgroup2").then_some(())?;
        Some(Self {
            root: before.next()?,
            point: before.next()?,
            version2: kind == "cgroup2",
            options: after.nth(1)?,
        })
    }

    /// Whether it is the hierarchy of these controllers, which are none with version 2.
    pub(super) fn is_of(&self, controllers: &str) -> bool {
        let mut controllers = controllers.split(',');
        if self.version2 {
            return controllers.all(str::is_empty);
        }
        controllers.all(|wanted| self.options.split(',').any(|option| option == wanted))
    }

    /// Whether it is of version 1 and has a name in place of controllers: the program that mounted it owns it.
    pub(super) fn has_a_name(&self) -> bool {
        !self.version2 && self.options.contains("name=")
    }

    /// Where a group is seen, if it is.
    pub(super) fn place_of(&self, group: &Path) -> Option<PathBuf> {
        let below = group.strip_prefix(self.root).ok()?;
        Some(Path::new(self.point).join(below))
    }
}
