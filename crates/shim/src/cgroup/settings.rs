//! Values for files of a control group, and writing them.
//!
//! Which files and which values is a matter of the version: [`super::v1`] and [`super::v2`] write what runc 1.5 writes,
//! and docs/shim.md has the table.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// A value for one file of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    /// Files that take the value, in the order of preference, each with the value in its unit. The first one that
    /// exists is written.
    files: Vec<(String, String)>,
    if_missing: IfMissing,
}

/// What to do when the kernel has none of a setting's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IfMissing {
    /// The limit cannot be set.
    Fail,
    /// The value is what holds without the file.
    Ignore,
}

/// A value that no group can have.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum ValueError {
    /// Swap is given as the sum with memory, and memory is not known.
    #[error("a limit of memory and swap ({0} bytes) needs a limit of memory")]
    SwapAlone(i64),
    /// The sum is smaller than one of its parts.
    #[error("the limit of memory and swap ({swap} bytes) is below that of memory ({memory} bytes)")]
    SwapBelowMemory { swap: i64, memory: i64 },
    /// A negative number that is not -1.
    #[error("{0} bytes is not a limit of memory")]
    Memory(i64),
    /// Version 1 has these shares only.
    #[error("{0} is not a number of cpu shares: it must be from 2 to 262144")]
    Shares(u64),
    /// A percentage.
    #[error("a swappiness of {0} is not from 0 to 100")]
    Swappiness(u64),
    /// Files of version 2, on a node of version 1.
    #[error("the node has control groups of version 1, which have no unified setting {0:?}")]
    UnifiedOnVersion1(String),
    /// Remote direct memory access, on a node of version 1.
    #[error("limits of the RDMA device {0:?} are not supported with control groups of version 1")]
    RdmaOnVersion1(String),
    /// Not the name of a file.
    #[error("the unified setting {0:?} is not of the form CONTROLLER.PARAMETER")]
    UnifiedName(String),
    /// The value of a unified setting is of another form.
    #[error("the unified setting {name:?} cannot be {value:?}")]
    UnifiedValue { name: String, value: String },
    /// A list of processors or memory nodes.
    #[error("{0:?} is not a list of processors or memory nodes such as 0-2,7")]
    Cpuset(String),
    /// Block I/O weights have this range.
    #[error("{0} is not a weight of block I/O: it must be from 10 to 1000")]
    Weight(u16),
}

/// A setting could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingError {
    /// The controller is not mounted, or not enabled for the group.
    #[error("{file} cannot be set to {value:?}: the control group has no such file")]
    Missing { file: String, value: String },
    /// The kernel refused.
    #[error("writing {value:?} to {}: {source}", path.display())]
    Write {
        path: PathBuf,
        value: String,
        source: io::Error,
    },
}

impl Setting {
    #[expect(
        clippy::needless_pass_by_value,
        reason = "numbers and texts are handed over where they are made"
    )]
    pub(super) fn new(file: &str, value: impl ToString) -> Self {
        Self {
            files: vec![(file.to_owned(), value.to_string())],
            if_missing: IfMissing::Fail,
        }
    }

    /// The controller that the file belongs to.
    pub(super) fn controller(&self) -> &str {
        let file = self.files.first().map_or("", |(file, _)| file);
        file.split('.').next().unwrap_or_default()
    }

    /// The same, or this if the kernel lacks the file.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "numbers and texts are handed over where they are made"
    )]
    pub(super) fn or(mut self, file: &str, value: impl ToString) -> Self {
        self.files.push((file.to_owned(), value.to_string()));
        self
    }

    /// The same, but of no consequence if the kernel lacks the file.
    pub(super) fn if_there(mut self) -> Self {
        self.if_missing = IfMissing::Ignore;
        self
    }
}

/// Writes settings to a group, which has a folder for each hierarchy. A file's name occurs in one of them only.
///
/// The kernel checks some values against others of the same group, such as a quota against a period. What it refuses
/// for that is written again when all others have been written.
///
/// # Errors
///
/// [`SettingError`] with the first setting that cannot be made.
pub(super) fn write_all(settings: &[Setting], folders: &[PathBuf]) -> Result<(), SettingError> {
    let mut refused = Vec::new();
    for setting in settings {
        match write(setting, folders) {
            Err(SettingError::Write { source, .. }) if is_about_another(&source) => {
                refused.push(setting);
            }
            written => written?,
        }
    }
    refused
        .into_iter()
        .try_for_each(|setting| write(setting, folders))
}

/// `EINVAL` and `EBUSY` are what the kernel says for a value that does not go with another one.
fn is_about_another(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::ResourceBusy
    )
}

fn write(setting: &Setting, folders: &[PathBuf]) -> Result<(), SettingError> {
    for (file, value) in &setting.files {
        for folder in folders {
            let path = folder.join(file);
            match write_value(&path, value) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => {
                    let value = value.clone();
                    return Err(SettingError::Write {
                        path,
                        value,
                        source,
                    });
                }
                Ok(()) => return Ok(()),
            }
        }
    }
    match (setting.if_missing, setting.files.first()) {
        (IfMissing::Fail, Some((file, value))) => Err(SettingError::Missing {
            file: file.clone(),
            value: value.clone(),
        }),
        _ => Ok(()),
    }
}

/// Writes a value to a file of a control group, which takes one line at a time.
pub(super) fn write_value(path: &Path, value: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).open(path)?;
    value
        .split('\n')
        .try_for_each(|line| file.write_all(line.as_bytes()))
}

/// Settings as lines `FILE VALUE`: alternatives are joined by `or`, and what may be missing ends with `?`.
#[cfg(test)]
pub(super) fn lines(settings: &[Setting]) -> Vec<String> {
    let line = |setting: &Setting| {
        let files = setting.files.iter();
        let files: Vec<_> = files
            .map(|(file, value)| format!("{file} {value}"))
            .collect();
        let end = match setting.if_missing {
            IfMissing::Fail => "",
            IfMissing::Ignore => " ?",
        };
        files.join(" or ") + end
    };
    settings.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_file_that_exists_is_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let folders = [PathBuf::from("/nonexistent"), folder.path().to_owned()];
        let setting = Setting::new("io.bfq.weight", 500).or("io.weight", 4950);
        fs::write(folder.path().join("io.weight"), "").expect("a file");
        let read = |file: &str| fs::read_to_string(folder.path().join(file)).expect("a file");
        write_all(std::slice::from_ref(&setting), &folders).expect("written");
        assert_eq!(read("io.weight"), "4950");
        fs::write(folder.path().join("io.bfq.weight"), "").expect("a file");
        write_all(&[setting], &folders).expect("written");
        assert_eq!(read("io.bfq.weight"), "500");
    }

    #[test]
    fn a_limit_that_the_kernel_lacks_is_an_error_unless_it_holds_anyway() {
        let folder = tempfile::tempdir().expect("a folder");
        let folders = [folder.path().to_owned()];
        let swap = Setting::new("memory.swap.max", "0");
        write_all(&[swap.clone().if_there()], &folders).expect("ignored");
        let refused = write_all(&[swap], &folders).expect_err("refused");
        assert_eq!(
            refused.to_string(),
            r#"memory.swap.max cannot be set to "0": the control group has no such file"#
        );
    }
}
