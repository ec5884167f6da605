//! A kubelet sets some of the kernel's switches, for the whole machine. They are noted before the first
//! cluster of this user starts, and put back when its last one is gone.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::layout::Layout;

/// What a kubelet sets where it differs.
const TUNABLES: [&str; 6] = [
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];

/// Notes how they are, unless another cluster has.
pub(crate) fn note(layout: &Layout) -> Result<()> {
    note_in(&file(layout), Path::new("/proc/sys"))
}

/// Puts them back if this was the last cluster.
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

fn note_in(file: &Path, switches: &Path) -> Result<()> {
    if file.exists() {
        return Ok(());
    }
    let mut values = BTreeMap::new();
    for name in TUNABLES {
        let switch = switches.join(name);
        let value = fs::read_to_string(&switch)
            .with_context(|| format!("failed to read {}", switch.display()))?;
        values.insert(name, value.trim().to_owned());
    }
    fs::write(file, serde_json::to_vec(&values)?)
        .with_context(|| format!("failed to write {}", file.display()))
}

fn restore_from(file: &Path, switches: &Path) -> Result<()> {
    let bytes = match fs::read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        bytes => bytes.with_context(|| format!("failed to read {}", file.display()))?,
    };
    let values: BTreeMap<String, String> =
        serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", file.display()))?;
    for name in TUNABLES {
        if let Some(value) = values.get(name) {
            let switch = switches.join(name);
            fs::write(&switch, value)
                .with_context(|| format!("failed to write {}", switch.display()))?;
        }
    }
    fs::remove_file(file).with_context(|| format!("failed to remove {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_are_noted_once_and_put_back() {
        let folder = tempfile::tempdir().unwrap();
        let (file, switches) = (folder.path().join("noted"), folder.path().join("sys"));
        let set = |value: &str| {
            for name in TUNABLES {
                let switch = switches.join(name);
                fs::create_dir_all(switch.parent().unwrap()).unwrap();
                fs::write(switch, value).unwrap();
            }
        };
        restore_from(&file, &switches).unwrap();
        set("0\n");
        note_in(&file, &switches).unwrap();
        set("1\n");
        note_in(&file, &switches).unwrap();
        restore_from(&file, &switches).unwrap();
        for name in TUNABLES {
            assert_eq!(fs::read_to_string(switches.join(name)).unwrap(), "0");
        }
        assert!(!file.exists());
    }
}
