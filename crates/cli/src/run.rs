//! `sampan run`: runs a WASI command with this terminal's streams.
//!
//! HTTP handlers are rejected before anything is compiled. The command gets no environment, folders
//! or network other than those given.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use sampan_engine::{CommandIo, LoadError, Observer, OutboundFailure, RequestId, Wasm};
use sampan_spec::{Function, FunctionName, HttpMode};
use tokio::runtime;

use crate::arguments::Run;
use crate::data::engine;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::sanitize::one_line;
use crate::source::{Origin, Source};
use crate::values::Folder;

/// Instances of the pool: one command has one instance, and few commands more than one memory.
const MAX_INSTANCES: u32 = 16;

/// Runs a command and returns its exit code.
pub(crate) fn run(arguments: Run) -> Result<ExitCode, Failure> {
    let Run {
        file,
        environment,
        folders,
        timeout,
        data,
        arguments,
    } = arguments;
    let source = source(&file)?;
    let (mut function, wasm) = (source.resolved(), source.wasm);
    check_file(&wasm)?;
    for folder in &folders {
        check_folder(&folder.host)?;
    }
    let described = Arc::make_mut(&mut function);
    // In this mode the engine rejects HTTP handlers, before it compiles.
    described.http = Some(HttpMode::Cgi);
    set_all(&mut described.environment, environment);

    let engine = engine(&data.resolve()?, Some(MAX_INSTANCES))?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::system("no runtime for the command", &error))?;
    let code = runtime.block_on(async {
        let loaded = engine
            .load(function, Wasm::File(wasm.clone()), Arc::new(RunObserver))
            .await
            .map_err(|error| refuse(&wasm, &error))?;
        let mut io = CommandIo::default().inherit();
        io.arguments = arguments;
        io.timeout = timeout;
        for Folder {
            host,
            guest,
            writable,
        } in folders
        {
            io = io.folder(host, guest, writable);
        }
        loaded
            .run(io)
            .await
            .map_err(|error| Failure::call(&wasm, &error))
    });
    // A thread may still wait for input that is not needed any more.
    runtime.shutdown_background();
    Ok(ExitCode::from(exit_code(code?)))
}

/// Writes the causes of failed outbound calls to standard error. The command gets a code only.
struct RunObserver;

impl Observer for RunObserver {
    fn outbound_failed(&self, failure: &OutboundFailure<'_>, _request_id: Option<&RequestId>) {
        let OutboundFailure {
            scheme,
            host,
            port,
            reason,
            left_out,
            ..
        } = failure;
        let more = match left_out {
            0 => String::new(),
            count => format!(" ({count} more since the last warning)"),
        };
        let text = format!("outbound call to {scheme}://{host}:{port} failed: {reason}{more}");
        // There is no other output for a failure of this write.
        let _ = writeln!(std::io::stderr(), "warning: {}", one_line(&text));
    }
}

/// The function to run: one with a `function.yaml`, or any .wasm.
fn source(file: &Path) -> Result<Source, Failure> {
    let origin = Origin::of_file(file.to_owned());
    match &origin {
        Origin::Described(_) => origin.read(),
        Origin::Bare(path) => {
            // Only the command sees the name, as its zeroth argument. A file name that is not a
            // function name is therefore no reason to fail.
            let name = FunctionName::from_file_stem(&origin.default_name())
                .or_else(|_| "command".parse())
                .map_err(|error| Failure::system("no name for the command", &error))?;
            Ok(Source {
                function: Arc::new(Function::bare(name)),
                wasm: path.clone(),
                authorities: Vec::new(),
            })
        }
    }
}

fn check_file(path: &Path) -> Result<(), Failure> {
    let metadata = path
        .metadata()
        .map_err(|error| Failure::read(path, &error))?;
    if metadata.is_dir() {
        return Err(Failure::read(
            path,
            &std::io::ErrorKind::IsADirectory.into(),
        ));
    }
    Ok(())
}

fn check_folder(path: &Path) -> Result<(), Failure> {
    let metadata = path
        .metadata()
        .map_err(|error| Failure::read(path, &error))?;
    if metadata.is_dir() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Missing,
        format!("{} is not a folder", path.display()),
        "give --dir the folder that the file is in",
    ))
}

/// The failure of a file that is not run; for an HTTP handler, the advice names `sampan up`.
fn refuse(wasm: &Path, error: &LoadError) -> Failure {
    let LoadError::WrongKind { kind, .. } = error else {
        return Failure::load(wasm, error);
    };
    let shown = wasm.display();
    Failure::new(
        Exit::NotRunnable,
        format!("{shown} is {kind}, not a command"),
        format!("serve it: sampan up {shown}"),
    )
}

/// Sets variables; an existing one gets the new value.
fn set_all(environment: &mut Vec<(String, String)>, variables: Vec<(String, String)>) {
    for (name, value) in variables {
        match environment.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => environment.push((name, value)),
        }
    }
}

/// The part of an exit code that the system keeps. A failure stays one: 256 does not become 0.
fn exit_code(code: i32) -> u8 {
    let [low, ..] = code.to_le_bytes();
    if low == 0 && code != 0 { 1 } else { low }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_keep_their_low_byte_but_never_become_success() {
        let check = |code, expected| assert_eq!(exit_code(code), expected, "{code}");
        check(0, 0);
        check(1, 1);
        check(255, 255);
        check(256, 1);
        check(257, 1);
        check(-1, 255);
        check(i32::MIN, 1);
    }

    #[test]
    fn variables_replace_those_of_the_description() {
        let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let mut environment = Vec::from([("A", "1"), ("B", "2")].map(pair));
        set_all(
            &mut environment,
            Vec::from([("B", "3"), ("C", "4"), ("C", "5")].map(pair)),
        );
        assert_eq!(environment, [("A", "1"), ("B", "3"), ("C", "5")].map(pair));
    }
}
