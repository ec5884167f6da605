//! Runs an emulated machine with cgroup version 2 and systemd, which development machines lack:
//! Debian in QEMU.
//!
//! The [`image`] is built once from the [`recipe`] and kept in the cache. A [`boot`] never changes
//! it. Folders of this machine appear in it under the same paths, so programs need no copying.
//! Writes to them are discarded with the boot. docs/vm.md is the manual.

mod accelerator;
mod boot;
mod image;
mod login;
mod recipe;

pub use boot::{Share, Vm};
pub use recipe::Image;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use sampan_checkout::cache;
use sampan_checkout::machine::{Machine, Need};
use sampan_checkout::repository::Repository;

/// Requirements of an emulated machine.
pub const NEEDS: &[Need] = &[Need::Root, Need::Emulator];

/// The options of `cargo xtask vm`.
#[derive(Debug, Args)]
pub struct Boot {
    /// The image to boot
    #[arg(long, value_enum, default_value_t, value_name = "IMAGE")]
    pub image: Image,
}

/// Boots a machine for a person, and waits until it is switched off.
pub fn run(repository: &Repository, machine: &Machine, boot: &Boot) -> Result<()> {
    if let Some(missing) = machine.provide(NEEDS).first() {
        bail!("{} is missing: {}", missing.what, missing.remedy);
    }
    let vm = Vm::boot(boot.image, &shares(repository)?, &repository.logs())?;
    eprintln!("{}\n{}", vm.summary()?, vm.login());
    vm.wait()
}

/// The shared folders: the checkout, its build results, and the cluster's programs.
pub fn shares(repository: &Repository) -> Result<Vec<Share>> {
    let folders = [
        repository.root().to_owned(),
        repository.target().to_owned(),
        cache::cache()?,
    ];
    let mut folders: Vec<PathBuf> = folders
        .into_iter()
        .filter(|folder| folder.is_dir())
        .collect();
    // A parent must come first, because its mount would hide that of a folder in it.
    folders.sort();
    Ok(folders.into_iter().map(Share).collect())
}
