//! Bounded queue of log lines with one thread that writes them to stderr.
//!
//! A request never waits for the reader of the logs. If the reader stalls and the buffer is full,
//! lines are dropped and counted. The count is written as soon as writing works again.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// How long the thread lets lines gather after a write. The first line after a pause is written at
/// once. Under load, waking the thread for each line would cost more than making the line.
const GATHER_TIME: Duration = Duration::from_millis(5);

/// Accepts lines from any thread. Clones share one buffer.
#[derive(Clone, Debug)]
pub(crate) struct Queue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// The thread waits here for lines.
    filled: Condvar,
    /// `flush` waits here for the thread.
    emptied: Condvar,
    capacity: usize,
}

#[derive(Debug, Default)]
struct State {
    pending: Vec<u8>,
    dropped: u64,
    writing: bool,
}

impl Queue {
    /// Makes a queue of at most `capacity` bytes for `output`, and starts the thread that empties
    /// it. The thread ends with the process.
    pub(crate) fn start(output: impl Write + Send + 'static, capacity: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            capacity,
        });
        let thread_shared = Arc::clone(&shared);
        thread::Builder::new()
            .name("logs".to_owned())
            .spawn(move || thread_shared.run(output))?;
        Ok(Self(shared))
    }

    /// Waits until everything is written, for at most `timeout`.
    pub(crate) fn flush(&self, timeout: Duration) {
        let state = self.0.lock();
        let busy = |state: &mut State| state.writing || !state.pending.is_empty();
        let waited = self.0.emptied.wait_timeout_while(state, timeout, busy);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    fn push(&self, line: &[u8]) {
        let mut state = self.0.lock();
        if state.pending.len() + line.len() > self.0.capacity {
            state.dropped += 1;
            return;
        }
        let was_empty = state.pending.is_empty();
        state.pending.extend_from_slice(line);
        drop(state);
        if was_empty {
            self.0.filled.notify_one();
        }
    }
}

impl Shared {
    fn run(&self, mut output: impl Write) {
        let mut lines = Vec::new();
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
            std::mem::swap(&mut lines, &mut state.pending);
            let dropped = std::mem::take(&mut state.dropped);
            drop(state);
            // There is no output for an error of a closed stderr.
            let _ = output.write_all(&lines);
            if dropped > 0 {
                let _ = writeln!(
                    output,
                    "{dropped} log lines were dropped: stderr was not read"
                );
            }
            let _ = output.flush();
            lines.clear();
            thread::sleep(GATHER_TIME);
            state = self.lock();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code between lock and unlock can leave the state half-changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `tracing-subscriber` writes each event in one call, so that a call is a line.
impl Write for &Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = &'a Queue;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::{Duration, Instant};

    use super::Queue;

    const TEST_TIMEOUT: Duration = Duration::from_secs(10);

    /// Sends every write to the test, and starts each only when the test permits it.
    struct Gate {
        allowed: Receiver<()>,
        written: Sender<Vec<u8>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // After the test has dropped its end, every write is permitted.
            let _ = self.allowed.recv();
            let _ = self.written.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated(capacity: usize) -> (Queue, Sender<()>, Receiver<Vec<u8>>) {
        let (allow, allowed) = channel();
        let (written, writes) = channel();
        (
            Queue::start(Gate { allowed, written }, capacity).unwrap(),
            allow,
            writes,
        )
    }

    #[test]
    fn lines_arrive_whole_and_in_order() {
        let (queue, allow, writes) = gated(1 << 20);
        drop(allow);
        for number in 0..1000 {
            (&queue)
                .write_all(format!("line {number}\n").as_bytes())
                .unwrap();
        }
        queue.flush(TEST_TIMEOUT);
        let text: Vec<u8> = writes.try_iter().flatten().collect();
        let text = String::from_utf8(text).unwrap();
        let mut lines = text.lines();
        for number in 0..1000 {
            assert_eq!(lines.next(), Some(format!("line {number}").as_str()));
        }
        assert_eq!(lines.next(), None);
    }

    #[test]
    fn a_stalled_reader_costs_lines_but_no_time() {
        let (queue, allow, writes) = gated(10);
        (&queue).write_all(b"first\n").unwrap();
        let begun = Instant::now();
        // At most one line is with the thread and one in the buffer, with any timing.
        for _ in 0..100 {
            (&queue).write_all(b"later\n").unwrap();
        }
        assert!(begun.elapsed() < Duration::from_secs(1));
        drop(allow);
        queue.flush(TEST_TIMEOUT);
        let text: Vec<u8> = writes.try_iter().flatten().collect();
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with("first\n"), "{text}");
        assert!(text.contains("log lines were dropped"), "{text}");
    }

    #[test]
    fn flush_gives_up_on_a_stalled_reader() {
        let (queue, _allow, _writes) = gated(10);
        (&queue).write_all(b"first\n").unwrap();
        let begun = Instant::now();
        queue.flush(Duration::from_millis(20));
        assert!(begun.elapsed() < TEST_TIMEOUT);
    }
}
