//! A pod's own IPC namespace, kept by a mount, because the pod has no process that would keep it.

use std::fs::{self, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use rustix::fs::{FlockOperation, flock};

use super::error::ChildError;

/// What the kernel calls the file system of namespaces.
const NSFS: rustix::fs::FsWord = 0x6e73_6673;

/// Makes the namespace and keeps it at `path`, unless that was done before. This process is then in
/// it, which is of no consequence: what it makes joins the namespaces that its specification names.
pub(super) fn keep_ipc(path: &Path) -> Result<(), ChildError> {
    let doing = || format!("keeping the pod's IPC namespace at {}", path.display());
    let keep = || {
        let folder = path.parent().unwrap_or(path);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        let lock = File::open(folder)?;
        // Of two containers that are made at once, the second one finds what the first one made.
        flock(&lock, FlockOperation::LockExclusive)?;
        if rustix::fs::statfs(path).is_ok_and(|found| found.f_type == NSFS) {
            return Ok(());
        }
        unshare(CloneFlags::CLONE_NEWIPC)?;
        File::create(path)?;
        let none = None::<&str>;
        mount(
            Some("/proc/self/ns/ipc"),
            path,
            none,
            MsFlags::MS_BIND,
            none,
        )?;
        std::io::Result::Ok(())
    };
    keep().map_err(ChildError::system(doing()))
}
