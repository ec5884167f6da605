//! Tells what happens, on a thread of its own: a terminal or a pipe that takes its time holds up
//! neither requests nor swaps.
//!
//! Refuses to end the program because nobody reads its output.

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

/// How often a person is shown that time passes.
const TICK: Duration = Duration::from_millis(100);

/// How long the end of the program waits for a slow reader.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where events are told. Clones tell the same listener.
#[derive(Clone, Debug)]
pub(crate) struct Reporter(Sender<Message>);

/// The listener's thread.
#[derive(Debug)]
pub(crate) struct Listener {
    reporter: Reporter,
    done: Receiver<()>,
}

#[derive(Debug)]
enum Message {
    Tell(Box<Event>),
    End,
}

/// Who puts events into words.
enum Voice {
    Json,
    Text { text: Text, progress: Progress },
}

impl Reporter {
    /// Tells an event.
    pub(crate) fn tell(&self, event: Event) {
        // The listener goes only when the program ends.
        let _ = self.0.send(Message::Tell(Box::new(event)));
    }
}

impl Listener {
    /// Begins to listen.
    pub(crate) fn start(output: Output) -> Result<Self, Failure> {
        let (sender, receiver) = channel();
        let (ended, done) = channel();
        thread::Builder::new()
            .name("report".to_owned())
            .spawn(move || {
                listen(&receiver, output);
                // Nobody may be waiting any more.
                let _ = ended.send(());
            })
            .map_err(|error| Failure::system("no thread for the output", &error))?;
        Ok(Self {
            reporter: Reporter(sender),
            done,
        })
    }

    /// Where to tell events.
    pub(crate) fn reporter(&self) -> &Reporter {
        &self.reporter
    }

    /// Waits until everything is told, but not for ever.
    pub(crate) fn finish(self) {
        // Both only say that the listener has ended already, or does not in time.
        let _ = self.reporter.0.send(Message::End);
        let _ = self.done.recv_timeout(PATIENCE);
    }
}

fn listen(receiver: &Receiver<Message>, output: Output) {
    let mut voice = match output {
        Output::Json => Voice::Json,
        Output::Text => {
            let interactive = is_interactive(&io::stderr());
            let style = Style::of(&io::stdout());
            Voice::Text {
                text: Text::new(style, interactive, Instant::now()),
                progress: Progress::new(interactive),
            }
        }
    };
    let mut mute = false;
    loop {
        let message = if voice.is_ticking() {
            receiver.recv_timeout(TICK)
        } else {
            receiver.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        let words = match message {
            Ok(Message::Tell(event)) => voice.put(&event),
            Err(RecvTimeoutError::Timeout) => voice.tick(),
            Ok(Message::End) | Err(RecvTimeoutError::Disconnected) => return voice.end(),
        };
        if mute || words.is_empty() {
            continue;
        }
        if let Err(failure) = voice.say(&words) {
            tracing::warn!(%failure, "no more is told");
            mute = true;
        }
    }
}

impl Voice {
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

    fn say(&mut self, words: &str) -> Result<(), Failure> {
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
