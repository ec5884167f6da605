//! Makes the images of the project's own programs: a program, the libraries that it loads, and the
//! files that they read.
//!
//! There is no distribution below them, so there is no shell and no package manager. Only glibc has
//! to be kept up to date; it comes from the machine that builds. A static program would need no
//! libraries, but static glibc does not resolve names.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sampan_images::{Layer, Layout, Platform};

use super::programs::{Program, libraries};

/// The user of images that need no rights.
const NON_ROOT_USER: &str = "65532:65532";
/// The folder of a program in its image.
const FOLDER: &str = "usr/local/bin";
/// The shim's libraries in the installer's image, for nodes that lack them.
const SHIM_LIBRARIES: &str = "usr/local/lib/sampan";
/// The shim's libraries that a node may lack. glibc is the node's own: its loader has a fixed place.
const CARRIED: [&str; 2] = ["libseccomp.so.2", "libgcc_s.so.1"];
/// Where this machine has the certificates of authorities, for programs that talk to others over TLS.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// The libraries that glibc loads by name to resolve host names, so that they are not among a
/// program's libraries.
const RESOLVERS: [&str; 2] = ["libnss_dns.so.2", "libnss_files.so.2"];

/// An image to make.
pub(super) struct Image {
    pub(super) name: &'static str,
    about: &'static str,
    main: &'static str,
    user: &'static str,
    layer: Layer,
}

/// All images.
pub(super) fn all(programs: &[Program]) -> Result<Vec<Image>> {
    let program = |name: &str| named(programs, name);
    let shim = program("containerd-shim-sampan-v1")?;
    let mut installer = tree(program("sampan-node-installer")?)?.file(
        &format!("{FOLDER}/{}", shim.name),
        &shim.file,
        0o755,
    );
    for library in libraries(&shim.file)? {
        let name = file_name(&library)?;
        if CARRIED.contains(&name.as_str()) {
            let resolved = real(&library)?;
            installer = installer.file(&format!("{SHIM_LIBRARIES}/{name}"), &resolved, 0o644);
        }
    }
    Ok(vec![
        operator(programs)?,
        pool(programs)?,
        Image {
            name: "node-installer",
            about: "Puts Sampan's containerd shim on a node",
            main: "sampan-node-installer",
            // The chart sets the user: root for the node installer, 65532 for the rest.
            user: "0:0",
            layer: installer,
        },
        Image {
            name: "cli",
            about: "The command line of Sampan",
            main: "sampan",
            user: NON_ROOT_USER,
            layer: tree(program("sampan")?)?.folder("tmp", 0o1777),
        },
    ])
}

/// The operator's image.
pub(super) fn operator(programs: &[Program]) -> Result<Image> {
    Ok(Image {
        name: "operator",
        about: "Sampan's operator: turns WasmFunctions into Deployments, Services and Ingresses",
        main: "sampan-operator",
        user: NON_ROOT_USER,
        layer: tree(named(programs, "sampan-operator")?)?,
    })
}

/// The image of pools. The program compiles modules in a child process, which is the program
/// itself, so nothing else is in the image.
pub(super) fn pool(programs: &[Program]) -> Result<Image> {
    Ok(Image {
        name: "pool",
        about: "Sampan's pool: serves the pooled functions of a namespace",
        main: "sampan-pool",
        user: NON_ROOT_USER,
        layer: tree(named(programs, "sampan-pool")?)?,
    })
}

fn named<'a>(programs: &'a [Program], name: &str) -> Result<&'a Program> {
    let found = programs.iter().find(|program| program.name == name);
    found.with_context(|| format!("there is no program `{name}`"))
}

impl Image {
    /// The file name of the packed image.
    pub(super) fn archive_name(&self, version: &str) -> String {
        format!("sampan-{}-{version}.oci.tar", self.name)
    }

    /// Writes the image as a layout, and packed into one file.
    pub(super) fn write(&self, folder: &Path, reference: &str, version: &str) -> Result<()> {
        let label = |name: &str| format!("org.opencontainers.image.{name}");
        let image = sampan_images::Image::new(Platform::current())
            .layer(self.layer.clone())
            .entrypoint([&format!("/{FOLDER}/{}", self.main)])
            .environment("PATH", "/usr/local/bin")
            .environment("SSL_CERT_FILE", CERTIFICATES)
            .user(self.user)
            .label(&label("title"), self.name)
            .label(&label("description"), self.about)
            .label(&label("version"), version)
            .label(&label("licenses"), "Apache-2.0");
        let mut layout = Layout::create(&folder.join("oci").join(self.name))?;
        layout.add(reference, &image)?;
        layout.archive(&folder.join(self.archive_name(version)))
    }
}

/// A program with its libraries and the files that it reads.
fn tree(program: &Program) -> Result<Layer> {
    let mut layer = Layer::new()
        .file(&format!("{FOLDER}/{}", program.name), &program.file, 0o755)
        .text(
            "etc/passwd",
            "root:x:0:0:root:/:/nonexistent\nnobody:x:65532:65532:nobody:/:/nonexistent\n",
            0o644,
        )
        .text("etc/group", "root:x:0:\nnobody:x:65532:\n", 0o644)
        .text("etc/nsswitch.conf", "hosts: files dns\n", 0o644);
    let mut paths: BTreeSet<PathBuf> = libraries(&program.file)?.into_iter().collect();
    let libc = paths
        .iter()
        .find(|path| path.ends_with("libc.so.6"))
        .cloned();
    if let Some(folder) = libc.as_deref().and_then(Path::parent) {
        let resolvers = RESOLVERS.map(|name| folder.join(name));
        // Newer versions of glibc have them built in.
        paths.extend(resolvers.into_iter().filter(|path| path.exists()));
    }
    for path in paths {
        let inside = path.display().to_string();
        layer = layer.file(inside.trim_start_matches('/'), &real(&path)?, 0o755);
    }
    let certificates = Path::new(CERTIFICATES);
    if !certificates.is_file() {
        anyhow::bail!("{CERTIFICATES} is not there: install ca-certificates");
    }
    Ok(layer.file(CERTIFICATES.trim_start_matches('/'), certificates, 0o644))
}

/// The file that a path leads to, links resolved.
fn real(path: &Path) -> Result<PathBuf> {
    fs::canonicalize(path).with_context(|| format!("failed to read {}", path.display()))
}

fn file_name(path: &Path) -> Result<String> {
    let name = path.file_name().and_then(|name| name.to_str());
    Ok(name
        .with_context(|| format!("{} has no name", path.display()))?
        .to_owned())
}
