//! Finds the built programs, and runs them as processes that end with their test.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// The timeout of every wait. Only a failing test waits this long.
pub const TEST_TIMEOUT: Duration = Duration::from_mins(2);

/// The folder of build results, such as `target/release`: a test is in its `deps`.
pub fn build_folder() -> PathBuf {
    let test = env::current_exe().expect("a test knows its own file");
    let folder = test.parent().and_then(Path::parent);
    folder
        .expect("a test stands in a folder of builds")
        .to_owned()
}

/// A program of the workspace.
pub fn program(name: &str) -> PathBuf {
    let program = build_folder().join(name);
    assert!(
        program.is_file(),
        "{} is not built; run `cargo xtask test end-to-end`",
        program.display()
    );
    program
}

/// A running program. It is killed when this is dropped; if the test fails, its stderr is printed.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
    _folder: TempDir,
}

impl Process {
    /// Starts it with its stderr in a file.
    pub(crate) fn start(command: &mut Command) -> Process {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let log = folder.path().join("stderr");
        let file = File::create(&log).expect("a file can be made in a new folder");
        command.stderr(file).stdin(Stdio::null()).kill_on_drop(true);
        let child = command.spawn();
        let child = child.unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        Process {
            child,
            log,
            _folder: folder,
        }
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// The process number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("it has not been waited for")
    }

    /// Its stderr so far.
    pub(crate) fn stderr(&self) -> io::Result<String> {
        fs::read_to_string(&self.log)
    }

    /// Sends it SIGTERM, and waits for its end.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended().await
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(self.id().cast_signed()).expect("a process has a number");
        kill_process(id, signal).expect("it can be sent a signal");
    }

    /// Waits until it ends.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let ended = timeout(TEST_TIMEOUT, self.child.wait()).await;
        ended
            .expect("it ends after a signal")
            .expect("it can be waited for")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = self.stderr();
            eprintln!("--- stderr of the program\n{}", said.unwrap_or_default());
        }
    }
}
