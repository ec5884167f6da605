//! Builds an image once and caches it: the disk, its kernel, and the private key of root's login.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use sampan_checkout::cache::{build_once, cache, content_key};
use sampan_checkout::cargo::output;

use super::recipe::{self, Image};

/// The files of an image.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
}

impl Files {
    pub(super) fn disk(&self) -> PathBuf {
        self.folder.join("disk.img")
    }

    pub(super) fn kernel(&self) -> PathBuf {
        self.folder.join("vmlinuz")
    }

    pub(super) fn first_root(&self) -> PathBuf {
        self.folder.join("initrd.img")
    }

    /// The private key of root's login.
    pub(super) fn key(&self) -> PathBuf {
        self.folder.join("key")
    }
}

/// Returns the image, built unless it is in the cache.
pub(super) fn provide(image: Image) -> Result<Files> {
    let cache = cache()?;
    fs::create_dir_all(&cache).with_context(|| format!("failed to make {}", cache.display()))?;
    let (name, key) = (image.name(), content_key(recipe::text(image).as_bytes()));
    let folder = cache.join(format!("vm-{name}-{key}"));
    build_once(&cache, name, &folder, "two minutes", |folder| {
        build(
            image,
            &Files {
                folder: folder.to_owned(),
            },
        )
    })?;
    Ok(Files { folder })
}

fn build(image: Image, files: &Files) -> Result<()> {
    let root = files.folder.join("root");
    output(&mut bootstrap(image, &root))?;
    output(
        Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "vm", "-f"])
            .arg(files.key()),
    )?;
    add_files(image, &root)?;
    allow(&files.key(), &root)?;
    take(&root, "vmlinuz-", &files.kernel())?;
    take(&root, "initrd.img-", &files.first_root())?;
    let mut disk = Command::new("mke2fs");
    // Without a journal, because the disk lives as long as one boot.
    disk.args(["-q", "-t", "ext4", "-O", "^has_journal", "-d"])
        .arg(&root);
    output(disk.arg(files.disk()).arg(recipe::DISK))?;
    fs::remove_dir_all(&root).with_context(|| format!("failed to remove {}", root.display()))
}

fn bootstrap(image: Image, root: &Path) -> Command {
    let mut command = Command::new("mmdebstrap");
    command
        .args(["--quiet", "--variant=minbase", "--format=directory"])
        .arg("--aptopt=Acquire::Languages \"none\"")
        .arg("--dpkgopt=force-unsafe-io");
    for pattern in recipe::LEFT_OUT {
        command.arg(format!("--dpkgopt=path-exclude={pattern}"));
    }
    let modules = recipe::BOOT_MODULES.replace('\n', "\\n");
    command
        // The setting must exist before the kernel's package makes the initial ramdisk.
        .arg(format!(
            "--essential-hook=mkdir -p \"$1/etc/initramfs-tools/conf.d\" && \
             echo MODULES=list > \"$1/etc/initramfs-tools/conf.d/vm.conf\" && \
             printf '{modules}' > \"$1/etc/initramfs-tools/modules\""
        ))
        .arg(format!("--include={}", recipe::PACKAGES.join(",")))
        .arg(format!(
            "--customize-hook=chroot \"$1\" systemctl enable {}",
            recipe::ENABLED.join(" ")
        ))
        .arg(format!(
            "--customize-hook=chroot \"$1\" systemctl mask {}",
            recipe::MASKED.join(" ")
        ))
        .arg(image.suite())
        .arg(root)
        .env("LC_ALL", "C");
    command
}

fn add_files(image: Image, root: &Path) -> Result<()> {
    for (path, text) in recipe::files(image) {
        write(&root.join(path), text.as_bytes())?;
    }
    // The machine has no name server.
    let resolver = root.join("etc/resolv.conf");
    if resolver.is_symlink() {
        fs::remove_file(&resolver)?;
    }
    write(&resolver, b"")?;
    // Tests expect busybox at this path.
    let busybox = root.join("usr/bin/busybox");
    if !busybox.exists() {
        symlink("../../bin/busybox", &busybox).context("failed to link busybox")?;
    }
    Ok(())
}

/// Lets the key's owner log in as root.
fn allow(key: &Path, root: &Path) -> Result<()> {
    let public = key.with_extension("pub");
    let text = fs::read(&public).with_context(|| format!("failed to read {}", public.display()))?;
    let file = root.join("root/.ssh/authorized_keys");
    write(&file, &text)?;
    let folder = root.join("root/.ssh");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))
        .with_context(|| format!("failed to restrict the permissions of {}", folder.display()))
}

fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    let made = file.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::write(file, bytes))
        .with_context(|| format!("failed to write {}", file.display()))
}

/// Copies the one file of `/boot` with this prefix.
fn take(root: &Path, prefix: &str, to: &Path) -> Result<()> {
    let boot = root.join("boot");
    let entries =
        fs::read_dir(&boot).with_context(|| format!("failed to read {}", boot.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            found.push(entry.path());
        }
    }
    let [file] = found.as_slice() else {
        bail!(
            "/boot of the image has {} files {prefix}*, not one",
            found.len()
        );
    };
    fs::copy(file, to).with_context(|| format!("failed to copy {}", file.display()))?;
    Ok(())
}
