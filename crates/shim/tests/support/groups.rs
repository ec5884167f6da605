//! The control groups of a test, with a bundle's path in one of two forms: a path below the root, or
//! `SLICE:PREFIX:NAME`, of which systemd makes a scope.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FsWord, statfs};

/// Selects the form: `path`, which is the default, or `systemd`.
const VARIABLE: &str = "SAMPAN_TEST_CGROUP_FORM";

/// How a bundle names its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Path,
    Systemd,
}

impl Form {
    /// The form that the environment selects.
    pub(crate) fn selected() -> Self {
        match std::env::var(VARIABLE).as_deref() {
            Ok("systemd") => Self::Systemd,
            Ok("path") | Err(_) => Self::Path,
            Ok(other) => panic!("{VARIABLE} is path or systemd, not {other}"),
        }
    }
}

/// The group around all groups of one test.
#[derive(Clone, Debug)]
pub(crate) struct Groups {
    name: String,
    form: Form,
}

impl Groups {
    pub(crate) fn new(name: &str, form: Form) -> Self {
        let name = match form {
            Form::Path => name.to_owned(),
            // systemd puts `a-b.slice` into `a.slice`.
            Form::Systemd => format!("{}.slice", name.replace('-', "_")),
        };
        Self { name, form }
    }

    pub(crate) fn is_systemd(&self) -> bool {
        self.form == Form::Systemd
    }

    /// The slice, with the form that has one.
    pub(crate) fn slice(&self) -> String {
        self.name.clone()
    }

    /// What stands as `cgroupsPath` in the bundle of a container.
    pub(crate) fn path_of(&self, id: &str) -> String {
        let name = &self.name;
        match self.form {
            Form::Path => format!("/{name}/{id}"),
            // The names of scopes are those of the whole machine, so the prefix is the test's.
            Form::Systemd => format!("{name}:{}:{id}", name.trim_end_matches(".slice")),
        }
    }

    /// The name of the scope of a container.
    pub(crate) fn scope_of(&self, id: &str) -> Option<String> {
        let prefix = self.name.trim_end_matches(".slice");
        (self.form == Form::Systemd).then(|| format!("{prefix}-{id}.scope"))
    }

    /// The last part of the group of a container.
    pub(crate) fn folder_of(&self, id: &str) -> PathBuf {
        let scope = self.scope_of(id);
        Path::new(&self.name).join(scope.unwrap_or_else(|| id.to_owned()))
    }

    /// The groups of containers, in every hierarchy.
    pub(crate) fn inner(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for group in self.outer() {
            let entries = fs::read_dir(&group).expect("a group");
            let inner = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
            found.extend(inner.filter(|path| path.is_dir()));
        }
        found
    }

    /// The group itself, in every hierarchy that has it.
    fn outer(&self) -> Vec<PathBuf> {
        let groups = hierarchies().into_iter().map(|root| root.join(&self.name));
        groups.filter(|group| group.is_dir()).collect()
    }

    /// Removes the group, and those in it. Fails when one has processes.
    pub(crate) fn remove(&self) -> Result<(), String> {
        if self.form == Form::Systemd {
            let stopped = Command::new("systemctl")
                .args(["stop", &self.name])
                .output();
            let stopped = stopped.map_err(|error| format!("systemctl: {error}"))?;
            if !stopped.status.success() {
                return Err(format!("{stopped:?}"));
            }
        }
        for group in self.inner().into_iter().chain(self.outer()) {
            fs::remove_dir(&group).map_err(|error| format!("{}: {error}", group.display()))?;
        }
        Ok(())
    }
}

/// Where control groups are mounted.
pub(crate) const ROOT: &str = "/sys/fs/cgroup";

/// `CGROUP2_SUPER_MAGIC` of `linux/magic.h`.
const CGROUP2: FsWord = 0x6367_7270;

/// Whether this machine uses version 2 for containers, which the file system at [`ROOT`] decides.
pub(crate) fn is_version_2() -> bool {
    statfs(ROOT).expect("control groups").f_type == CGROUP2
}

/// Where hierarchies of control groups are mounted.
pub(crate) fn hierarchies() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    let lines = mounts.lines().filter(|line| line.contains(" - cgroup"));
    let mut found: Vec<PathBuf> = lines
        .map(|line| line.split(' ').nth(4).expect("a mount point").into())
        .collect();
    found.sort();
    found.dedup();
    found
}
