//! Errors of starting an engine, loading a function and calling it.
//!
//! Each failure is a variant; no code recognises one by its text. Only [`CallError::of`] maps
//! wasmtime's errors.

use std::path::PathBuf;
use std::time::Duration;

use wasmtime::{PoolConcurrencyLimitError, Trap};
use wasmtime_wasi::I32Exit;

use crate::kind::Kind;
use crate::trap_cause::TrapCause;

/// Reasons why an [`crate::Engine`] could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The folder of compiled modules cannot be used.
    #[error("the cache folder {} cannot be used", path.display())]
    Cache {
        /// The folder, or the file in it.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The cache's key file does not hold a key.
    #[error("{} is not a cache key; remove it, and modules are compiled again", path.display())]
    CacheKey {
        /// The key file.
        path: PathBuf,
    },
    /// wasmtime refused the configuration or could not reserve its memory.
    #[error("the WebAssembly engine did not start: {0}")]
    Wasmtime(String),
    /// The operating system refused a thread.
    #[error("no thread for the deadline clock")]
    Thread(#[source] std::io::Error),
}

/// Reasons why a function could not be loaded.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("{} cannot be read: {message}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        message: String,
    },
    /// The artifact is larger than `limits.artifact`.
    #[error("{size} bytes, and limits.artifact allows {limit}")]
    ArtifactSize {
        /// Bytes that were read, which may be fewer than the artifact has.
        size: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// The bytes are not WebAssembly, or not valid.
    #[error("not WebAssembly: {0}")]
    NotWasm(String),
    /// The bytes are compiled code; the engine loads only WebAssembly.
    #[error("compiled native code, which is never loaded; give the .wasm that it was made from")]
    Precompiled,
    /// Valid WebAssembly with a feature that the engine does not have.
    #[error("WebAssembly with a feature that this host does not run: {0}")]
    Unsupported(String),
    /// A core module without `_start`.
    #[error(
        "a core module without an exported function _start, so there is nothing to run; it exports {}",
        listed(exports)
    )]
    NoStart {
        /// The names of its exports.
        exports: Vec<String>,
    },
    /// A component that exports neither an HTTP handler nor a command.
    #[error(
        "a component that exports neither wasi:http/incoming-handler, wasi:http/handler nor wasi:cli/run; it exports {}",
        listed(exports)
    )]
    NoEntry {
        /// The names of its exported instances.
        exports: Vec<String>,
    },
    /// The function's `http` setting does not fit the kind of the file.
    #[error("{kind} cannot answer HTTP requests as it is; {advice}")]
    WrongKind {
        /// The kind of the file.
        kind: Kind,
        /// The change that fixes it.
        advice: &'static str,
    },
    /// Imports that this host lacks.
    #[error("imports that this host lacks: {}", names.join(", "))]
    MissingImports {
        /// The names: interfaces as a component writes them, or `MODULE NAME` of a core module's import.
        names: Vec<String>,
    },
    /// The compiler rejected the module.
    #[error("compilation failed: {0}")]
    Compile(String),
    /// The compiler used up its processor time.
    #[error(
        "compilation took more than the {limit:?} of processor time that limits.compileTime allows"
    )]
    CompileTime {
        /// The limit.
        limit: Duration,
    },
    /// The compiler used up its memory, or was ended by a signal.
    #[error(
        "the compiler was ended by signal {signal}; limits.compileMemory allows it {limit} bytes"
    )]
    CompileKilled {
        /// The signal that ended it.
        signal: i32,
        /// Bytes allowed.
        limit: u64,
    },
    /// The compiler's process could not be started, written to or read from.
    #[error("the compiler's process failed: {0}")]
    Compiler(String),
    /// A file of the cache folder cannot be read or written.
    #[error("the cache file {} cannot be written: {message}", path.display())]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        message: String,
    },
    /// The engine of this module did not start.
    #[error("{0}")]
    Engine(String),
    /// A file of certificate authorities cannot be used.
    #[error("the certificate authorities in {} cannot be used: {message}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// The reason.
        message: String,
    },
    /// The compiled module does not fit this host.
    #[error("cannot be linked: {0}")]
    Link(String),
}

/// The first names of a list, and the number of the others.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = names.iter().take(SHOWN).map(String::as_str);
    let shown = shown.collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(SHOWN) {
        _ if names.is_empty() => "nothing".to_owned(),
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}

/// Memory that an instance did not get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefusedGrowth {
    /// The limits of an instance do not allow it.
    Instance,
    /// `limits.totalMemory` is used up.
    Total {
        /// That limit, in bytes.
        limit: u64,
    },
    /// The budget of the process is used up.
    Process,
}

/// Reasons why a call did not end in a response.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The deadline passed.
    #[error("no answer within {limit:?}")]
    Deadline {
        /// `limits.timeout`.
        limit: Duration,
    },
    /// The deadline passed while outbound calls waited for a free connection.
    #[error(
        "no answer within {limit:?}, and outbound calls waited for one of the {connections} \
         connections that limits.outboundConnections allows"
    )]
    OutboundConnections {
        /// `limits.timeout`.
        limit: Duration,
        /// `limits.outboundConnections`.
        connections: u32,
    },
    /// The guest used up its processor time.
    #[error("more than {limit:?} of processor time")]
    ProcessorTime {
        /// `limits.processorTime`.
        limit: Duration,
    },
    /// The guest trapped.
    #[error("{message}")]
    Trap {
        /// The kind of trap.
        cause: TrapCause,
        /// wasmtime's description with the guest's stack.
        message: String,
    },
    /// The guest called `exit` instead of responding.
    #[error("the guest exited with code {0} instead of answering")]
    Exit(i32),
    /// The guest ended without a response.
    #[error("the guest ended without an answer")]
    NoResponse,
    /// The guest responded with a wasi:http error code.
    #[error("the guest answered with the error {0}")]
    Guest(String),
    /// A command's output was not a CGI response.
    #[error("the command's output is not a CGI answer: {0}")]
    Cgi(&'static str),
    /// The response's body broke off.
    #[error("the answer's body broke off: {0}")]
    Body(String),
    /// The instances of the function use all the memory that they may have together.
    #[error("the function's instances use the {limit} bytes that limits.totalMemory allows them")]
    TotalMemory {
        /// `limits.totalMemory`, in bytes.
        limit: u64,
    },
    /// The instances of the process use its memory, and this function more than an equal part of it.
    #[error("the memory for instances is used up, and this function uses more than an equal part")]
    ProcessMemory,
    /// The deadline passed before a processor was free for the guest, which has not begun.
    #[error("no processor was free within {limit:?}")]
    Processors {
        /// `limits.timeout`.
        limit: Duration,
    },
    /// Every instance of the pool is taken.
    #[error("every instance of the pool is taken")]
    Instances,
    /// This kind of module cannot be called this way.
    #[error("a {0} cannot be called this way")]
    WrongKind(Kind),
    /// The module was unloaded while idle and could not be loaded again.
    #[error("the module could not be loaded again")]
    Reload(#[source] LoadError),
    /// The process stopped before the guest had ended.
    #[error("the process stopped before the function had ended")]
    Stopped,
    /// The host failed.
    #[error("{0}")]
    Host(String),
}

impl CallError {
    /// The failure as a metric label.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Deadline { .. } => "deadline",
            Self::OutboundConnections { .. } => "outbound_connections",
            Self::ProcessorTime { .. } => "processor_time",
            Self::Trap { cause, .. } => cause.as_str(),
            Self::Exit(_) => "exit",
            Self::NoResponse => "no_response",
            Self::Guest(_) => "guest_error",
            Self::Cgi(_) => "cgi",
            Self::Body(_) => "body",
            Self::TotalMemory { .. } => "total_memory",
            Self::ProcessMemory => "process_memory",
            Self::Processors { .. } => "processors",
            Self::Instances => "instances",
            Self::WrongKind(_) => "wrong_kind",
            Self::Reload(_) => "reload",
            Self::Stopped => "stopped",
            Self::Host(_) => "host",
        }
    }

    /// Maps an error of wasmtime or its host functions. `refused` is a growth that failed before,
    /// which is then the cause of an otherwise unspecific trap.
    pub(crate) fn of(error: wasmtime::Error, refused: Option<RefusedGrowth>) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(own) => return own,
            Err(error) => error,
        };
        if let Some(exit) = error.downcast_ref::<I32Exit>() {
            return Self::Exit(exit.0);
        }
        if error.is::<PoolConcurrencyLimitError>() {
            return Self::Instances;
        }
        match refused {
            Some(RefusedGrowth::Total { limit }) => return Self::TotalMemory { limit },
            Some(RefusedGrowth::Process) => return Self::ProcessMemory,
            Some(RefusedGrowth::Instance) | None => {}
        }
        let cause = if refused.is_some() {
            TrapCause::OutOfMemory
        } else if let Some(trap) = error.downcast_ref::<Trap>() {
            TrapCause::of(*trap)
        } else if error.is::<wasmtime::component::ResourceTableError>()
            || error.is::<wasmtime_wasi_http::FieldMapError>()
        {
            TrapCause::Resources
        } else {
            TrapCause::Other
        };
        Self::Trap {
            cause,
            message: format!("{error:#}"),
        }
    }
}

/// Reasons why reading a request's body failed. The guest receives wasi:http's own error code.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RequestBodyError {
    /// More bytes than `limits.requestBody`.
    #[error("the request's body is larger than the {limit} bytes allowed")]
    TooLarge {
        /// Bytes allowed.
        limit: u64,
    },
    /// No byte arrived within the time limit.
    #[error("the request's body stalled")]
    Stalled,
    /// The client's connection failed.
    #[error("the request's body broke off: {0}")]
    Broken(String),
}

impl From<RequestBodyError> for wasmtime_wasi_http::Error {
    fn from(error: RequestBodyError) -> Self {
        match error {
            RequestBodyError::TooLarge { limit } => Self::HttpRequestBodySize(Some(limit)),
            RequestBodyError::Stalled => Self::ConnectionReadTimeout,
            RequestBodyError::Broken(message) => Self::InternalError(Some(message)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::listed;

    #[test]
    fn long_lists_of_names_are_shortened() {
        let check = |count: usize, expected: &str| {
            let names: Vec<_> = (1..=count).map(|number| number.to_string()).collect();
            assert_eq!(listed(&names), expected);
        };
        check(0, "nothing");
        check(1, "1");
        check(8, "1, 2, 3, 4, 5, 6, 7, 8");
        check(10, "1, 2, 3, 4, 5, 6, 7, 8 and 2 more");
    }
}
