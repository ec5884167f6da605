//! The working directory of a container, which is made where it is missing, as runc does.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use oci_spec::runtime::Spec;
use rustix::fs::{Mode, OFlags, ResolveFlags, mkdirat, openat2};

use super::error::ChildError;
use super::mounts::Options;

/// The working directory that a specification names.
pub(super) fn of(spec: &Spec) -> &Path {
    let process = spec.process().as_ref();
    process.map_or(Path::new("/"), |process| process.cwd())
}

/// Makes the working directory. With `rootfs` it may be one of the image's; otherwise only one of a volume's is made.
///
/// # Errors
///
/// [`ChildError::System`] with its path.
pub(super) fn make(spec: &Spec, rootfs: Option<&Path>) -> Result<(), ChildError> {
    let cwd = of(spec);
    let Some((folder, below)) = place(spec, rootfs, cwd) else {
        return Ok(());
    };
    let doing = || format!("making the working directory {}", cwd.display());
    make_inside(&folder, &below).map_err(ChildError::system(doing()))
}

/// The folder of the node that holds the working directory, and the way from there; `None` where nothing is to be made.
fn place(spec: &Spec, rootfs: Option<&Path>, cwd: &Path) -> Option<(PathBuf, PathBuf)> {
    let around = spec.mounts().iter().flatten();
    let around = around.filter(|mount| cwd.starts_with(mount.destination()));
    let nearest = around.max_by_key(|mount| mount.destination().components().count());
    let Some(mount) = nearest else {
        return Some((rootfs?.to_owned(), cwd.to_owned()));
    };
    let options = Options::of(mount);
    let below = cwd.strip_prefix(mount.destination()).ok()?;
    if !options.bind || options.is_read_only() || below.as_os_str().is_empty() {
        return None;
    }
    Some((mount.source().clone()?, below.to_owned()))
}

/// Makes a folder and those around it, resolved with `folder` as the root.
fn make_inside(folder: &Path, path: &Path) -> io::Result<()> {
    let root = File::open(folder)?;
    let open = |path: &Path| -> rustix::io::Result<OwnedFd> {
        openat2(
            &root,
            path,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        )
    };
    let mut path_so_far = PathBuf::from("/");
    let mut here = open(&path_so_far)?;
    for part in path.components() {
        let name = match part {
            Component::Normal(name) => name,
            Component::ParentDir => part.as_os_str(),
            _ => continue,
        };
        path_so_far.push(name);
        here = match open(&path_so_far) {
            Err(rustix::io::Errno::NOENT) => {
                mkdirat(&here, name, Mode::from_raw_mode(0o755))?;
                open(&path_so_far)?
            }
            opened => opened?,
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    fn spec(cwd: &str, volume: &Path, option: &str) -> Spec {
        serde_json::from_value(json!({
            "ociVersion": "1.2.0",
            "process": { "args": ["a"], "cwd": cwd, "user": { "uid": 0, "gid": 0 } },
            "mounts": [{ "destination": "/data", "type": "bind", "source": volume, "options": ["rbind", option] }],
        }))
        .expect("a spec")
    }

    #[test]
    fn a_working_directory_is_made_where_the_container_has_it() {
        let check = |cwd: &str, option: &str, with_root: bool, expected: Option<&str>| {
            let folder = tempfile::tempdir().expect("a folder");
            let (rootfs, volume) = (folder.path().join("rootfs"), folder.path().join("volume"));
            fs::create_dir_all(rootfs.join("there")).expect("a root");
            fs::create_dir(&volume).expect("a volume");
            std::os::unix::fs::symlink("/there", rootfs.join("link")).expect("a link");
            let root = with_root.then_some(rootfs.as_path());
            make(&spec(cwd, &volume, option), root).expect("made");
            let made = ["rootfs/app/a", "rootfs/there/b", "volume/c"];
            let made = made.iter().find(|path| folder.path().join(path).is_dir());
            assert_eq!(made.copied(), expected, "{cwd}");
        };
        check("/app/a", "rw", true, Some("rootfs/app/a"));
        check("/app/a", "rw", false, None);
        check("/link/b", "rw", true, Some("rootfs/there/b"));
        check("/../../app/./a", "rw", true, Some("rootfs/app/a"));
        check("/data/c", "rw", true, Some("volume/c"));
        check("/data/c", "rw", false, Some("volume/c"));
        check("/data/c", "ro", true, None);
        check("/data", "rw", true, None);
        check("/", "rw", true, None);
    }

    #[test]
    fn a_working_directory_that_is_a_file_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("app"), "").expect("a file");
        let refused = make(&spec("/app", folder.path(), "rw"), Some(folder.path()));
        let message = refused.expect_err("refused").to_string();
        assert!(message.contains("/app"), "{message}");
    }
}
