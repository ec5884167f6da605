//! Makes the images that a cluster starts with, from programs of this machine.
//!
//! No image has to be pulled, so a cluster works without internet access.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use sampan_checkout::cache::{build_once, cache, content_key};
use sampan_checkout::cargo::shown;
use sampan_images::{Image, Layer, Platform};

use super::layout::{Layout, Node};

/// The sandbox image of runc's pods.
pub(crate) const PAUSE: &str = "sampan.test/pause:1";
/// A shell with the usual small programs, for tests and for looking around.
pub(crate) const BUSYBOX: &str = "sampan.test/busybox:1";
/// The cluster's name server.
pub(crate) const COREDNS: &str = "sampan.test/coredns:1";
/// The server behind `kubectl top`.
pub(crate) const METRICS_SERVER: &str = "sampan.test/metrics-server:1";

pub(crate) const STATIC_BUSYBOX: &str = "/bin/busybox";
const NON_ROOT_USER: &str = "65532:65532";

/// The archive with all images, made once for each set of programs.
pub(crate) fn archive(layout: &Layout) -> Result<PathBuf> {
    let program = |name: &str| {
        let link = layout.program(name);
        fs::canonicalize(&link).with_context(|| format!("there is no {}", link.display()))
    };
    let (pause, coredns) = (program("pause")?, program("coredns")?);
    // It is built only on request.
    let has_metrics = layout.program("metrics-server").exists();
    let metrics_server = has_metrics.then(|| program("metrics-server")).transpose()?;
    let busybox =
        fs::read(STATIC_BUSYBOX).with_context(|| format!("failed to read {STATIC_BUSYBOX}"))?;
    // The paths of built programs have hashes in them, so they identify the content.
    let programs = (&pause, &coredns, &metrics_server);
    let mut all = format!("1 {programs:?}").into_bytes();
    all.extend(busybox);
    let cache = cache()?;
    let folder = cache.join(format!("images-{}", content_key(&all)));
    build_once(&cache, "images", &folder, "some seconds", |folder| {
        let unpacked = folder.join("layout");
        let mut images = sampan_images::Layout::create(&unpacked)?;
        images.add(PAUSE, &alone("pause", &pause))?;
        images.add(COREDNS, &alone("coredns", &coredns))?;
        if let Some(metrics_server) = &metrics_server {
            images.add(METRICS_SERVER, &alone("metrics-server", metrics_server))?;
        }
        images.add(BUSYBOX, &with_busybox()?)?;
        images.archive(&folder.join("images.tar"))?;
        fs::remove_dir_all(&unpacked).context("failed to remove the unpacked images")
    })?;
    Ok(folder.join("images.tar"))
}

/// Imports the images into a node, unless it has these.
pub(crate) fn import_base(layout: &Layout, node: &Node, archive: &Path) -> Result<()> {
    let note = node.state().join("images");
    let wanted = archive.as_os_str().as_encoded_bytes();
    if fs::read(&note).is_ok_and(|noted| noted == wanted) {
        return Ok(());
    }
    import(layout, node, archive)?;
    fs::write(&note, wanted).with_context(|| format!("failed to write {}", note.display()))
}

/// Imports the images of an archive into a node.
pub(crate) fn import(layout: &Layout, node: &Node, archive: &Path) -> Result<()> {
    let mut command = ctr(layout, node);
    command.args(["images", "import", "--local"]).arg(archive);
    let output = command.output();
    let output = output.with_context(|| format!("failed to start {}", shown(&command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{} failed to import {}: {}",
            node.name(),
            archive.display(),
            said.trim()
        );
    }
    Ok(())
}

/// `ctr` of a node's containerd, in the kubelet's namespace.
pub(crate) fn ctr(layout: &Layout, node: &Node) -> Command {
    let mut command = Command::new(layout.program("ctr"));
    command
        .arg("--address")
        .arg(node.containerd_socket())
        .args(["--namespace", "k8s.io"]);
    command
}

/// An image of one program without dependencies.
pub(crate) fn alone(name: &str, program: &Path) -> Image {
    Image::new(Platform::current())
        .layer(Layer::new().file(name, program, 0o755))
        .entrypoint([&format!("/{name}")])
        .user(NON_ROOT_USER)
        .label("org.opencontainers.image.title", name)
}

fn with_busybox() -> Result<Image> {
    Ok(Image::new(Platform::current())
        .layer(busybox_layer()?)
        .arguments(["sh"])
        .environment("PATH", "/bin"))
}

/// A shell with the usual small programs, and root as the only user.
pub(crate) fn busybox_layer() -> Result<Layer> {
    let mut command = Command::new(STATIC_BUSYBOX);
    let output = command.arg("--list").output();
    let output = output.with_context(|| format!("failed to start {}", shown(&command)))?;
    let names = String::from_utf8(output.stdout).context("busybox wrote invalid UTF-8")?;
    let mut layer = Layer::new()
        .file("bin/busybox", Path::new(STATIC_BUSYBOX), 0o755)
        .text("etc/passwd", "root:x:0:0::/:/bin/sh\n", 0o644)
        .text("etc/group", "root:x:0:\n", 0o644)
        .folder("tmp", 0o1777);
    for name in names.lines().filter(|name| *name != "busybox") {
        layer = layer.link(&format!("bin/{name}"), "busybox");
    }
    Ok(layer)
}
