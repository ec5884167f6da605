//! `sampan convert`: converts a `WasmApp` to a `WasmFunction`.

use std::process::ExitCode;

use sampan_crd::wasmapp::{self, ConvertError};
use sampan_spec::MAX_FILE_BYTES;

use crate::arguments::Convert;
use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::output::finish;
use crate::sanitize::one_line;
use crate::source::read_bytes;
use crate::terminal::Style;

/// Prints the `WasmFunction`. Differences from the `WasmApp` go to standard error.
pub(crate) fn convert(arguments: &Convert) -> Result<ExitCode, Failure> {
    let file = &arguments.file;
    let most = MAX_FILE_BYTES as u64;
    let bytes = read_bytes(file, most).map_err(|error| Failure::read(file, &error))?;
    let refused = |message: String, help: &str| {
        Failure::new(
            Exit::FunctionFile,
            format!("{}: {message}", file.display()),
            help,
        )
    };
    if bytes.len() as u64 > most {
        return Err(refused(
            format!("more than {most} bytes"),
            "a WasmApp is a few lines",
        ));
    }
    let text = String::from_utf8(bytes)
        .map_err(|error| refused(error.to_string(), "write it in UTF-8"))?;
    let converted = wasmapp::convert(&text).map_err(|error| {
        let help = match &error {
            ConvertError::Yaml(_) => "convert one resource at a time, without --- between several",
            ConvertError::Kind(_) => "a WasmFunction needs no conversion",
            _ => "docs/guide/wasmapp.md has every field",
        };
        refused(chain(&error), help)
    })?;
    let yaml = serde_saphyr::to_string(&converted.function).map_err(|error| {
        Failure::new(
            Exit::Unexpected,
            chain(&error),
            "please report it with the file",
        )
    })?;
    let style = Style::of(&std::io::stderr());
    for note in &converted.notes {
        eprintln!("{} {}", style.advice("note:"), one_line(note));
    }
    finish(&yaml)
}
