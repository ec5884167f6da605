//! Assembles the small Debian below the images of the form `distro`.
//!
//! It holds the packages that every Debian has, and those that a program on the network needs. No
//! container engine takes part, and no script of a package runs. The program apt chooses and
//! verifies packages of the machine's own release, so that glibc is the one that the program was
//! linked with. The result is kept in the user's cache, under a hash of the packages.

use std::fs;
use std::io::{Cursor, Read as _};
use std::path::{Component, Path};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use sampan_checkout::cache::{build_once, cache, content_key};
use sampan_checkout::cargo::{output, shown};
use sampan_checkout::packages;
use sampan_images::{Layer, Packed};

/// The requested packages; apt adds their dependencies. `?essential` selects what every Debian has.
const PACKAGES: [&str; 5] = [
    "?essential",
    "usr-is-merged",
    "ca-certificates",
    "netbase",
    "tzdata",
];

/// Changes with the way in which the packages are assembled.
const RECIPE: &str = "2";

/// The user of a function: without these lines a container of user 65532 has root's group.
const USER: &str = "nonroot:x:65532:65532:nonroot:/nonexistent:/usr/sbin/nologin\n";
const GROUP: &str = "nonroot:x:65532:\n";

/// Paths that Debian's own slim images leave out. Licences stay.
const LEFT_OUT: [&str; 6] = [
    "usr/share/doc/",
    "usr/share/info/",
    "usr/share/linda/",
    "usr/share/lintian/",
    "usr/share/locale/",
    "usr/share/man/",
];

/// The folders that are links to those below `usr`.
const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];

/// Returns the layer, made unless it is in the cache.
pub(super) fn provide() -> Result<Packed> {
    let cache = cache()?;
    fs::create_dir_all(&cache).with_context(|| format!("failed to make {}", cache.display()))?;
    let scratch = cache.join("apt");
    let apt = Apt::new(&scratch)?;
    let key = content_key(format!("{RECIPE} {}", apt.files()?.join(" ")).as_bytes());
    let folder = cache.join(format!("debian-{key}"));
    build_once(&cache, "debian", &folder, "half a minute", |folder| {
        let archives = folder.join("archives");
        let layer = assemble(&apt.download(&archives)?)?;
        fs::remove_dir_all(&archives)
            .with_context(|| format!("failed to remove {}", archives.display()))?;
        Packed::make(&layer, folder)
    })?;
    Packed::open(&folder)
}

/// apt for a system without any package.
struct Apt<'a> {
    folder: &'a Path,
}

impl Apt<'_> {
    fn new(folder: &Path) -> Result<Apt<'_>> {
        let status = folder.join("status");
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&status, ""))
            .with_context(|| format!("failed to write {}", status.display()))?;
        Ok(Apt { folder })
    }

    /// The files that would be downloaded, sorted: names of packages with their versions.
    fn files(&self) -> Result<Vec<String>> {
        let list = || text(self.install(self.folder).arg("--print-uris"));
        let said = list().or_else(|_| {
            // The package lists may be missing.
            packages::update()?;
            list()
        })?;
        let mut files: Vec<_> = said
            .lines()
            .filter(|line| line.starts_with('\''))
            .filter_map(|line| line.split(' ').nth(1))
            .map(str::to_owned)
            .collect();
        if files.is_empty() {
            bail!("apt-get listed no package for a new system");
        }
        files.sort();
        Ok(files)
    }

    /// Downloads the packages, and reads them in sorted order.
    fn download(&self, archives: &Path) -> Result<Vec<Archive>> {
        let partial = archives.join("partial");
        fs::create_dir_all(&partial)
            .with_context(|| format!("failed to make {}", partial.display()))?;
        text(self.install(archives).arg("--download-only"))?;
        let files = self.files()?;
        files
            .iter()
            .map(|file| Archive::read(&archives.join(file)))
            .collect()
    }

    fn install(&self, archives: &Path) -> Command {
        let mut command = Command::new("apt-get");
        let set = |name: &str, path: &Path| format!("-o{name}={}/", path.display());
        command
            .args(["install", "--yes", "--no-install-recommends"])
            .arg(format!(
                "-oDir::State::status={}",
                self.folder.join("status").display()
            ))
            // The machine's package cache and its locks stay untouched.
            .arg(set("Dir::Cache", self.folder))
            .arg(set("Dir::Cache::archives", archives))
            .args([
                "-oDebug::NoLocking=true",
                "-oAPT::Sandbox::User=root",
                "-qq",
            ])
            .args(PACKAGES)
            .env("LC_ALL", "C")
            .env("DEBIAN_FRONTEND", "noninteractive");
        command
    }
}

fn text(command: &mut Command) -> Result<String> {
    let bytes = output(command)?;
    String::from_utf8(bytes).with_context(|| format!("{} wrote invalid UTF-8", shown(command)))
}

/// A package's files, and its control fields.
struct Archive {
    name: String,
    files: Vec<u8>,
    fields: String,
}

impl Archive {
    fn read(file: &Path) -> Result<Archive> {
        let ask = |what: &str| output(Command::new("dpkg-deb").arg(what).arg(file));
        let fields = String::from_utf8(ask("--field")?).with_context(|| {
            format!(
                "the control fields of {} are not valid UTF-8",
                file.display()
            )
        })?;
        Ok(Archive {
            name: file.display().to_string(),
            files: ask("--fsys-tarfile")?,
            fields,
        })
    }
}

/// Makes one layer of all packages, with the results of their scripts that programs look for.
fn assemble(archives: &[Archive]) -> Result<Layer> {
    let mut layer = Layer::new();
    for name in MERGED {
        layer = layer
            .folder(&format!("usr/{name}"), 0o755)
            .link(name, &format!("usr/{name}"));
    }
    let mut status = String::new();
    for archive in archives {
        layer = unpack(layer, &archive.files)
            .with_context(|| format!("failed to unpack {}", archive.name))?;
        status.push_str(&installed(&archive.fields));
    }
    for (from, to, more) in [
        ("usr/share/base-passwd/passwd.master", "etc/passwd", USER),
        ("usr/share/base-passwd/group.master", "etc/group", GROUP),
        ("usr/share/libc-bin/nsswitch.conf", "etc/nsswitch.conf", ""),
    ] {
        let bytes = layer.bytes_of(from);
        let bytes = bytes.with_context(|| format!("the packages have no {from}"))?;
        let bytes = [bytes, more.as_bytes()].concat();
        layer = layer.bytes(to, bytes, 0o644);
    }
    let certificates = certificates(&layer);
    if certificates.is_empty() {
        bail!("the packages have no certificates");
    }
    Ok(layer
        .bytes("etc/ssl/certs/ca-certificates.crt", certificates, 0o644)
        // Scanners for outdated packages read this file.
        .text("var/lib/dpkg/status", &status, 0o644)
        .folder("tmp", 0o1777))
}

/// The fields of a package, with the status of an installed one.
fn installed(fields: &str) -> String {
    let (first, rest) = fields.split_once('\n').unwrap_or((fields, ""));
    format!("{first}\nStatus: install ok installed\n{rest}\n")
}

/// The file that `update-ca-certificates` makes: all shipped certificates.
fn certificates(layer: &Layer) -> Vec<u8> {
    let shipped = layer
        .paths()
        .filter(|path| path.starts_with("usr/share/ca-certificates/"))
        .filter_map(|path| layer.bytes_of(path));
    shipped.collect::<Vec<_>>().concat()
}

/// Adds the files of a package.
fn unpack(mut layer: Layer, files: &[u8]) -> Result<Layer> {
    let mut archive = tar::Archive::new(Cursor::new(files));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = image_path(&entry.path()?)?;
        if path.is_empty() || is_left_out(&path) {
            continue;
        }
        let mode = entry.header().mode()? & 0o7777;
        layer = match entry.header().entry_type() {
            // A link that merges two folders stays a link.
            tar::EntryType::Directory => layer.folder(&path, mode),
            tar::EntryType::Regular => {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes)?;
                layer.bytes(&path, bytes, mode)
            }
            tar::EntryType::Symlink => {
                let target = entry.link_name()?.context("a link has no target")?;
                let target = target
                    .to_str()
                    .context("the target of a link is not valid UTF-8")?;
                layer.link(&path, target)
            }
            tar::EntryType::Link => {
                let target = image_path(&entry.link_name()?.context("a link has no target")?)?;
                let bytes = layer.bytes_of(&target);
                let bytes = bytes
                    .with_context(|| format!("a link to {target}"))?
                    .to_vec();
                layer.bytes(&path, bytes, mode)
            }
            other => bail!("{path} has the unsupported type {other:?}"),
        };
    }
    Ok(layer)
}

/// The path of a package's file in the image, always below `usr`; empty for the root.
fn image_path(path: &Path) -> Result<String> {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::CurDir | Component::RootDir => {}
            Component::Normal(part) => {
                parts.push(part.to_str().context("a path is not valid UTF-8")?);
            }
            Component::ParentDir | Component::Prefix(_) => {
                bail!("{} leads out of the image", path.display())
            }
        }
    }
    if parts.first().is_some_and(|first| MERGED.contains(first)) {
        parts.insert(0, "usr");
    }
    Ok(parts.join("/"))
}

fn is_left_out(path: &str) -> bool {
    LEFT_OUT.iter().any(|folder| path.starts_with(folder)) && !path.ends_with("/copyright")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package() -> Vec<u8> {
        use tar::EntryType::{Directory, Link, Regular, Symlink};
        let mut archive = tar::Builder::new(Vec::new());
        let mut add = |path: &str, kind: tar::EntryType, mode: u32, target: &str, text: &str| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(mode);
            header.set_size(text.len() as u64);
            if target.is_empty() {
                archive
                    .append_data(&mut header, path, text.as_bytes())
                    .unwrap();
            } else {
                archive.append_link(&mut header, path, target).unwrap();
            }
        };
        add("./bin/", Directory, 0o755, "", "");
        add("./bin/su", Regular, 0o4755, "", "program");
        add("./usr/bin/same", Link, 0o4755, "./bin/su", "");
        add("./lib64/ld.so", Symlink, 0o777, "/lib/ld.so", "");
        add("./usr/share/man/su.1", Regular, 0o644, "", "manual");
        add(
            "./usr/share/doc/su/changelog",
            Regular,
            0o644,
            "",
            "changes",
        );
        add(
            "./usr/share/doc/su/copyright",
            Regular,
            0o644,
            "",
            "licence",
        );
        archive.into_inner().unwrap()
    }

    #[test]
    fn a_package_is_unpacked_below_usr_without_its_manual() {
        let layer = unpack(Layer::new(), &package()).unwrap();
        let expected = [
            "usr",
            "usr/bin",
            "usr/bin/same",
            "usr/bin/su",
            "usr/lib64",
            "usr/lib64/ld.so",
            "usr/share",
            "usr/share/doc",
            "usr/share/doc/su",
            "usr/share/doc/su/copyright",
        ];
        assert_eq!(layer.paths().collect::<Vec<_>>(), expected);
        assert_eq!(layer.bytes_of("usr/bin/same"), Some(&b"program"[..]));
    }

    #[test]
    fn a_path_stays_in_the_image() {
        fn check(path: &str, expected: Option<&str>) {
            assert_eq!(
                image_path(Path::new(path)).ok().as_deref(),
                expected,
                "{path}"
            );
        }
        check("./", Some(""));
        check("./bin/sh", Some("usr/bin/sh"));
        check("./usr/bin/sh", Some("usr/bin/sh"));
        check("./library/a", Some("library/a"));
        check("../etc/passwd", None);
    }

    #[test]
    fn installed_packages_are_listed_as_by_dpkg() {
        let told = installed("Package: a\nVersion: 1\n");
        assert_eq!(
            told,
            "Package: a\nStatus: install ok installed\nVersion: 1\n\n"
        );
    }
}
