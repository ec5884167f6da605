//! The front end of the native programs: HTTP/1.1 with kept connections and cleartext HTTP/2, until
//! a signal.
//!
//! The components are measured against it, so it does no unnecessary work for a request.

mod options;
mod outbound;
mod server;

use std::io::Write as _;
use std::process::ExitCode;

use crate::Function;
use options::Options;

/// Runs the native program of `function`.
pub fn main(name: &str, function: &'static impl Function) -> ExitCode {
    let options = match Options::from_environment() {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", options::help(name));
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{name}: {error}\n\n{}", options::help(name));
            return ExitCode::from(2);
        }
    };
    match server::run(&options, function, |address| {
        // stderr may be closed; the server must run anyway.
        let _ = writeln!(std::io::stderr(), "{name} listens on http://{address}");
    }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}
