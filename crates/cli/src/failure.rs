//! Failures of the program: a message, advice and an exit code, made from the errors of other
//! crates.
//!
//! This is the only place for that mapping. It recognises no error by its text. A chain of causes
//! becomes one line.

mod cluster;
mod registry;

use std::error::Error;
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;

use sampan_engine::{CallError, EngineError, InspectError, LoadError, TrapCause};
use sampan_runner::BindError;
use sampan_spec::FileError;

use crate::exit::Exit;
use crate::sanitize::one_line;
use crate::terminal::Style;

pub(crate) use cluster::RequestContext;

/// A failure for the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    /// The failure and its subject, in one line that is safe to print.
    pub(crate) message: String,
    /// Advice, in one line that is safe to print.
    pub(crate) help: String,
    /// The exit code, if this failure ends the program.
    pub(crate) exit: Exit,
}

impl Failure {
    /// Makes a failure. Both texts may contain foreign text and are escaped.
    pub(crate) fn new(exit: Exit, message: impl AsRef<str>, help: impl AsRef<str>) -> Self {
        Self {
            message: one_line(message.as_ref()),
            help: one_line(help.as_ref()),
            exit,
        }
    }

    /// Writes both lines to standard error.
    pub(crate) fn show(&self) {
        let style = Style::of(&io::stderr());
        let text = format!(
            "{} {}\n{}  {}\n",
            style.bad("error:"),
            self.message,
            style.advice("help:"),
            self.help
        );
        // There is no other output for a failure of this write; the exit code remains.
        let _ = io::stderr().write_all(text.as_bytes());
    }

    /// A file or folder that cannot be read.
    pub(crate) fn read(path: &Path, error: &io::Error) -> Self {
        let shown = path.display();
        let (message, help) = match error.kind() {
            ErrorKind::NotFound => (
                format!("{shown} is not there"),
                "check the path, which is taken from the current folder".to_owned(),
            ),
            ErrorKind::PermissionDenied => (
                format!("{shown} cannot be read: permission denied"),
                "make it readable for the user that runs sampan".to_owned(),
            ),
            ErrorKind::IsADirectory => (
                format!("{shown} is a folder"),
                "name a file in it; only `sampan up` takes folders".to_owned(),
            ),
            _ => (
                format!("{shown} cannot be read: {error}"),
                "check the file and the disk that it is on".to_owned(),
            ),
        };
        Self::new(Exit::Missing, message, help)
    }

    /// A mistake in a `function.yaml`.
    pub(crate) fn function_file(error: &FileError) -> Self {
        let help = match error.help() {
            Some(help) => help.to_owned(),
            None => "`sampan schema` prints every key and what it takes".to_owned(),
        };
        Self::new(Exit::FunctionFile, error.to_string(), help)
    }

    /// An engine that did not start.
    pub(crate) fn engine(error: &EngineError) -> Self {
        let message = chain(error);
        match error {
            EngineError::Cache { source, .. } => Self::new(
                Exit::Data,
                message,
                advice_on_folder(Some(source.kind()), "--data FOLDER"),
            ),
            EngineError::CacheKey { .. } => {
                Self::new(Exit::Data, message, "or choose another folder with --data")
            }
            EngineError::Wasmtime(_) => Self::new(
                Exit::Unexpected,
                message,
                "it reserves terabytes of addresses (not memory): lift `ulimit -v`, if one is set",
            ),
            EngineError::Thread(_) => Self::new(
                Exit::Unexpected,
                message,
                "raise the limit of processes and threads (`ulimit -u`)",
            ),
        }
    }

    /// WebAssembly that could not be loaded.
    pub(crate) fn load(file: &Path, error: &LoadError) -> Self {
        let message = format!("{}: {}", file.display(), chain(error));
        match error {
            // The message already contains the path.
            LoadError::Read { .. } => Self::new(
                Exit::Missing,
                chain(error),
                "check that the file is there and readable",
            ),
            LoadError::Cache { .. } => Self::new(
                Exit::Data,
                format!("{}: {}", file.display(), chain(error)),
                advice_on_folder(None, "--data FOLDER"),
            ),
            LoadError::ArtifactSize { .. } => Self::new(
                Exit::Wasm,
                message,
                "raise limits.artifact in a function.yaml beside it, if it is meant to be that large",
            ),
            LoadError::NotWasm(_) => Self::new(
                Exit::Wasm,
                message,
                "build it again: for Rust, `cargo build --release --target wasm32-wasip2`",
            ),
            LoadError::Precompiled => Self::new(
                Exit::Wasm,
                message,
                "sampan compiles by itself and remembers the result",
            ),
            LoadError::Compile(_) => Self::new(
                Exit::Wasm,
                message,
                "build it again with a current toolchain; `sampan inspect` shows what is in it",
            ),
            LoadError::CompileTime { .. } => Self::new(
                Exit::Wasm,
                message,
                "raise limits.compileTime in its function.yaml, if you trust the file",
            ),
            LoadError::CompileKilled { .. } => Self::new(
                Exit::Wasm,
                message,
                "raise limits.compileMemory in its function.yaml, if you trust the file",
            ),
            LoadError::Unsupported(_) => Self::new(
                Exit::NotRunnable,
                message,
                "build it without this proposal of WebAssembly",
            ),
            LoadError::NoStart { .. } => Self::new(
                Exit::NotRunnable,
                message,
                "build a program (with a main function) or a component, not a library; Kotlin makes a _start from 2.4 on",
            ),
            LoadError::NoEntry { .. } => Self::new(
                Exit::NotRunnable,
                message,
                "export one of the three; `sampan new` makes a function that does",
            ),
            LoadError::WrongKind { .. } => Self::new(
                Exit::NotRunnable,
                message,
                "`sampan inspect` shows what the file is",
            ),
            LoadError::MissingImports { .. } => Self::new(
                Exit::NotRunnable,
                message,
                "build it for wasm32-wasip2 with WASI and wasi:http only; `sampan inspect` lists what it imports",
            ),
            LoadError::Authorities { .. } => Self::new(
                Exit::Missing,
                message,
                "name a file with certificates in PEM in outbound.certificateAuthorities of its function.yaml",
            ),
            LoadError::Engine(_) => Self::new(
                Exit::Unexpected,
                message,
                "check that memory is free and that its address space is not limited",
            ),
            LoadError::Link(_) => Self::new(
                Exit::NotRunnable,
                message,
                "build it with a current toolchain; `sampan inspect` lists what it imports",
            ),
            LoadError::Compiler(_) => Self::new(
                Exit::Unexpected,
                message,
                "sampan starts itself to compile: check that processes can be started and memory is free",
            ),
        }
    }

    /// A file that could not be inspected.
    pub(crate) fn inspect(file: &Path, error: &InspectError) -> Self {
        match error {
            InspectError::Load(error) => Self::load(file, error),
            InspectError::Invalid(_) => Self::new(
                Exit::Wasm,
                format!("{}: {}", file.display(), chain(error)),
                "build it again: for Rust, `cargo build --release --target wasm32-wasip2`",
            ),
        }
    }

    /// A command that failed.
    pub(crate) fn call(file: &Path, error: &CallError) -> Self {
        let shown = file.display();
        match error {
            CallError::Trap { cause, message } => {
                let (what, help) = trap(*cause);
                let what = match what {
                    Some(what) => what.to_owned(),
                    None => message.clone(),
                };
                Self::new(Exit::Trap, format!("{shown} trapped: {what}"), help)
            }
            CallError::Deadline { limit } => Self::new(
                Exit::Timeout,
                format!("{shown} was ended after {limit:?}, the time that --timeout gives it"),
                "give it more time, or none to let it run as long as it wants",
            ),
            CallError::OutboundConnections { limit, connections } => Self::new(
                Exit::Timeout,
                format!(
                    "{shown} was ended after {limit:?}, the time that --timeout gives it, while outbound \
                     calls waited for one of its {connections} connections"
                ),
                "let it end each response's body before the next call, or raise \
                 limits.outboundConnections in its function.yaml",
            ),
            CallError::Reload(error) => Self::load(file, error),
            CallError::WrongKind(_) => Self::new(
                Exit::NotRunnable,
                format!("{shown}: {error}"),
                format!("serve it: sampan up {shown}"),
            ),
            _ => Self::new(
                Exit::Unexpected,
                format!("{shown}: {}", chain(error)),
                "check the folders given with --dir and the machine's free memory",
            ),
        }
    }

    /// A push or a pull that failed.
    pub(crate) fn registry(error: &sampan_artifact::Error) -> Self {
        registry::failure(error)
    }

    /// An address that cannot be listened on; `option` is the argument that sets it.
    pub(crate) fn bind(error: &BindError, option: &str) -> Self {
        let help = match error.help() {
            Some(help) => format!("{help} ({option} ADDRESS:PORT)"),
            None => format!("choose another address with {option} ADDRESS:PORT"),
        };
        Self::new(Exit::Address, chain(error), help)
    }

    /// A failure of the operating system that no argument fixes.
    pub(crate) fn system(what: &str, error: &dyn Error) -> Self {
        Self::new(
            Exit::Unexpected,
            format!("{what}: {}", chain(error)),
            "check the limits of processes, threads and open files (`ulimit -a`)",
        )
    }
}

/// Joins an error and its causes to one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Advice for a folder that cannot be written.
pub(crate) fn advice_on_folder(kind: Option<ErrorKind>, option: &str) -> String {
    match kind {
        Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
            format!("free some space, or choose another folder with {option}")
        }
        Some(ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => {
            format!("make it writable for this user, or choose another folder with {option}")
        }
        _ => format!(
            "make sure that it is writable and not full, or choose another folder with {option}"
        ),
    }
}

/// A description of a trap, if there is a better one than the engine's, and advice.
fn trap(cause: TrapCause) -> (Option<&'static str>, &'static str) {
    match cause {
        TrapCause::Unreachable => (
            Some("it reached code that must not be reached, which is how a panic or an abort ends"),
            "see what it printed before",
        ),
        TrapCause::StackOverflow => (
            Some("its stack is exhausted"),
            "look for a recursion without end",
        ),
        TrapCause::MemoryOutOfBounds => (
            Some("it accessed memory that it does not have"),
            "look for a bad pointer or index in its unsafe code",
        ),
        TrapCause::OutOfMemory => (
            Some("it needed more memory than limits.memory allows"),
            "run it by a function.yaml that raises limits.memory",
        ),
        TrapCause::Arithmetic => (
            Some("a division by zero, an overflow or a number that does not fit"),
            "look for the numbers that it computes with",
        ),
        TrapCause::IndirectCall => (
            Some("it called a function pointer that leads nowhere, or to another type"),
            "build all parts of it with one toolchain",
        ),
        TrapCause::Resources => (
            Some("it holds more handles than a guest may"),
            "look for files or streams that it never closes",
        ),
        TrapCause::Other => (None, "see what it printed before"),
    }
}

#[cfg(test)]
mod tests;
