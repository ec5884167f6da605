//! Writes to standard output without a panic on a closed pipe, unlike `println!`.

use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::process::ExitCode;

use serde::Serialize;

use crate::exit::Exit;
use crate::failure::Failure;

/// Writes a text. A closed pipe is not a failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    print_part(text.as_bytes()).map(drop)
}

/// Writes a part of the output. Returns whether the reader is still there.
pub(crate) fn print_part(bytes: &[u8]) -> Result<ControlFlow<()>, Failure> {
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

/// Writes the whole output of a command.
pub(crate) fn finish(text: &str) -> Result<ExitCode, Failure> {
    print(text).map(|()| Exit::Success.into())
}

/// Formats a value as indented JSON with a line end.
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
