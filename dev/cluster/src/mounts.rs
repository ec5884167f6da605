//! Lists the mounts of this mount namespace, and removes those below the cluster's folders.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::mount::{
    MountPropagationFlags, UnmountFlags, mount_bind_recursive, mount_change, unmount,
};

/// A line of `/proc/self/mountinfo`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    /// The part of the file system that is mounted.
    pub(crate) root: PathBuf,
    /// The mount point.
    pub(crate) point: PathBuf,
    /// The type of the file system.
    pub(crate) kind: String,
}

/// All mounts, in the order of their creation.
pub(crate) fn all() -> Result<Vec<Mount>> {
    let file = "/proc/self/mountinfo";
    let text = fs::read_to_string(file).with_context(|| format!("failed to read {file}"))?;
    Ok(text.lines().filter_map(parse).collect())
}

/// The mount points at or below one of the folders.
pub(crate) fn below(folders: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let points = all()?.into_iter().map(|mount| mount.point);
    Ok(points
        .filter(|point| folders.iter().any(|folder| point.starts_with(folder)))
        .collect())
}

/// The mount point of the file system that holds a folder.
pub(crate) fn of(folder: &Path) -> Result<PathBuf> {
    let real = resolved(folder)?;
    let points = all()?.into_iter().map(|mount| mount.point);
    Ok(deepest_above(&real, points).unwrap_or_else(|| PathBuf::from("/")))
}

fn deepest_above(folder: &Path, points: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    points
        .filter(|point| folder.starts_with(point))
        .max_by_key(|point| point.components().count())
}

/// Makes a folder a shared mount, so that mounts below it appear in mount namespaces copied from
/// this one.
pub(crate) fn share(folder: &Path) -> Result<()> {
    let real = resolved(folder)?;
    let failed = || format!("failed to share what is mounted below {}", real.display());
    if of(&real)? != real {
        mount_bind_recursive(&real, &real).with_context(failed)?;
    }
    mount_change(&real, MountPropagationFlags::SHARED).with_context(failed)
}

fn resolved(folder: &Path) -> Result<PathBuf> {
    let real = folder.canonicalize();
    real.with_context(|| format!("failed to find {}", folder.display()))
}

/// Unmounts everything at or below the folders, the latest mounts first.
pub(crate) fn remove_below(folders: &[PathBuf]) -> Result<()> {
    for point in below(folders)?.iter().rev() {
        // Processes that still use the mount may go on; it is only detached here.
        match unmount(point, UnmountFlags::DETACH) {
            // It went with a mount that was removed before.
            Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {}
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("failed to unmount {}", point.display()));
            }
        }
    }
    Ok(())
}

/// Parses a line such as `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw`.
fn parse(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut fields = left.split(' ').skip(3);
    Some(Mount {
        root: unescaped(fields.next()?),
        point: unescaped(fields.next()?),
        kind: right.split(' ').next()?.to_owned(),
    })
}

/// Spaces and some other characters are written as `\040`.
fn unescaped(path: &str) -> PathBuf {
    let bytes = path.as_bytes();
    let mut plain = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let octal = path
            .get(at + 1..at + 4)
            .filter(|_| bytes[at] == b'\\')
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        plain.push(octal.unwrap_or(bytes[at]));
        at += if octal.is_some() { 4 } else { 1 };
    }
    Path::new(&OsString::from_vec(plain)).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_list_is_read() {
        fn check(line: &str, expected: Option<(&str, &str, &str)>) {
            let expected = expected.map(|(root, point, kind)| Mount {
                root: root.into(),
                point: point.into(),
                kind: kind.to_owned(),
            });
            assert_eq!(parse(line), expected, "{line}");
        }
        check(
            "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw",
            Some(("/mnt1", "/mnt2", "ext3")),
        );
        check(
            r"36 35 98:0 / /a\040b rw - tmpfs tmpfs rw",
            Some(("/", "/a b", "tmpfs")),
        );
        check("36 35", None);
    }

    #[test]
    fn a_folder_is_of_the_deepest_mount_above_it() {
        fn check(folder: &str, expected: &str) {
            let points = ["/", "/var", "/var/lib/a", "/var/lib"].map(PathBuf::from);
            let found = deepest_above(Path::new(folder), points.into_iter());
            assert_eq!(found, Some(expected.into()), "{folder}");
        }
        check("/var/lib/a/b", "/var/lib/a");
        check("/var/lib/a", "/var/lib/a");
        check("/var/lib/ab", "/var/lib");
        check("/var/run", "/var");
        check("/run", "/");
    }
}
