//! Why an engine does not start, a function does not load and a call does not succeed.
//!
//! Each failure is a variant; nothing here or elsewhere recognises one by its text. [`CallError::of`]
//! is the one place that maps wasmtime's errors.

use std::path::PathBuf;
use std::time::Duration;

use wasmtime::{PoolConcurrencyLimitError, Trap};
use wasmtime_wasi::I32Exit;

use crate::kind::Kind;

/// Why an [`crate::Engine`] could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The folder of compiled modules cannot be used.
    #[error("the cache folder {} cannot be used", path.display())]
    Cache {
        /// The folder, or the file in it.
        path: PathBuf,
        /// What the operating system said.
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

/// Why a function could not be loaded.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("{} cannot be read: {message}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        message: String,
    },
    /// The artifact is larger than `limits.artifact`.
    #[error("{size} bytes, and limits.artifact allows {limit}")]
    ArtifactSize {
        /// Bytes of the artifact, as far as they were read.
        size: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// The bytes are not WebAssembly, or not valid.
    #[error("not WebAssembly: {0}")]
    NotWasm(String),
    /// The bytes are compiled code; only WebAssembly is taken.
    #[error("compiled native code, which is never loaded; give the .wasm that it was made from")]
    Precompiled,
    /// A core module without `_start`.
    #[error("a core module without an exported function _start, so there is nothing to run")]
    NoStart,
    /// A component that exports neither an HTTP handler nor a command.
    #[error(
        "a component that exports neither wasi:http/incoming-handler, wasi:http/handler nor wasi:cli/run"
    )]
    NoEntry,
    /// The function's way of answering does not fit what the file is.
    #[error("{kind} cannot answer HTTP requests as it is; {advice}")]
    WrongKind {
        /// What the file is.
        kind: Kind,
        /// What to do.
        advice: &'static str,
    },
    /// Imports that this host does not have.
    #[error("imports that this host lacks: {}", names.join(", "))]
    MissingImports {
        /// The names as the component writes them.
        names: Vec<String>,
    },
    /// The compiler refused it.
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
    /// The compiler's process could not be started or talked to.
    #[error("the compiler's process failed: {0}")]
    Compiler(String),
    /// The cache folder failed.
    #[error("the cache file {} cannot be written: {message}", path.display())]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        message: String,
    },
    /// The engine of this module did not start.
    #[error("{0}")]
    Engine(String),
    /// The compiled module does not fit this host.
    #[error("cannot be linked: {0}")]
    Link(String),
}

/// What made a guest trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrapCause {
    /// `unreachable`, which is how a panic or an abort ends.
    Unreachable,
    /// The stack was exhausted.
    StackOverflow,
    /// An access outside linear memory.
    MemoryOutOfBounds,
    /// A failed growth of memory or tables was followed by a trap.
    OutOfMemory,
    /// Integer overflow, division by zero or a failed conversion.
    Arithmetic,
    /// A call through a table to nothing, or to a function of another type.
    IndirectCall,
    /// The guest holds as many handles or header bytes as it may.
    Resources,
    /// Anything else that WebAssembly or the host calls a trap.
    Other,
}

impl TrapCause {
    /// The cause's name as a metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "trap_unreachable",
            Self::StackOverflow => "trap_stack_overflow",
            Self::MemoryOutOfBounds => "trap_memory_out_of_bounds",
            Self::OutOfMemory => "trap_out_of_memory",
            Self::Arithmetic => "trap_arithmetic",
            Self::IndirectCall => "trap_indirect_call",
            Self::Resources => "trap_resources",
            Self::Other => "trap_other",
        }
    }

    fn of(trap: Trap) -> Self {
        match trap {
            Trap::UnreachableCodeReached => Self::Unreachable,
            Trap::StackOverflow => Self::StackOverflow,
            Trap::MemoryOutOfBounds | Trap::HeapMisaligned | Trap::ArrayOutOfBounds => {
                Self::MemoryOutOfBounds
            }
            Trap::AllocationTooLarge => Self::OutOfMemory,
            Trap::IntegerOverflow | Trap::IntegerDivisionByZero | Trap::BadConversionToInteger => {
                Self::Arithmetic
            }
            Trap::TableOutOfBounds | Trap::IndirectCallToNull | Trap::BadSignature => {
                Self::IndirectCall
            }
            _ => Self::Other,
        }
    }
}

/// Why a call did not end in an answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The deadline passed.
    #[error("no answer within {limit:?}")]
    Deadline {
        /// `limits.timeout`.
        limit: Duration,
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
        /// What kind of trap.
        cause: TrapCause,
        /// wasmtime's description with the guest's stack.
        message: String,
    },
    /// The guest called `exit` instead of answering.
    #[error("the guest exited with code {0} instead of answering")]
    Exit(i32),
    /// The guest ended without an answer.
    #[error("the guest ended without an answer")]
    NoResponse,
    /// The guest answered with an error code of wasi:http.
    #[error("the guest answered with the error {0}")]
    Guest(String),
    /// A command's output was not a CGI answer.
    #[error("the command's output is not a CGI answer: {0}")]
    Cgi(&'static str),
    /// The answer's body broke off.
    #[error("the answer's body broke off: {0}")]
    Body(String),
    /// Every instance of the pool is taken.
    #[error("every instance of the pool is taken")]
    Instances,
    /// This kind of module cannot be called this way.
    #[error("a {0} cannot be called this way")]
    WrongKind(Kind),
    /// The module was put aside while idle and could not be loaded again.
    #[error("the module could not be loaded again")]
    Reload(#[source] LoadError),
    /// The host failed.
    #[error("{0}")]
    Host(String),
}

impl CallError {
    /// The failure's name as a metric's label.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Deadline { .. } => "deadline",
            Self::ProcessorTime { .. } => "processor_time",
            Self::Trap { cause, .. } => cause.as_str(),
            Self::Exit(_) => "exit",
            Self::NoResponse => "no_response",
            Self::Guest(_) => "guest_error",
            Self::Cgi(_) => "cgi",
            Self::Body(_) => "body",
            Self::Instances => "instances",
            Self::WrongKind(_) => "wrong_kind",
            Self::Reload(_) => "reload",
            Self::Host(_) => "host",
        }
    }

    /// Maps what wasmtime or its hosts returned; `out_of_memory` tells that a growth was refused
    /// before, which names the cause of an otherwise meaningless trap.
    pub(crate) fn of(error: wasmtime::Error, out_of_memory: bool) -> Self {
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
        let cause = if out_of_memory {
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

/// Why a request's body cannot be read on; what the guest then sees is wasi:http's own error code.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RequestBodyError {
    /// More bytes than `limits.requestBody`.
    #[error("the request's body is larger than the {limit} bytes allowed")]
    TooLarge {
        /// Bytes allowed.
        limit: u64,
    },
    /// Nothing arrived for too long.
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
