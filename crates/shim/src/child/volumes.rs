//! Gives a WASI command its pod's volumes: folders, and files that are mounted one by one.
//!
//! WASI opens folders only. A single file is therefore mounted into a folder of its own, which the command sees under
//! the name of the file's folder.

use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Mount, MountBuilder, Spec};

use super::error::ChildError;
use super::mounts::Options;

/// What is mounted into every pod without being a volume of the pod's.
const NO_VOLUMES: [&str; 7] = [
    "/proc",
    "/sys",
    "/dev/shm",
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
    "/var/run/secrets/kubernetes.io/serviceaccount",
];

/// Holds the folders of single files in the container. A command sees only what is opened for it.
const FILES: &str = "/.sampan-files";

/// A folder that a command sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Volume {
    /// Where it is in the container.
    pub(super) path: PathBuf,
    /// Where the command sees it.
    pub(super) guest: PathBuf,
    pub(super) writable: bool,
}

/// Finds the volumes of a command, and gives single files folders of their own.
///
/// # Errors
///
/// [`ChildError::Volume`] for a volume that is neither a folder nor a file.
pub(super) fn arrange(spec: &mut Spec) -> Result<Vec<Volume>, ChildError> {
    let Some(mounts) = spec.mounts_mut() else {
        return Ok(Vec::new());
    };
    let mut volumes = Vec::new();
    let mut files = Vec::new();
    for (index, mount) in mounts.iter().enumerate() {
        match kind(mount)? {
            Some(Kind::Folder) => volumes.push(folder(mount)),
            Some(Kind::File) => files.push(index),
            None => {}
        }
    }
    let folders = volumes.clone();
    // A file that is mounted into a volume is seen there.
    files.retain(|index| {
        let path = mounts[*index].destination();
        !folders.iter().any(|folder| path.starts_with(&folder.path))
    });
    let Some(first) = files.first().copied() else {
        return Ok(volumes);
    };
    let mut parents: Vec<Volume> = Vec::new();
    for index in files {
        let mount = &mut mounts[index];
        let path = mount.destination().clone();
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            continue;
        };
        let known = parents.iter().position(|volume| volume.guest == parent);
        let number = known.unwrap_or(parents.len());
        let place = Path::new(FILES).join(number.to_string());
        if known.is_none() {
            parents.push(Volume {
                path: place.clone(),
                guest: parent.to_owned(),
                writable: false,
            });
        }
        // The kernel refuses to write to a file that is mounted read-only.
        parents[number].writable |= !Options::of(mount).is_read_only();
        mount.set_destination(place.join(name));
    }
    mounts.insert(first, holder()?);
    volumes.extend(parents);
    Ok(volumes)
}

/// What holds the folders of single files. It becomes read-only when they are in place.
fn holder() -> Result<Mount, ChildError> {
    let options = ["ro", "nosuid", "nodev", "noexec", "mode=755", "size=64k"];
    MountBuilder::default()
        .destination(FILES)
        .typ("tmpfs")
        .source("tmpfs")
        .options(options.map(str::to_owned).to_vec())
        .build()
        .map_err(ChildError::Spec)
}

enum Kind {
    Folder,
    File,
}

/// What a mount gives a command; `None` for what is no volume.
fn kind(mount: &Mount) -> Result<Option<Kind>, ChildError> {
    let path = mount.destination();
    let is_volume = !NO_VOLUMES.iter().any(|other| path.starts_with(other));
    let Some(source) = mount.source().as_ref().filter(|_| is_volume) else {
        return Ok(None);
    };
    if !Options::of(mount).bind {
        return Ok(None);
    }
    let found = fs::metadata(source)
        .map_err(ChildError::system(format!(
            "reading the volume at {}",
            path.display()
        )))?
        .file_type();
    let other = if found.is_dir() {
        return Ok(Some(Kind::Folder));
    } else if found.is_file() {
        return Ok(Some(Kind::File));
    } else if found.is_socket() {
        "a socket"
    } else if found.is_fifo() {
        "a named pipe"
    } else {
        "a device"
    };
    Err(ChildError::Volume {
        path: path.clone(),
        kind: other,
    })
}

fn folder(mount: &Mount) -> Volume {
    Volume {
        path: mount.destination().clone(),
        guest: mount.destination().clone(),
        writable: !Options::of(mount).is_read_only(),
    }
}

/// Where this process has a file of the container. A single file that is mounted is in a folder of its own.
pub(super) fn file(volumes: &[Volume], path: &Path) -> PathBuf {
    let places = volumes.iter().filter_map(|volume| {
        let below = path.strip_prefix(&volume.guest).ok()?;
        Some(volume.path.join(below))
    });
    let mut files = places.filter(|place| place.is_file());
    files.next().unwrap_or_else(|| path.to_owned())
}

/// The working directory as the command sees it, if it lies in one of the volumes. Relative paths lead to the root
/// anyway.
pub(super) fn working_directory(volumes: &[Volume], cwd: &Path) -> Option<Volume> {
    if cwd == Path::new("/") {
        return None;
    }
    let around = volumes
        .iter()
        .filter(|volume| cwd.starts_with(&volume.guest));
    let nearest = around.max_by_key(|volume| volume.guest.components().count())?;
    let below = cwd.strip_prefix(&nearest.guest).ok()?;
    Some(Volume {
        path: nearest.path.join(below),
        guest: PathBuf::from("."),
        writable: nearest.writable,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use serde_json::{Value, json};

    use super::*;

    fn spec(mounts: &[(&str, &Path, &str)]) -> Spec {
        let mounts: Vec<Value> = mounts
            .iter()
            .map(|(destination, source, option)| {
                let options = ["rbind", option];
                json!({ "destination": destination, "type": "bind", "source": source, "options": options })
            })
            .collect();
        serde_json::from_value(json!({ "ociVersion": "1.2.0", "mounts": mounts })).expect("a spec")
    }

    fn volume(path: &str, guest: &str, writable: bool) -> Volume {
        Volume {
            path: path.into(),
            guest: guest.into(),
            writable,
        }
    }

    #[test]
    fn volumes_are_what_the_pod_mounts_for_the_container() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        fs::write(&file, "text").expect("a file");
        let (folder, file) = (folder.path(), file.as_path());
        let mut spec = spec(&[
            ("/data", folder, "rw"),
            ("/data/inside", file, "ro"),
            ("/etc/config", folder, "ro"),
            ("/etc/hosts", file, "rw"),
            ("/dev/shm", folder, "rw"),
            ("/dev/termination-log", file, "rw"),
            ("/etc/app/a", file, "rro"),
            ("/etc/app/b", file, "ro"),
            ("/c", file, "rw"),
        ]);
        let volumes = arrange(&mut spec).expect("volumes");
        let expected = [
            volume("/data", "/data", true),
            volume("/etc/config", "/etc/config", false),
            volume("/.sampan-files/0", "/dev", true),
            volume("/.sampan-files/1", "/etc/app", false),
            volume("/.sampan-files/2", "/", true),
        ];
        assert_eq!(volumes, expected);
        let mounts = spec.mounts().iter().flatten();
        let found: Vec<_> = mounts
            .map(|mount| mount.destination().display().to_string())
            .collect();
        let expected = [
            "/data",
            "/data/inside",
            "/etc/config",
            "/etc/hosts",
            "/dev/shm",
            "/.sampan-files",
            "/.sampan-files/0/termination-log",
            "/.sampan-files/1/a",
            "/.sampan-files/1/b",
            "/.sampan-files/2/c",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_a_command_cannot_be_given_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("socket");
        let _listener = UnixListener::bind(&socket).expect("a socket");
        let check = |source: &Path, expected: &str| {
            let refused = arrange(&mut spec(&[("/volume", source, "rw")]));
            let message = refused.map(drop).expect_err("refused").to_string();
            assert!(
                message.contains("/volume") && message.contains(expected),
                "{message}"
            );
        };
        check(&socket, "a socket");
        check(Path::new("/dev/null"), "a device");
        check(&folder.path().join("nothing"), "No such file");
    }

    #[test]
    fn files_that_were_mounted_one_by_one_are_found() {
        let place = tempfile::tempdir().expect("a folder");
        fs::write(place.path().join("ca.crt"), "text").expect("a file");
        let own = place.path().display().to_string();
        let volumes = [
            volume("/data", "/data", true),
            volume(&own, "/etc/app", false),
        ];
        let found = |path: &str| file(&volumes, Path::new(path));
        assert_eq!(found("/etc/app/ca.crt"), place.path().join("ca.crt"));
        for path in ["/etc/app/other.crt", "/etc/ca.crt", "/data/ca.crt"] {
            assert_eq!(found(path), Path::new(path));
        }
    }

    #[test]
    fn the_working_directory_is_one_of_the_volumes_or_inside_one() {
        let volumes = [
            volume("/data", "/data", true),
            volume("/files/0", "/data/etc", false),
        ];
        let check = |cwd: &str, expected: Option<Volume>| {
            assert_eq!(
                working_directory(&volumes, Path::new(cwd)),
                expected,
                "{cwd}"
            );
        };
        check("/data", Some(volume("/data/", ".", true)));
        check("/data/a/b", Some(volume("/data/a/b", ".", true)));
        check("/data/etc", Some(volume("/files/0/", ".", false)));
        check("/", None);
        check("/app", None);
        check("/database", None);
    }
}
