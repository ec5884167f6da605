//! Finds out whether a container runs a module, and where its bytes are, or a program.

pub(super) mod fetch;
mod image;

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use oci_spec::runtime::Spec;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use sampan_engine::Wasm;

use self::fetch::fetch;
use self::image::Image;
use super::error::ChildError;
use super::{cwd, spec};
use crate::control::messages::CreateRequest;

/// How modules and components begin.
const MAGIC: &[u8] = b"\0asm";

/// CRI's annotation with the image's name.
const IMAGE_NAME: &str = "io.kubernetes.cri.image-name";

/// CRI's annotation with the container's name.
const CONTAINER_NAME: &str = "io.kubernetes.cri.container-name";

/// What a container runs.
pub(super) enum Payload {
    /// A module.
    Wasm(Wasm),
    /// A program, which libcontainer looks for.
    Program,
}

/// Finds out. `limit` bounds a module that is read from containerd.
pub(super) fn of(
    spec: &Spec,
    rootfs: &Path,
    request: &CreateRequest,
    limit: u64,
) -> Result<Payload, ChildError> {
    let entrypoint = spec::program(spec).ok_or(ChildError::Missing("process.args"))?;
    let named = entrypoint.strip_suffix(".wasm").is_some();
    let root =
        File::open(rootfs).map_err(ChildError::system(format!("opening {}", rootfs.display())))?;
    let candidates = candidates(spec, &entrypoint);
    if let Some(path) = candidates.iter().find_map(|path| inside(&root, path)) {
        return Ok(if named || begins_with_magic(&path) {
            Payload::Wasm(Wasm::File(path))
        } else {
            Payload::Program
        });
    }
    if !named {
        return Ok(Payload::Program);
    }
    let empty = HashMap::new();
    let annotations = spec.annotations().as_ref().unwrap_or(&empty);
    let image = Image {
        address: Path::new(&request.address),
        namespace: &request.namespace,
        name: annotations.get(IMAGE_NAME).map(String::as_str),
        container: &request.id,
    };
    if let Some(path) = only_module(&root, rootfs)? {
        return Ok(Payload::Wasm(Wasm::File(path)));
    }
    match fetch(&image, limit)? {
        Some(bytes) => Ok(Payload::Wasm(Wasm::Bytes(bytes.into()))),
        None => Ok(Payload::Program),
    }
}

/// The container's name, for people.
pub(super) fn name<'a>(spec: &'a Spec, id: &'a str) -> &'a str {
    let annotations = spec.annotations().as_ref();
    annotations
        .and_then(|annotations| annotations.get(CONTAINER_NAME))
        .map_or(id, String::as_str)
}

/// Where the file may be that the process names, the likeliest first. A name without a slash is looked for in `PATH`
/// like any program's; a module's may also lie in the working directory, or at the root.
fn candidates(spec: &Spec, entrypoint: &str) -> Vec<PathBuf> {
    let cwd = cwd::of(spec);
    if entrypoint.contains('/') {
        let path = cwd.join(entrypoint);
        // A working directory in a volume is not in the image.
        let resolved = without_parents(&path);
        return vec![path, resolved];
    }
    let process = spec.process().as_ref();
    let environment = process.and_then(|process| process.env().as_ref());
    let mut variables = environment.into_iter().flatten();
    let path = variables.find_map(|variable| variable.strip_prefix("PATH="));
    let folders = path.into_iter().flat_map(|path| path.split(':'));
    let folders = folders.chain([".", "/"]);
    folders
        .map(|folder| cwd.join(folder).join(entrypoint))
        .collect()
}

/// The path without `..`, as its text says.
fn without_parents(path: &Path) -> PathBuf {
    let mut resolved = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            resolved.pop();
        } else {
            resolved.push(part);
        }
    }
    resolved
}

/// Opens a file of the container as the container will see it: links lead nowhere else. The path
/// that is returned means that very file for as long as this process lives.
fn inside(root: &File, path: &Path) -> Option<PathBuf> {
    let file: OwnedFd = openat2(
        root,
        path,
        OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    )
    .ok()?;
    let file = File::from(file);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    // It stays open: this process is short, or closes what it does not know.
    let fd = std::os::fd::IntoRawFd::into_raw_fd(file);
    Some(PathBuf::from(format!("/proc/self/fd/{fd}")))
}

fn begins_with_magic(path: &Path) -> bool {
    let mut first = [0; MAGIC.len()];
    File::open(path).is_ok_and(|mut file| file.read_exact(&mut first).is_ok() && first == MAGIC)
}

/// The one module at the root of the file system, when there is exactly one.
fn only_module(root: &File, rootfs: &Path) -> Result<Option<PathBuf>, ChildError> {
    let doing = || format!("reading {}", rootfs.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(rootfs).map_err(ChildError::system(doing()))? {
        let name = entry.map_err(ChildError::system(doing()))?.file_name();
        if Path::new(&name)
            .extension()
            .is_some_and(|extension| extension == "wasm")
        {
            found.push(name);
        }
    }
    match found.as_slice() {
        [name] => Ok(inside(root, Path::new(name))),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;
    use crate::bundle::stdio::Stdio;

    /// What `entrypoint` is in a file system of these files: the module's bytes, a program, or an error.
    fn check(files: &[(&str, &[u8])], entrypoint: &str, expected: Result<Option<&[u8]>, ()>) {
        check_in("/", files, entrypoint, expected);
    }

    fn check_in(
        cwd: &str,
        files: &[(&str, &[u8])],
        entrypoint: &str,
        expected: Result<Option<&[u8]>, ()>,
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, bytes) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, bytes).expect("a file");
        }
        std::os::unix::fs::symlink("/etc/hostname", folder.path().join("link.wasm.txt"))
            .expect("a link");
        let spec: Spec = serde_json::from_value(json!({
            "ociVersion": "1.2.0",
            "process": {
                "args": [entrypoint],
                "env": ["PATH=/bin:/usr/bin"],
                "cwd": cwd,
                "user": { "uid": 0, "gid": 0 },
            },
        }))
        .expect("a spec");
        let request = CreateRequest {
            id: "c".to_owned(),
            bundle: folder.path().to_owned(),
            rootfs: Vec::new(),
            stdio: Stdio::default(),
            pod: None,
            is_sandbox: false,
            namespace: "k8s.io".to_owned(),
            address: folder.path().join("nobody").display().to_string(),
            group: "/g".into(),
        };
        let payload = of(&spec, folder.path(), &request, 1 << 20);
        let found = match &payload {
            Ok(Payload::Wasm(Wasm::File(path))) => Ok(Some(fs::read(path).expect("a module"))),
            Ok(Payload::Wasm(Wasm::Bytes(_))) => panic!("nobody has bytes"),
            Ok(Payload::Program) => Ok(None),
            Err(_) => Err(()),
        };
        assert_eq!(
            found,
            expected.map(|bytes| bytes.map(<[u8]>::to_vec)),
            "{entrypoint} in {cwd}"
        );
    }

    #[test]
    fn a_relative_entrypoint_is_looked_for_in_the_working_directory() {
        let module: &[(&str, &[u8])] = &[("app/cmd.wasm", b"\0asm1"), ("other.wasm", b"\0asm2")];
        check_in("/app", module, "./cmd.wasm", Ok(Some(b"\0asm1")));
        check_in("/app", module, "cmd.wasm", Ok(Some(b"\0asm1")));
        check_in("/", module, "app/cmd.wasm", Ok(Some(b"\0asm1")));
        check_in("/app", module, "../other.wasm", Ok(Some(b"\0asm2")));
        check_in("/app", module, "other.wasm", Ok(Some(b"\0asm2")));
        check_in(
            "/volume/a",
            module,
            "../../app/cmd.wasm",
            Ok(Some(b"\0asm1")),
        );
        let program: &[(&str, &[u8])] = &[("usr/bin/cmd", b"\x7fELF"), ("app/cmd", b"\0asm1")];
        check_in("/app", program, "cmd", Ok(None));
        check_in("/app", program, "./cmd", Ok(Some(b"\0asm1")));
        let found: &[(&str, &[u8])] = &[("usr/bin/cmd", b"\0asm1")];
        check_in("/app", found, "cmd", Ok(Some(b"\0asm1")));
    }

    #[test]
    fn a_module_is_told_from_a_program() {
        check(&[("a", b"\0asm1")], "/a", Ok(Some(b"\0asm1")));
        check(&[("a.wasm", b"text")], "/a.wasm", Ok(Some(b"text")));
        check(&[("sh", b"\x7fELF")], "/sh", Ok(None));
        check(&[("a", b"")], "/a", Ok(None));
        check(&[], "sh", Ok(None));
    }

    #[test]
    fn without_the_file_the_only_module_is_taken() {
        // The image is asked for by this very program under another argument, which a test program is not:
        // the tests of the whole shim do that.
        let one: &[(&str, &[u8])] = &[("hello.wasm", b"\0asm1")];
        check(one, "/function.wasm", Ok(Some(b"\0asm1")));
    }

    #[test]
    fn links_do_not_lead_out_of_the_container() {
        check(&[], "/link.wasm.txt", Ok(None));
        check(&[("a", b"\0asm1")], "/../../../../a", Ok(Some(b"\0asm1")));
    }
}
