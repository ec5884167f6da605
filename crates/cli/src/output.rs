//! Writing to standard output.
//!
//! Refuses to panic over a reader that has gone, as `println!` would.

use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::process::ExitCode;

use serde::Serialize;

use crate::exit::Exit;
use crate::failure::Failure;

/// Writes a text. A reader that has seen enough and closed the pipe is not a failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    print_on(text.as_bytes()).map(drop)
}

/// Writes one part of many. The answer tells whether anybody still reads.
pub(crate) fn print_on(bytes: &[u8]) -> Result<ControlFlow<()>, Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        Err(error) => Err(Failure::new(
            Exit::Unexpected,
            format!("standard output cannot be written: {error}"),
            "check where it leads to",
        )),
    }
}

/// Writes a text as all that a command has to say.
pub(crate) fn finish(text: &str) -> Result<ExitCode, Failure> {
    print(text).map(|()| Exit::Success.into())
}

/// A value as indented JSON with an end of line.
pub(crate) fn pretty_json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .map_err(|error| {
            Failure::new(
                Exit::Unexpected,
                format!("the answer cannot be written as JSON: {error}"),
                "report this as a bug",
            )
        })
}
