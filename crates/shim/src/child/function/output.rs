//! The lines of a function, on their way to the container's standard streams.
//!
//! A request never waits for the reader of the logs: lines go through a bounded buffer and one thread,
//! which starts with the first line. When the reader stalls, lines are dropped, and their number is
//! written once it reads again.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use sampan_engine::Stream;

/// Bytes that may wait for a slow reader.
const CAPACITY: usize = 1 << 20;

/// How long the end of a container waits for a slow reader.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Takes lines from any thread. Cheap to clone.
#[derive(Clone)]
pub(super) struct Output(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// The thread waits here for lines.
    filled: Condvar,
    /// `flush` waits here for the thread.
    emptied: Condvar,
}

#[derive(Default)]
struct State {
    /// Lines that wait, of both streams in the order in which they were written.
    pending: Vec<(Stream, Vec<u8>)>,
    bytes: usize,
    dropped: u64,
    writing: bool,
    started: bool,
}

impl Output {
    /// For the standard streams of this process.
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared {
            state: Mutex::default(),
            filled: Condvar::new(),
            emptied: Condvar::new(),
        }))
    }

    /// Writes a line, sooner or later.
    pub(super) fn line(&self, stream: Stream, line: &str) {
        let mut state = self.0.lock();
        if state.bytes + line.len() >= CAPACITY {
            state.dropped += 1;
            return;
        }
        state.bytes += line.len() + 1;
        match state.pending.last_mut() {
            Some((last, text)) if *last == stream => push(text, line),
            _ => {
                let mut text = Vec::with_capacity(line.len() + 1);
                push(&mut text, line);
                state.pending.push((stream, text));
            }
        }
        if !state.started {
            state.started = true;
            let shared = Arc::clone(&self.0);
            let thread = thread::Builder::new().name("output".to_owned());
            // Without a thread the next line tries again.
            state.started = thread.spawn(move || shared.run()).is_ok();
        }
        drop(state);
        self.0.filled.notify_one();
    }

    /// Waits until everything is written, but not for long.
    pub(super) fn flush(&self) {
        let state = self.0.lock();
        let busy = |state: &mut State| state.writing || !state.pending.is_empty();
        let waited = self
            .0
            .emptied
            .wait_timeout_while(state, FLUSH_TIMEOUT, busy);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

fn push(text: &mut Vec<u8>, line: &str) {
    text.extend_from_slice(line.as_bytes());
    text.push(b'\n');
}

impl Shared {
    fn run(&self) {
        let mut state = self.lock();
        loop {
            while state.pending.is_empty() {
                state.writing = false;
                self.emptied.notify_all();
                state = self
                    .filled
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            state.writing = true;
            let lines = std::mem::take(&mut state.pending);
            state.bytes = 0;
            let dropped = std::mem::take(&mut state.dropped);
            drop(state);
            for (stream, text) in lines {
                write(stream, &text);
            }
            if dropped > 0 {
                let notice = format!("{dropped} lines were dropped: the logs were not read\n");
                write(Stream::Stderr, notice.as_bytes());
            }
            state = self.lock();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes without the standard library's own buffers. There is nowhere to report that it fails.
fn write(stream: Stream, text: &[u8]) {
    let fd = match stream {
        Stream::Stdout => io::stdout().as_fd().try_clone_to_owned(),
        Stream::Stderr => io::stderr().as_fd().try_clone_to_owned(),
    };
    if let Ok(fd) = fd {
        let _ = File::from(fd).write_all(text);
    }
}
