//! The program `sampan-backends`: the services behind two of the functions, for whoever is not Rust.
//!
//! It owns the command line and the signals; what is started, and how, is the library's.

mod arguments;
mod until;

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
    let runtime = tokio::runtime::Runtime::new().map_err(|error| told(&error, None))?;
    runtime.block_on(async {
        // Listened for before anything is started, so that an early signal stops all of it as well.
        let mut until =
            until::Until::new(serve.until_stdin_closes).map_err(|error| told(&error, None))?;
        let started = tokio::select! {
            started = Backends::start(serve.options()) => started,
            () = until.end() => return Ok(()),
        };
        let backends = started.map_err(|error: StartError| told(&error, Some(error.help())))?;
        say(serve, &backends).map_err(|error| told(&error, None))?;
        until.end().await;
        backends.stop().await;
        Ok(())
    })
}

fn run_text() -> Result<(), String> {
    let cache = cache_folder().map_err(|error| told(&error, None))?;
    let file = obtain_hamlet(&cache).map_err(|error| told(&error, Some(error.help())))?;
    writeln!(io::stdout(), "{}", file.display()).map_err(|error| told(&error, None))
}

/// Says what listens where: for programs one line of JSON on stdout, for people lines on stderr.
fn say(serve: &Serve, backends: &Backends) -> io::Result<()> {
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

/// One line with the whole chain of causes, and one with what to do.
fn told(error: &dyn Error, help: Option<&str>) -> String {
    let mut told = format!("error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a string cannot fail.
        let _written = write!(told, ": {error}");
        cause = error.source();
    }
    told.push('\n');
    if let Some(help) = help {
        let _written = writeln!(told, "help: {help}");
    }
    told
}
