//! Mount options that libcontainer leaves out, set in the container's mount namespace while its first process waits.
//!
//! libcontainer ignores the options of a control group mount of version 1, the propagation of every mount, and
//! options that clear a flag. It cannot mount below a read-only tmpfs. Everything here follows runc's
//! `rootfs_linux.go`. Nothing of the container has run yet, so no path can have changed.

mod options;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns};
use oci_spec::runtime::{Linux, Mount, Spec};
use rustix::fs::{FsWord, StatVfsMountFlags, statfs, statvfs};

pub(super) use self::options::Options;
use super::error::ChildError;

/// What the kernel calls the file systems of control groups, of version 1 and 2.
const CGROUPS: [FsWord; 2] = [0x0027_e0eb, 0x6367_7270];

/// A container's root. libcontainer leaves it a slave of the node's mount where that is shared, as systemd makes it.
/// Mounts that the node makes below it later would appear in the container.
const ROOT: &str = "/";

/// Steps that complete a container's mounts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct MountPlan {
    steps: Vec<Step>,
}

#[derive(Debug, PartialEq, Eq)]
struct Step {
    destination: PathBuf,
    action: Action,
}

#[derive(Debug, PartialEq, Eq)]
enum Action {
    /// Gives the mount these flags and no others.
    SetFlags(MsFlags),
    /// The same for each hierarchy of control groups, and for the tmpfs that holds those of version 1.
    SetCgroupFlags(MsFlags),
    Propagate(MsFlags),
}

impl MountPlan {
    /// Plans the steps, and leaves in the specification what libcontainer understands. A function executes nothing, so
    /// its mounts keep restrictions of their sources that runc clears.
    ///
    /// # Errors
    ///
    /// [`ChildError::NestedMount`] for a mount that would appear on the node.
    pub(super) fn take(spec: &mut Spec, is_function: bool) -> Result<Self, ChildError> {
        let linux = spec.linux_mut().as_mut();
        let linux = linux.ok_or(ChildError::Missing("linux"))?;
        let root = linux.rootfs_propagation().as_deref().map(not_recursive);
        let is_shared = root == Some("shared");
        let mut plan = Self::default();
        if !matches!(root, Some("shared" | "unbindable")) {
            plan.steps.push(Step {
                destination: ROOT.into(),
                action: Action::Propagate(MsFlags::MS_PRIVATE),
            });
        }
        let root = root.map(str::to_owned);
        linux.set_rootfs_propagation(root);
        let covered = Covered::of(linux);
        let Some(mounts) = spec.mounts_mut() else {
            return Ok(plan);
        };
        if is_shared {
            refuse_nested(mounts)?;
        }
        for index in 0..mounts.len() {
            let destination = mounts[index].destination().clone();
            let later = &mounts[index + 1..];
            let is_hidden = later
                .iter()
                .any(|other| destination.starts_with(other.destination()));
            if is_hidden || covered.hides(&destination) {
                continue;
            }
            plan.add(&mut mounts[index], is_function);
        }
        Ok(plan)
    }

    fn add(&mut self, mount: &mut Mount, is_function: bool) {
        let options = Options::of(mount);
        let mut push = |action| {
            self.steps.push(Step {
                destination: mount.destination().clone(),
                action,
            });
        };
        match mount.typ().as_deref() {
            Some("cgroup" | "cgroup2") if options.is_read_only() => {
                push(Action::SetCgroupFlags(options.flags()));
            }
            _ if options.bind && options.has_flags() && !is_function => {
                push(Action::SetFlags(options.flags()));
            }
            _ if options.bind => {}
            Some("tmpfs") if options.is_read_only() => push(Action::SetFlags(options.flags())),
            _ if mount.destination() == Path::new("/dev") && options.is_read_only() => {
                push(Action::SetFlags(options.flags()));
            }
            _ => {}
        }
        for propagation in &options.propagation {
            push(Action::Propagate(*propagation));
        }
        if mount.typ().as_deref() == Some("tmpfs")
            && let Some(options) = mount.options_mut()
        {
            // Other mounts may lie in it, which need their folders made.
            options.retain(|option| option != "ro");
        }
    }

    /// Takes the steps in the mount namespace of the container's first process.
    ///
    /// # Errors
    ///
    /// [`ChildError::System`] with the mount that cannot be changed.
    pub(super) fn apply(&self, pid: i32) -> Result<(), ChildError> {
        if self.steps.is_empty() {
            return Ok(());
        }
        let entering = || ChildError::system("entering the container's mount namespace");
        let own = File::open("/proc/self/ns/mnt").map_err(entering())?;
        let path = format!("/proc/{pid}/ns/mnt");
        let container = File::open(path).map_err(entering())?;
        let is_same = same_file(&own, &container).map_err(entering())?;
        if is_same {
            return Err(ChildError::Missing("mount namespace"));
        }
        let enter = |namespace: &File| {
            let entered = setns(namespace, CloneFlags::CLONE_NEWNS);
            entered.map_err(|errno| entering()(errno.into()))
        };
        enter(&container)?;
        let done = self.steps.iter().try_for_each(Step::take);
        enter(&own)?;
        done
    }
}

impl Step {
    fn take(&self) -> Result<(), ChildError> {
        let path = &self.destination;
        let done = match self.action {
            Action::SetFlags(flags) => set_flags(path, flags),
            Action::SetCgroupFlags(flags) => set_cgroup_flags(path, flags),
            Action::Propagate(flags) => change(path, flags).map_err(io::Error::from),
        };
        let doing = || format!("setting the options of the mount at {}", path.display());
        done.map_err(|error| ChildError::system(doing())(error))
    }
}

fn change(path: &Path, flags: MsFlags) -> nix::Result<()> {
    let none = None::<&str>;
    mount(none, path, none, flags, none)
}

/// Gives a mount these flags. In a user namespace some flags of the source are locked, and then stay.
fn set_flags(path: &Path, flags: MsFlags) -> io::Result<()> {
    let remount = |flags| change(path, flags | MsFlags::MS_BIND | MsFlags::MS_REMOUNT);
    match remount(flags) {
        Err(Errno::EPERM) => remount(flags | flags_of(path)?)?,
        done => done?,
    }
    Ok(())
}

fn flags_of(path: &Path) -> io::Result<MsFlags> {
    let found = statvfs(path)?.f_flag;
    let known = [
        (StatVfsMountFlags::RDONLY, MsFlags::MS_RDONLY),
        (StatVfsMountFlags::NOSUID, MsFlags::MS_NOSUID),
        (StatVfsMountFlags::NODEV, MsFlags::MS_NODEV),
        (StatVfsMountFlags::NOEXEC, MsFlags::MS_NOEXEC),
        (StatVfsMountFlags::NOATIME, MsFlags::MS_NOATIME),
        (StatVfsMountFlags::NODIRATIME, MsFlags::MS_NODIRATIME),
        (StatVfsMountFlags::RELATIME, MsFlags::MS_RELATIME),
    ];
    let set = known.iter().filter(|(flag, _)| found.contains(*flag));
    Ok(set.map(|(_, flag)| *flag).collect())
}

fn set_cgroup_flags(destination: &Path, flags: MsFlags) -> io::Result<()> {
    if !is_cgroup(destination)? {
        for entry in fs::read_dir(destination)? {
            let entry = entry?;
            // Links lead from one controller's name to the hierarchy of several.
            if entry.file_type()?.is_dir() && is_cgroup(&entry.path())? {
                set_read_only(&entry.path(), flags)?;
            }
        }
    }
    set_read_only(destination, flags)
}

/// Sets flags, and makes sure that the result cannot be written to.
fn set_read_only(path: &Path, flags: MsFlags) -> io::Result<()> {
    set_flags(path, flags)?;
    let found = statvfs(path)?.f_flag;
    if found.contains(StatVfsMountFlags::RDONLY) {
        return Ok(());
    }
    let message = format!("{} is still writable", path.display());
    Err(io::Error::other(message))
}

fn is_cgroup(path: &Path) -> io::Result<bool> {
    Ok(CGROUPS.contains(&statfs(path)?.f_type))
}

fn same_file(one: &File, other: &File) -> io::Result<bool> {
    let (one, other) = (one.metadata()?, other.metadata()?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

/// libcontainer's name of a propagation, which it always applies recursively.
fn not_recursive(propagation: &str) -> &str {
    match propagation {
        "rshared" | "rslave" | "rprivate" | "runbindable" => &propagation[1..],
        other => other,
    }
}

/// Paths that have another mount on top by now.
struct Covered {
    masked: Vec<PathBuf>,
    read_only: Vec<PathBuf>,
}

impl Covered {
    fn of(linux: &Linux) -> Self {
        let paths =
            |paths: &Option<Vec<String>>| paths.iter().flatten().map(PathBuf::from).collect();
        Self {
            masked: paths(linux.masked_paths()),
            read_only: paths(linux.readonly_paths()),
        }
    }

    fn hides(&self, destination: &Path) -> bool {
        // What lies inside a read-only path is still there.
        self.masked.iter().any(|path| destination.starts_with(path))
            || self.read_only.iter().any(|path| path == destination)
    }
}

/// With a shared root, libcontainer shares all bind mounts with the node until the plan makes them private. A mount
/// inside one of them would appear in the folder of the node and stay there.
fn refuse_nested(mounts: &[Mount]) -> Result<(), ChildError> {
    let private = mounts.iter().filter(|mount| {
        let options = Options::of(mount);
        options.bind
            && !options
                .propagation
                .iter()
                .any(|flags| flags.contains(MsFlags::MS_SHARED))
    });
    for outer in private {
        let outer = outer.destination();
        let is_inside =
            |mount: &&Mount| mount.destination() != outer && mount.destination().starts_with(outer);
        if let Some(inner) = mounts.iter().find(is_inside) {
            return Err(ChildError::NestedMount {
                outer: outer.clone(),
                inner: inner.destination().clone(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
