//! Logs on stderr: text for people, or a JSON object a line for machines.
//!
//! stdout stays free for a program's own output. Control characters of what is logged are escaped
//! in both formats.

use std::env;
use std::io::{self, IsTerminal};
use std::time::Duration;

use tracing::subscriber::SetGlobalDefaultError;
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry};

use crate::queue::Queue;

/// What is logged when neither the options nor the environment say otherwise.
pub const DEFAULT_FILTER: &str = "info";

/// The environment's filter.
const FILTER_VARIABLE: &str = "RUST_LOG";

/// Bytes of log lines that may wait for a slow stderr.
const CAPACITY: usize = 1 << 20;

/// How long the end of a program waits for a slow stderr.
const PATIENCE: Duration = Duration::from_secs(2);

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Text for people.
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

/// What to log and how.
#[derive(Clone, Debug, Default)]
pub struct LogOptions {
    /// How a line looks.
    pub format: LogFormat,
    /// Whether text is coloured.
    pub color: Color,
    /// Which events are logged, such as `info,sampan_runner=debug,access=off`. Without it
    /// `RUST_LOG` decides, and without that [`DEFAULT_FILTER`].
    pub filter: Option<String>,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogsError {
    /// The filter cannot be understood.
    #[error(
        "\"{filter}\" is no log filter; write levels such as info, or info,sampan_runner=debug"
    )]
    Filter {
        /// The filter as it was given.
        filter: String,
        /// Where it went wrong.
        source: ParseError,
    },
    /// The operating system refused a thread.
    #[error("no thread for the logs")]
    Thread(#[source] io::Error),
    /// The program has set up logging before.
    #[error("logging is already set up")]
    AlreadySetUp(#[source] SetGlobalDefaultError),
}

/// Logging that is set up. Dropping it writes what is still buffered; a program that ends
/// otherwise loses that.
#[derive(Debug)]
#[must_use = "dropping it at once would leave later lines unwritten when the program ends"]
pub struct Logs {
    queue: Queue,
}

impl LogOptions {
    /// Sets up logging for the whole program.
    pub fn init(&self) -> Result<Logs, LogsError> {
        let filter = self.filter.clone().or_else(filter_of_environment);
        let filter = parse_filter(filter.unwrap_or_else(|| DEFAULT_FILTER.to_owned()))?;
        let queue = Queue::start(io::stderr(), CAPACITY).map_err(LogsError::Thread)?;
        let layer = tracing_subscriber::fmt::layer().with_writer(queue.clone());
        let layer: Box<dyn Layer<Registry> + Send + Sync> = match self.format {
            LogFormat::Text => layer
                .with_ansi(colored(self.color, &Surroundings::of_stderr()))
                .boxed(),
            LogFormat::Json => layer
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .boxed(),
        };
        let subscriber = tracing_subscriber::registry().with(layer.with_filter(filter));
        tracing::subscriber::set_global_default(subscriber).map_err(LogsError::AlreadySetUp)?;
        Ok(Logs { queue })
    }
}

impl Logs {
    /// Writes what is still buffered, as long as stderr takes it.
    pub fn flush(&self) {
        self.queue.flush(PATIENCE);
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        self.flush();
    }
}

fn parse_filter(filter: String) -> Result<EnvFilter, LogsError> {
    EnvFilter::try_new(&filter).map_err(|source| LogsError::Filter { filter, source })
}

fn filter_of_environment() -> Option<String> {
    env::var_os(FILTER_VARIABLE)
        .filter(|filter| !filter.is_empty())
        .map(|filter| filter.to_string_lossy().into_owned())
}

/// What decides about colours besides the options.
struct Surroundings {
    terminal: bool,
    no_color: bool,
    dumb: bool,
}

impl Surroundings {
    fn of_stderr() -> Self {
        Self {
            terminal: io::stderr().is_terminal(),
            // https://no-color.org: present and not empty, whatever its value.
            no_color: env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
            dumb: env::var_os("TERM").is_some_and(|value| value == "dumb"),
        }
    }
}

fn colored(color: Color, around: &Surroundings) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => around.terminal && !around.no_color && !around.dumb,
    }
}

#[cfg(test)]
mod tests {
    use super::{Color, LogsError, Surroundings, colored, parse_filter};

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        fn check(color: Color, (terminal, no_color, dumb): (bool, bool, bool), expected: bool) {
            let around = Surroundings {
                terminal,
                no_color,
                dumb,
            };
            assert_eq!(
                colored(color, &around),
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
    fn a_filter_that_cannot_be_understood_is_named() {
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
