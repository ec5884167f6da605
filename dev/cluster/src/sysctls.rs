//! Saves and restores the kernel settings that a kubelet changes for the whole machine.
//!
//! They are saved before the first cluster of this user starts, and restored when the last one is
//! gone.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::layout::Layout;

/// The settings that a kubelet changes where they differ.
const SYSCTLS: [&str; 6] = [
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];

/// Saves the current values, unless another cluster has.
pub(crate) fn save(layout: &Layout) -> Result<()> {
    save_to(&file(layout), Path::new("/proc/sys"))
}

/// Restores the values if this was the last cluster.
pub(crate) fn restore(layout: &Layout) -> Result<()> {
    let others = fs::read_dir(layout.clusters())
        .with_context(|| format!("failed to read {}", layout.clusters().display()))?;
    for entry in others {
        let entry = entry?;
        if entry.file_type()?.is_dir() && entry.path() != layout.state() {
            return Ok(());
        }
    }
    restore_from(&file(layout), Path::new("/proc/sys"))
}

fn file(layout: &Layout) -> PathBuf {
    layout.clusters().join("tunables.json")
}

fn save_to(file: &Path, proc_sys: &Path) -> Result<()> {
    if file.exists() {
        return Ok(());
    }
    let mut values = BTreeMap::new();
    for name in SYSCTLS {
        let sysctl = proc_sys.join(name);
        let value = fs::read_to_string(&sysctl)
            .with_context(|| format!("failed to read {}", sysctl.display()))?;
        values.insert(name, value.trim().to_owned());
    }
    fs::write(file, serde_json::to_vec(&values)?)
        .with_context(|| format!("failed to write {}", file.display()))
}

fn restore_from(file: &Path, proc_sys: &Path) -> Result<()> {
    let bytes = match fs::read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        bytes => bytes.with_context(|| format!("failed to read {}", file.display()))?,
    };
    let values: BTreeMap<String, String> =
        serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", file.display()))?;
    for name in SYSCTLS {
        if let Some(value) = values.get(name) {
            let sysctl = proc_sys.join(name);
            fs::write(&sysctl, value)
                .with_context(|| format!("failed to write {}", sysctl.display()))?;
        }
    }
    fs::remove_file(file).with_context(|| format!("failed to remove {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_saved_once_and_restored() {
        let folder = tempfile::tempdir().unwrap();
        let (file, proc_sys) = (folder.path().join("noted"), folder.path().join("sys"));
        let set = |value: &str| {
            for name in SYSCTLS {
                let sysctl = proc_sys.join(name);
                fs::create_dir_all(sysctl.parent().unwrap()).unwrap();
                fs::write(sysctl, value).unwrap();
            }
        };
        restore_from(&file, &proc_sys).unwrap();
        set("0\n");
        save_to(&file, &proc_sys).unwrap();
        set("1\n");
        save_to(&file, &proc_sys).unwrap();
        restore_from(&file, &proc_sys).unwrap();
        for name in SYSCTLS {
            assert_eq!(fs::read_to_string(proc_sys.join(name)).unwrap(), "0");
        }
        assert!(!file.exists());
    }
}
