//! Registry connection, progress bar and output of `push` and `pull`.
//!
//! [`crate::push`] and [`crate::pull`] decide what is transferred.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sampan_artifact::{
    DockerConfig, Observer, Options, Progress, Reference, Registry, RetryPolicy,
};
use serde::Serialize;
use tokio::runtime;

use crate::arguments::{Output, RegistryAccess};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{pretty_json, print};
use crate::terminal::is_interactive;

/// The interval at which the bar is drawn without progress.
const TICK: Duration = Duration::from_millis(120);

/// Runs the requests of a command. Ctrl-C ends the program at once, which leaves nothing half done.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::system("no runtime for the connections", &error))?
        .block_on(work)
}

/// Connects to the registry of a reference, with the user's credentials for it.
pub(crate) async fn connect(
    reference: &Reference,
    access: &RegistryAccess,
) -> Result<Registry, Failure> {
    let failed = |error: sampan_artifact::Error| Failure::registry(&error);
    let login = match DockerConfig::default_path() {
        Some(path) => {
            let config = DockerConfig::read(&path).map_err(|error| failed(error.into()))?;
            let login = config.login(reference).await;
            login.map_err(|error| failed(error.into()))?
        }
        None => None,
    };
    let options = Options {
        plain_http: access.plain_http,
        login,
        retry: RetryPolicy::default(),
    };
    Registry::new(reference.clone(), options).map_err(failed)
}

/// A progress bar on an interactive standard error; removed when dropped.
pub(crate) struct Bar {
    bar: ProgressBar,
}

impl Bar {
    /// Makes a bar with a label: `pushing REFERENCE`.
    pub(crate) fn new(word: &str, reference: &Reference) -> Self {
        let bar = ProgressBar::hidden();
        if is_interactive(&io::stderr()) {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            // The template is a constant; the default one would do as well.
            if let Ok(style) = ProgressStyle::with_template(
                "{spinner} {msg} {bar:24} {binary_bytes} of {binary_total_bytes} {elapsed}",
            ) {
                bar.set_style(style);
            }
            bar.set_message(format!("{word} {reference}"));
            bar.enable_steady_tick(TICK);
        }
        Self { bar }
    }

    /// An observer that moves the bar.
    pub(crate) fn observer(&self) -> Observer {
        let bar = self.bar.clone();
        Arc::new(move |progress: Progress| {
            bar.set_length(progress.total);
            bar.set_position(progress.done);
        })
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// The JSON output of a failed command.
#[derive(Debug, Serialize)]
struct JsonFailure<'a> {
    reference: String,
    error: &'a str,
    help: &'a str,
    exit_code: u8,
}

/// Prints a result in the chosen format, and a failure as JSON if that format was chosen.
pub(crate) fn print_outcome<T: Serialize>(
    outcome: Result<T, Failure>,
    output: Output,
    reference: &Reference,
    text: impl FnOnce(&T) -> String,
) -> Result<std::process::ExitCode, Failure> {
    match (outcome, output) {
        (Ok(report), Output::Text) => print(&text(&report))?,
        (Ok(report), Output::Json) => print(&pretty_json(&report)?)?,
        (Err(failure), Output::Text) => return Err(failure),
        (Err(failure), Output::Json) => {
            print(&pretty_json(&JsonFailure {
                reference: reference.to_string(),
                error: &failure.message,
                help: &failure.help,
                exit_code: failure.exit.code(),
            })?)?;
            return Err(failure);
        }
    }
    Ok(Exit::Success.into())
}
