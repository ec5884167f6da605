//! Prints events on a thread of its own, so that a slow reader delays neither requests nor reloads.
//!
//! A closed output does not end the program.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::arguments::Output;
use crate::failure::Failure;
use crate::output::print;
use crate::terminal::{Style, is_interactive};

use super::event::Event;
use super::progress::Progress;
use super::text::Text;

/// The interval at which text output shows the time.
const TICK: Duration = Duration::from_millis(100);

/// Time limit for a slow reader at the end of the program.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Sends events to the printer. Clones send to the same one.
#[derive(Clone, Debug)]
pub(crate) struct Reporter(Sender<Message>);

/// The printer's thread.
#[derive(Debug)]
pub(crate) struct EventPrinter {
    reporter: Reporter,
    done: Receiver<()>,
}

#[derive(Debug)]
enum Message {
    Event(Box<Event>),
    End,
}

/// The output format with its state.
enum Format {
    Json,
    Text { text: Text, progress: Progress },
}

impl Reporter {
    /// Sends an event.
    pub(crate) fn send(&self, event: Event) {
        // The printer ends only with the program.
        let _ = self.0.send(Message::Event(Box::new(event)));
    }
}

impl EventPrinter {
    /// Starts the thread.
    pub(crate) fn start(output: Output) -> Result<Self, Failure> {
        let (sender, receiver) = channel();
        let (ended, done) = channel();
        thread::Builder::new()
            .name("report".to_owned())
            .spawn(move || {
                print_events(&receiver, output);
                // The receiver may be gone already.
                let _ = ended.send(());
            })
            .map_err(|error| Failure::system("no thread for the output", &error))?;
        Ok(Self {
            reporter: Reporter(sender),
            done,
        })
    }

    /// The sender of events.
    pub(crate) fn reporter(&self) -> &Reporter {
        &self.reporter
    }

    /// Waits until every event is printed, within a time limit.
    pub(crate) fn finish(self) {
        // Both fail only if the printer has already ended, or does not end in time.
        let _ = self.reporter.0.send(Message::End);
        let _ = self.done.recv_timeout(FLUSH_TIMEOUT);
    }
}

fn print_events(receiver: &Receiver<Message>, output: Output) {
    let mut format = match output {
        Output::Json => Format::Json,
        Output::Text => {
            let interactive = is_interactive(&io::stderr());
            let style = Style::of(&io::stdout());
            Format::Text {
                text: Text::new(style, interactive, Instant::now()),
                progress: Progress::new(interactive),
            }
        }
    };
    let mut closed = false;
    loop {
        let message = if format.is_ticking() {
            receiver.recv_timeout(TICK)
        } else {
            receiver.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        let words = match message {
            Ok(Message::Event(event)) => format.put(&event),
            Err(RecvTimeoutError::Timeout) => format.tick(),
            Ok(Message::End) | Err(RecvTimeoutError::Disconnected) => return format.end(),
        };
        if closed || words.is_empty() {
            continue;
        }
        if let Err(failure) = format.write(&words) {
            tracing::warn!(%failure, "no further events are printed");
            closed = true;
        }
    }
}

impl Format {
    fn is_ticking(&self) -> bool {
        match self {
            Self::Json => false,
            Self::Text { text, .. } => text.is_waiting(),
        }
    }

    fn put(&mut self, event: &Event) -> String {
        match self {
            Self::Json => match serde_json::to_string(event) {
                Ok(line) => line + "\n",
                Err(error) => {
                    tracing::error!(%error, "an event cannot be written as JSON");
                    String::new()
                }
            },
            Self::Text { text, progress } => {
                let words = text.put(event, Instant::now());
                progress.show(&text.waiting(Instant::now()));
                words
            }
        }
    }

    fn tick(&mut self) -> String {
        match self {
            Self::Json => String::new(),
            Self::Text { text, progress } => {
                progress.show(&text.waiting(Instant::now()));
                text.tick(Instant::now())
            }
        }
    }

    fn write(&mut self, words: &str) -> Result<(), Failure> {
        match self {
            Self::Json => print(words),
            Self::Text { progress, .. } => progress.aside(|| print(words)),
        }
    }

    fn end(self) {
        if let Self::Text { mut progress, .. } = self {
            progress.show(&[]);
        }
    }
}
