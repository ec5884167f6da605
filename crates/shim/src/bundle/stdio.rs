//! A process's standard streams: named pipes that containerd makes and reads.
//!
//! The process writes into them itself; nothing is copied. The supervisor only holds each open, for
//! both directions, so that a process is not broken off when containerd, the other end, is restarted:
//! it waits until containerd reads again, once the pipe is full.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::libc::O_NONBLOCK;
use serde::{Deserialize, Serialize};

use crate::error::{Result, ShimError};

/// Where the streams are; an empty path is no stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stdio {
    pub(crate) stdin: String,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) terminal: bool,
}

/// Streams held open by the supervisor, until dropped.
#[derive(Debug, Default)]
pub(crate) struct Held {
    stdin: Option<File>,
    /// Only held, never used.
    _outputs: Vec<File>,
}

impl Stdio {
    /// Refuses what is no path.
    ///
    /// # Errors
    ///
    /// [`ShimError::Unsupported`] for other schemes, such as `binary://`.
    pub(crate) fn check(&self) -> Result<()> {
        for path in [&self.stdin, &self.stdout, &self.stderr] {
            if path.contains("://") && !path.starts_with(FILE) {
                return Err(ShimError::Unsupported(format!(
                    "standard streams as {path} are not supported: named pipes and files are"
                )));
            }
        }
        Ok(())
    }

    /// Holds the streams.
    ///
    /// # Errors
    ///
    /// When one of them cannot be opened.
    pub(crate) fn hold(&self) -> Result<Held> {
        let hold = |path: &str| -> Result<Option<File>> {
            if path.is_empty() || path.starts_with(FILE) {
                return Ok(None);
            }
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(O_NONBLOCK)
                .open(path)
                .map_err(ShimError::system(format!("opening {path}")))?;
            Ok(Some(file))
        };
        let stdin = hold(&self.stdin)?;
        let outputs = [hold(&self.stdout)?, hold(&self.stderr)?];
        Ok(Held {
            stdin,
            _outputs: outputs.into_iter().flatten().collect(),
        })
    }

    /// Opens standard input for the process. The supervisor holds it, so that this does not wait.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub(crate) fn open_stdin(&self) -> io::Result<File> {
        let path = if self.stdin.is_empty() {
            NULL
        } else {
            &self.stdin
        };
        File::open(path)
    }

    /// Opens standard output for the process.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub(crate) fn open_stdout(&self) -> io::Result<File> {
        open_output(&self.stdout)
    }

    /// Opens standard error for the process.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub(crate) fn open_stderr(&self) -> io::Result<File> {
        open_output(&self.stderr)
    }
}

const NULL: &str = "/dev/null";
const FILE: &str = "file://";

fn open_output(path: &str) -> io::Result<File> {
    if path.is_empty() {
        return OpenOptions::new().write(true).open(NULL);
    }
    match path.strip_prefix(FILE) {
        Some(path) => {
            if let Some(folder) = Path::new(path).parent() {
                std::fs::create_dir_all(folder)?;
            }
            OpenOptions::new().append(true).create(true).open(path)
        }
        None => OpenOptions::new().write(true).open(path),
    }
}

impl Held {
    /// Lets go of standard input, so that its reader sees the end once containerd closes it.
    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }
}
