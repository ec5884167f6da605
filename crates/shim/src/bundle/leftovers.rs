//! Takes apart what is left of a container: its control group, its mounts, and the shim's folder in its bundle.

use std::fs;
use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};

use super::record::FOLDER;
use crate::cgroup::Cgroup;
use crate::error::{Result, ShimError};

/// Removes the control group of a container that is not there any more, or was never made.
///
/// # Errors
///
/// [`ShimError::System`] when the group is still in use after a while.
pub(crate) async fn remove_group(cgroup: &Cgroup) -> Result<()> {
    let removed = cgroup.remove().await;
    removed.map_err(ShimError::system("removing the control group"))
}

/// Unmounts a sandbox's root and removes the state of its program. What the pod's containers use stays.
///
/// # Errors
///
/// When something is in use.
pub(crate) fn clear_init(bundle: &Path, id: &str) -> Result<()> {
    let root = bundle.join("rootfs");
    unmount(&root).map_err(ShimError::system(format!("unmounting {}", root.display())))?;
    remove(&bundle.join(FOLDER).join(id))
}

/// Unmounts what was mounted into a bundle and removes our folder in it. What is not there is gone
/// already.
///
/// # Errors
///
/// When something is in use.
pub(crate) fn clear(bundle: &Path) -> Result<()> {
    for mounted in [bundle.join("rootfs"), bundle.join(FOLDER).join("ipc")] {
        unmount(&mounted).map_err(ShimError::system(format!(
            "unmounting {}",
            mounted.display()
        )))?;
    }
    remove(&bundle.join(FOLDER))
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(ShimError::system(format!(
            "removing {}",
            folder.display()
        ))(error)),
        _ => Ok(()),
    }
}

/// Unmounts everything that is mounted on a path.
fn unmount(path: &Path) -> io::Result<()> {
    loop {
        match umount2(path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
            Ok(()) => {}
            Err(Errno::EINVAL | Errno::ENOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
