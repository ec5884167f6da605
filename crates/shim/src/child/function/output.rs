//! The lines of a function, on their way to the container's standard streams.
//!
//! A request never waits for the reader of the logs: lines go through a bounded queue. Its thread
//! starts with the first line, since most functions write none.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::time::Duration;

use sampan_engine::Stream;
use sampan_telemetry::{LineQueue, LineQueueOptions};

/// Bytes that may wait for a slow reader.
const CAPACITY: usize = 1 << 20;

/// How long the end of a container waits for a slow reader.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Takes lines from any thread. Cheap to clone.
#[derive(Clone)]
pub(super) struct Output(LineQueue<Stream>);

impl Output {
    /// For the standard streams of this process.
    pub(super) fn new() -> Self {
        let limits = LineQueueOptions {
            capacity: CAPACITY,
            // A container can be killed at any time, and lines that gather would be lost.
            gather_time: Duration::ZERO,
            notices: Stream::Stderr,
        };
        Self(LineQueue::new(limits, write))
    }

    /// Writes a line, sooner or later.
    pub(super) fn line(&self, stream: Stream, line: &str) {
        self.0.push(stream, line.as_bytes());
    }

    /// Waits until everything is written, but not for long.
    pub(super) fn flush(&self) {
        self.0.flush(FLUSH_TIMEOUT);
    }
}

/// Writes without the standard library's own buffers. There is nowhere to report that it fails.
fn write(stream: Stream, lines: &[u8]) {
    let fd = match stream {
        Stream::Stdout => io::stdout().as_fd().try_clone_to_owned(),
        Stream::Stderr => io::stderr().as_fd().try_clone_to_owned(),
    };
    if let Ok(fd) = fd {
        let _ = File::from(fd).write_all(lines);
    }
}
