//! Logs on stderr: text, or one JSON object for each line.
//!
//! stdout stays free for a program's own output. Control characters are escaped in both formats.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use tracing::subscriber::SetGlobalDefaultError;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, ParseError, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry};

use crate::line_queue::{LineQueue, LineQueueOptions};

/// The filter if neither the options nor the environment set one.
pub const DEFAULT_FILTER: &str = "info";

/// The environment variable with a filter.
const FILTER_VARIABLE: &str = "RUST_LOG";

/// Bytes of log lines that may wait for a slow stderr.
const MAX_QUEUED_BYTES: usize = 1 << 20;

/// How long lines gather after a write. Under load, a write for each line would cost more than
/// making the line.
const GATHER_TIME: Duration = Duration::from_millis(5);

/// Time limit for flushing to a slow stderr at the end of a program.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// The client of the API server. Its warnings show a whole body that it cannot parse, and such a body
/// may have Secrets.
const SHOWS_BODIES: &str = "kube_client::client";

/// The format of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Human-readable text.
    #[default]
    Text,
    /// One JSON object a line, with the event's fields at the top level.
    Json,
}

/// Whether text is coloured. JSON never is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set or the terminal is dumb.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Logging options.
#[derive(Clone, Debug, Default)]
pub struct LogOptions {
    /// The format of a line.
    pub format: LogFormat,
    /// Whether text is coloured.
    pub color: Color,
    /// A filter of events, such as `info,sampan_runner=debug,access=off`. Without it `RUST_LOG`
    /// decides, and without that [`DEFAULT_FILTER`].
    pub filter: Option<String>,
}

/// Reasons why logging could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogsError {
    /// The filter is malformed.
    #[error(
        "\"{filter}\" is no log filter; write levels such as info, or info,sampan_runner=debug"
    )]
    Filter {
        /// The given filter.
        filter: String,
        /// The cause.
        source: ParseError,
    },
    /// The operating system refused a thread.
    #[error("no thread for the logs")]
    Thread(#[source] io::Error),
    /// The program has already set up logging.
    #[error("logging is already set up")]
    AlreadySetUp(#[source] SetGlobalDefaultError),
}

/// Active logging. Dropping it flushes buffered lines; a program that ends otherwise loses them.
#[derive(Debug)]
#[must_use = "dropping it at once would leave later lines unwritten when the program ends"]
pub struct Logs {
    queue: LineQueue<()>,
}

impl LogOptions {
    /// Sets up logging for the whole program.
    pub fn init(&self) -> Result<Logs, LogsError> {
        let filter = self.filter.clone().or_else(filter_of_environment);
        let filter = parse_filter(filter.unwrap_or_else(|| DEFAULT_FILTER.to_owned()))?;
        let limits = LineQueueOptions {
            capacity: MAX_QUEUED_BYTES,
            gather_time: GATHER_TIME,
            notices: (),
        };
        let queue = LineQueue::new(limits, |(), lines: &[u8]| {
            // There is no output for an error of a closed stderr.
            let _ = io::stderr().write_all(lines);
        });
        queue.start().map_err(LogsError::Thread)?;
        let layer = tracing_subscriber::fmt::layer().with_writer(LineWriter(queue.clone()));
        let layer: Box<dyn Layer<Registry> + Send + Sync> = match self.format {
            LogFormat::Text => layer
                .with_ansi(colored(self.color, &ColorEnvironment::stderr()))
                .boxed(),
            LogFormat::Json => layer
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .boxed(),
        };
        let filter = filter.and(filter_fn(is_discreet));
        let subscriber = tracing_subscriber::registry().with(layer.with_filter(filter));
        tracing::subscriber::set_global_default(subscriber).map_err(LogsError::AlreadySetUp)?;
        Ok(Logs { queue })
    }
}

impl Logs {
    /// Writes buffered lines, within a time limit.
    pub fn flush(&self) {
        self.queue.flush(FLUSH_TIMEOUT);
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Queues each event. `tracing-subscriber` writes an event in one call, so that a call is a line.
#[derive(Debug)]
struct LineWriter(LineQueue<()>);

impl Write for &LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push((), line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LineWriter {
    type Writer = &'a LineWriter;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

/// Whether an event shows no body. No option allows the others.
fn is_discreet(event: &Metadata<'_>) -> bool {
    !event.target().starts_with(SHOWS_BODIES) || *event.level() == Level::ERROR
}

fn parse_filter(filter: String) -> Result<EnvFilter, LogsError> {
    EnvFilter::try_new(&filter).map_err(|source| LogsError::Filter { filter, source })
}

fn filter_of_environment() -> Option<String> {
    env::var_os(FILTER_VARIABLE)
        .filter(|filter| !filter.is_empty())
        .map(|filter| filter.to_string_lossy().into_owned())
}

/// The environment's influence on colours.
struct ColorEnvironment {
    terminal: bool,
    no_color: bool,
    dumb: bool,
}

impl ColorEnvironment {
    fn stderr() -> Self {
        Self {
            terminal: io::stderr().is_terminal(),
            // https://no-color.org: present and not empty, with any value.
            no_color: env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
            dumb: env::var_os("TERM").is_some_and(|value| value == "dumb"),
        }
    }
}

fn colored(color: Color, environment: &ColorEnvironment) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => environment.terminal && !environment.no_color && !environment.dumb,
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::Layer as _;
    use tracing_subscriber::filter::{FilterExt as _, filter_fn};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::{Color, ColorEnvironment, LogsError, colored, is_discreet, parse_filter};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_filter_shows_bodies_of_the_api_server() {
        for filter in ["info", "kube_client=trace", "kube_client::client=warn"] {
            let lines = Lines::default();
            let written = lines.clone();
            let layer = tracing_subscriber::fmt::layer().with_writer(move || written.clone());
            let parsed = parse_filter(filter.to_owned()).expect("a filter");
            let layer = layer.with_filter(parsed.and(filter_fn(is_discreet)));
            let subscriber = tracing_subscriber::registry().with(layer);
            tracing::subscriber::with_default(subscriber, || {
                tracing::warn!(target: "kube_client::client", "hidden body");
                tracing::debug!(target: "kube_client::client::builder", "hidden request");
                tracing::error!(target: "kube_client::client::builder", "shown failure");
                tracing::warn!(target: "kube_client::config", "shown warning");
            });
            let shown = String::from_utf8(lines.0.lock().expect("no panic").clone());
            let shown = shown.expect("text");
            assert!(!shown.contains("hidden"), "{filter}: {shown}");
            assert!(shown.contains("shown failure"), "{filter}: {shown}");
            let warns = !filter.contains("::client");
            assert_eq!(shown.contains("shown warning"), warns, "{filter}: {shown}");
        }
    }

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        fn check(color: Color, (terminal, no_color, dumb): (bool, bool, bool), expected: bool) {
            let environment = ColorEnvironment {
                terminal,
                no_color,
                dumb,
            };
            assert_eq!(
                colored(color, &environment),
                expected,
                "{color:?} {terminal} {no_color} {dumb}"
            );
        }
        check(Color::Auto, (true, false, false), true);
        check(Color::Auto, (false, false, false), false);
        check(Color::Auto, (true, true, false), false);
        check(Color::Auto, (true, false, true), false);
        check(Color::Always, (false, true, true), true);
        check(Color::Never, (true, false, false), false);
    }

    #[test]
    fn a_malformed_filter_is_named() {
        fn check(filter: &str, accepted: bool) {
            match parse_filter(filter.to_owned()) {
                Ok(_) => assert!(accepted, "{filter}"),
                Err(error) => {
                    assert!(!accepted, "{filter}: {error}");
                    assert!(matches!(error, LogsError::Filter { .. }));
                    assert!(error.to_string().contains(filter), "{error}");
                }
            }
        }
        check("info", true);
        check("info,sampan_runner=debug,access=off", true);
        check("warn,hyper=error", true);
        check("info,sampan_runner=loud", false);
        check("a=b=c", false);
    }
}
