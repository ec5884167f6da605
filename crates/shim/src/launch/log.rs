//! The supervisor's log: lines into the named pipe `log` of the bundle, which containerd reads.
//!
//! Without a reader, lines are dropped.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Mutex;

use nix::libc::O_NONBLOCK;
use tracing::Level;

/// Sets up logging, if there is a pipe in the current folder.
pub(crate) fn init(debug: bool) {
    let Ok(pipe) = open() else {
        return;
    };
    let level = if debug { Level::DEBUG } else { Level::INFO };
    // It is set up once in a process's life, here.
    let _ = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(level)
        .with_writer(Mutex::new(pipe))
        .try_init();
}

fn open() -> std::io::Result<File> {
    // For both directions, so that a line without a reader is no error.
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(O_NONBLOCK)
        .open("log")
}
