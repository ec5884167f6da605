//! Bounded queue of log lines with one thread that writes them.
//!
//! A request never waits for the reader of the logs. If the reader stalls and the queue is full,
//! lines are dropped and counted. The count is written as soon as writing works again.

use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The most memory that an empty queue keeps in each of its two buffers.
const MAX_KEPT_BYTES: usize = 64 << 10;

/// The limits of a queue.
#[derive(Clone, Copy, Debug)]
pub struct LineQueueOptions<S> {
    /// The most bytes that wait for a slow reader.
    pub capacity: usize,
    /// How long the thread lets lines gather after a write. The first line after a pause is written
    /// at once.
    pub gather_time: Duration,
    /// The stream of the notices about dropped lines.
    pub notices: S,
}

/// Accepts lines for one or several streams from any thread. Clones share one queue.
///
/// The thread starts with the first line, unless [`LineQueue::start`] starts it before. It ends
/// with the process.
pub struct LineQueue<S>(Arc<Shared<S>>);

/// Writes lines of one stream.
type Output<S> = Box<dyn FnMut(S, &[u8]) + Send>;

struct Shared<S> {
    options: LineQueueOptions<S>,
    state: Mutex<State<S>>,
    /// Locked by the thread, for as long as it runs.
    output: Mutex<Output<S>>,
    /// The thread waits here for lines.
    filled: Condvar,
    /// `flush` waits here for the thread.
    emptied: Condvar,
}

struct State<S> {
    pending: Lines<S>,
    dropped: u64,
    writing: bool,
    started: bool,
}

/// Lines of all streams in the order in which they were pushed.
struct Lines<S> {
    bytes: Vec<u8>,
    /// Each stream with the end of its lines in `bytes`; two neighbours differ.
    runs: Vec<(S, usize)>,
}

impl<S: Copy + PartialEq + Send + Sync + 'static> LineQueue<S> {
    /// Makes a queue for `output`, which gets whole lines. It has nowhere to report a failure.
    pub fn new(
        options: LineQueueOptions<S>,
        output: impl FnMut(S, &[u8]) + Send + 'static,
    ) -> Self {
        Self(Arc::new(Shared {
            options,
            state: Mutex::new(State {
                pending: Lines::default(),
                dropped: 0,
                writing: false,
                started: false,
            }),
            output: Mutex::new(Box::new(output)),
            filled: Condvar::new(),
            emptied: Condvar::new(),
        }))
    }

    /// Starts the thread now.
    ///
    /// # Errors
    ///
    /// When the operating system refuses a thread.
    pub fn start(&self) -> io::Result<()> {
        let mut state = self.0.lock();
        if !state.started {
            self.spawn()?;
            state.started = true;
        }
        Ok(())
    }

    /// Queues a line. The queue ends it if it has no line break.
    pub fn push(&self, stream: S, line: &[u8]) {
        let mut state = self.0.lock();
        let was_idle = state.is_idle();
        if state.pending.bytes.len() + line.len() > self.0.options.capacity {
            state.dropped += 1;
        } else {
            state.pending.push(stream, line);
        }
        if !state.started {
            // Without a thread the next line tries again.
            state.started = self.spawn().is_ok();
        }
        drop(state);
        if was_idle {
            self.0.filled.notify_one();
        }
    }

    /// Waits until everything is written, for at most `timeout`.
    pub fn flush(&self, timeout: Duration) {
        let state = self.0.lock();
        let busy = |state: &mut State<S>| state.writing || !state.is_idle();
        let waited = self.0.emptied.wait_timeout_while(state, timeout, busy);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    fn spawn(&self) -> io::Result<()> {
        let shared = Arc::clone(&self.0);
        let thread = thread::Builder::new().name("logs".to_owned());
        thread.spawn(move || shared.run()).map(drop)
    }
}

impl<S> Clone for LineQueue<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> fmt::Debug for LineQueue<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineQueue").finish_non_exhaustive()
    }
}

impl<S: Copy + PartialEq> Shared<S> {
    fn run(&self) {
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines = Lines::default();
        let mut state = self.lock();
        loop {
            while state.is_idle() {
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
            lines.write(&mut output);
            lines.clear();
            if dropped > 0 {
                let notice = format!("{dropped} log lines were dropped: the logs were not read\n");
                (*output)(self.options.notices, notice.as_bytes());
            }
            // Under load, waking the thread for each line would cost more than making the line.
            thread::sleep(self.options.gather_time);
            state = self.lock();
        }
    }
}

impl<S> Shared<S> {
    fn lock(&self) -> MutexGuard<'_, State<S>> {
        // No code between lock and unlock can leave the state half-changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> State<S> {
    /// Whether there is nothing to write.
    fn is_idle(&self) -> bool {
        self.pending.runs.is_empty() && self.dropped == 0
    }
}

impl<S: Copy + PartialEq> Lines<S> {
    fn push(&mut self, stream: S, line: &[u8]) {
        self.bytes.extend_from_slice(line);
        if !line.ends_with(b"\n") {
            self.bytes.push(b'\n');
        }
        let end = self.bytes.len();
        match self.runs.last_mut() {
            Some((last, last_end)) if *last == stream => *last_end = end,
            _ => self.runs.push((stream, end)),
        }
    }

    fn write(&self, output: &mut Output<S>) {
        let mut start = 0;
        for (stream, end) in &self.runs {
            output(*stream, &self.bytes[start..*end]);
            start = *end;
        }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(MAX_KEPT_BYTES);
        self.runs.clear();
        self.runs
            .shrink_to(MAX_KEPT_BYTES / size_of::<(S, usize)>());
    }
}

impl<S> Default for Lines<S> {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            runs: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::{Duration, Instant};

    use super::{LineQueue, LineQueueOptions, Lines, Output};

    const TEST_TIMEOUT: Duration = Duration::from_secs(10);

    /// Lines of one stream.
    type Write = (char, Vec<u8>);

    /// A queue that sends every write to the test, and starts each only when the test permits it.
    fn gated(capacity: usize) -> (LineQueue<char>, Sender<()>, Receiver<Write>) {
        let (allow, allowed) = channel();
        let (written, writes) = channel();
        let options = LineQueueOptions {
            capacity,
            gather_time: Duration::ZERO,
            notices: 'e',
        };
        let queue = LineQueue::new(options, move |stream, lines: &[u8]| {
            // After the test has dropped its end, every write is permitted.
            let _ = allowed.recv();
            let _ = written.send((stream, lines.to_vec()));
        });
        (queue, allow, writes)
    }

    /// What was written, with the stream of each write before it.
    fn text(writes: &Receiver<Write>) -> String {
        let mut text = String::new();
        for (stream, lines) in writes.try_iter() {
            text.push(stream);
            text.push(':');
            text.push_str(&String::from_utf8(lines).unwrap());
        }
        text
    }

    #[test]
    fn lines_arrive_whole_and_in_order() {
        let (queue, allow, writes) = gated(1 << 20);
        drop(allow);
        for number in 0..1000 {
            queue.push('o', format!("line {number}\n").as_bytes());
        }
        queue.flush(TEST_TIMEOUT);
        let text = text(&writes).replace("o:", "");
        let mut lines = text.lines();
        for number in 0..1000 {
            assert_eq!(lines.next(), Some(format!("line {number}").as_str()));
        }
        assert_eq!(lines.next(), None);
    }

    #[test]
    fn streams_keep_their_order_and_neighbouring_lines_are_written_together() {
        fn check(pushed: &[(char, &str)], expected: &[(char, &str)]) {
            let mut lines = Lines::default();
            for (stream, line) in pushed {
                lines.push(*stream, line.as_bytes());
            }
            let (written, writes) = channel();
            let mut output: Output<char> = Box::new(move |stream, lines: &[u8]| {
                written.send((stream, lines.to_vec())).unwrap();
            });
            lines.write(&mut output);
            let found: Vec<_> = writes.try_iter().collect();
            let expected: Vec<_> = expected
                .iter()
                .map(|(stream, lines)| (*stream, lines.as_bytes().to_vec()))
                .collect();
            assert_eq!(found, expected, "{pushed:?}");
        }
        check(&[], &[]);
        check(&[('o', "a\n")], &[('o', "a\n")]);
        check(&[('o', "a"), ('o', "")], &[('o', "a\n\n")]);
        check(
            &[('o', "a"), ('e', "b"), ('o', "c"), ('o', "d\n")],
            &[('o', "a\n"), ('e', "b\n"), ('o', "c\nd\n")],
        );
    }

    #[test]
    fn a_stalled_reader_costs_lines_but_no_time() {
        let (queue, allow, writes) = gated(10);
        queue.push('o', b"first\n");
        let begun = Instant::now();
        // At most one line is with the thread and one in the buffer, with any timing.
        for _ in 0..100 {
            queue.push('o', b"later\n");
        }
        assert!(begun.elapsed() < Duration::from_secs(1));
        drop(allow);
        queue.flush(TEST_TIMEOUT);
        let text = text(&writes);
        assert!(text.starts_with("o:first\n"), "{text}");
        assert!(text.contains("e:"), "{text}");
        assert!(text.contains("log lines were dropped"), "{text}");
    }

    #[test]
    fn a_line_beyond_the_capacity_is_counted_at_once() {
        let (queue, allow, writes) = gated(10);
        drop(allow);
        queue.push('o', b"longer than the queue");
        queue.flush(TEST_TIMEOUT);
        let text = text(&writes);
        assert!(text.starts_with("e:1 log lines were dropped"), "{text}");
    }

    #[test]
    fn flush_gives_up_on_a_stalled_reader() {
        let (queue, _allow, _writes) = gated(10);
        queue.push('o', b"first\n");
        let begun = Instant::now();
        queue.flush(Duration::from_millis(20));
        assert!(begun.elapsed() < TEST_TIMEOUT);
    }
}
