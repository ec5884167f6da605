//! The program `sampan-backends`: the services behind two of the functions, for callers outside of
//! Rust.
//!
//! It contains the command line and the signals; the library starts the services.

mod arguments;
mod shutdown;

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use serde_json::json;

use arguments::{Arguments, Command, Serve};
use sampan_backends::{Backends, StartError, cache_folder, obtain_hamlet};

fn main() -> ExitCode {
    let ended = match Arguments::parse().command {
        Command::Serve(serve) => run_serve(&serve),
        Command::Text => run_text(),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprint!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn run_serve(serve: &Serve) -> Result<(), String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| format_error(&error, None))?;
    runtime.block_on(async {
        // Registered before the services start, so that an early signal stops all of them as well.
        let mut shutdown = shutdown::Shutdown::new(serve.until_stdin_closes)
            .map_err(|error| format_error(&error, None))?;
        let started = tokio::select! {
            started = Backends::start(serve.options()) => started,
            () = shutdown.wait() => return Ok(()),
        };
        let backends =
            started.map_err(|error: StartError| format_error(&error, Some(error.help())))?;
        print_addresses(serve, &backends).map_err(|error| format_error(&error, None))?;
        shutdown.wait().await;
        backends.stop().await;
        Ok(())
    })
}

fn run_text() -> Result<(), String> {
    let cache = cache_folder().map_err(|error| format_error(&error, None))?;
    let file = obtain_hamlet(&cache).map_err(|error| format_error(&error, Some(error.help())))?;
    writeln!(io::stdout(), "{}", file.display()).map_err(|error| format_error(&error, None))
}

/// Prints the addresses: one line of JSON on stdout for programs, or lines on stderr for people.
fn print_addresses(serve: &Serve, backends: &Backends) -> io::Result<()> {
    let text = backends.text_address().zip(backends.text_url());
    let users = backends.users_address().zip(backends.users_url());
    if serve.print_ready {
        let address = |(address, url)| json!({ "address": address, "url": url });
        let ready = json!({
            "text": text.map(address),
            "users": users.map(address),
            "postgres": backends.cluster().map(|cluster| json!({ "folder": cluster.folder() })),
        });
        return writeln!(io::stdout(), "{ready}");
    }
    let mut stderr = io::stderr();
    if let Some((_, url)) = text {
        writeln!(stderr, "the text           {url}")?;
    }
    if let Some((_, url)) = users {
        writeln!(stderr, "the table of users {url}/prest/public/users")?;
    }
    Ok(())
}

/// One line with the whole chain of causes, and one with the remedy.
fn format_error(error: &dyn Error, help: Option<&str>) -> String {
    let mut text = format!("error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a string cannot fail.
        let _written = write!(text, ": {error}");
        cause = error.source();
    }
    text.push('\n');
    if let Some(help) = help {
        let _written = writeln!(text, "help: {help}");
    }
    text
}
