//! The compiler's process: reads WebAssembly from standard input and writes compiled code to
//! standard output.
//!
//! It limits its own resources first. It holds no environment variables, no files and no network
//! connections.

use std::io::{Read, Write};
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, setrlimit};

use super::compiler::{REFUSED, UNSUPPORTED};
use super::config;
use super::features::{self, Rejection};
use super::flavour::Flavour;

/// Runs as the compiler. The arguments are `sequential|concurrent`, `component|module`, seconds of
/// processor time and bytes of memory.
///
/// The program of [`crate::CompileCommand`] calls this with the arguments after its own.
#[must_use]
pub fn main(arguments: &[String]) -> ExitCode {
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Refused(message)) => {
            eprintln!("{message}");
            ExitCode::from(REFUSED)
        }
        Err(Failure::Unsupported(message)) => {
            eprintln!("{message}");
            ExitCode::from(UNSUPPORTED)
        }
        Err(Failure::Setup(message)) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

enum Failure {
    Setup(String),
    Refused(String),
    Unsupported(String),
}

fn run(arguments: &[String]) -> Result<(), Failure> {
    let setup = |message: &str| Failure::Setup(message.to_owned());
    let [flavour, shape, seconds, bytes] = arguments else {
        return Err(setup(
            "the compiler is started by sampan itself, not by hand",
        ));
    };
    let flavour = match flavour.as_str() {
        "sequential" => Flavour::Sequential,
        "concurrent" => Flavour::Concurrent,
        _ => return Err(setup("unknown engine")),
    };
    let seconds: u64 = seconds
        .parse()
        .map_err(|_| setup("the time limit is not a number"))?;
    let bytes: u64 = bytes
        .parse()
        .map_err(|_| setup("the memory limit is not a number"))?;
    // The threads start before memory is limited. wasmtime would start them later, one for each
    // processor, and panic if one finds no memory for its stack.
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads())
        .build_global()
        .map_err(|error| setup(&format!("no threads to compile with: {error}")))?;
    // The kernel sends SIGXCPU at the lower limit, by which the parent recognises the cause, and
    // SIGKILL at the upper one.
    limit(Resource::Cpu, seconds, seconds.saturating_add(1))?;
    // Limits writable memory as Linux counts it. This leaves out the program itself and addresses
    // that allocators only reserve.
    limit(Resource::Data, bytes, bytes)?;
    limit(Resource::Core, 0, 0)?;

    let mut wasm = Vec::new();
    std::io::stdin()
        .lock()
        .read_to_end(&mut wasm)
        .map_err(|error| setup(&error.to_string()))?;
    let engine = wasmtime::Engine::new(&config::compiler(flavour))
        .map_err(|error| setup(&format!("{error:#}")))?;
    let compiled = match shape.as_str() {
        "component" => engine.precompile_component(&wasm),
        "module" => engine.precompile_module(&wasm),
        _ => return Err(setup("neither component nor module")),
    }
    .map_err(|error| match features::validate(&wasm, flavour) {
        Err(Rejection::Feature(message)) => Failure::Unsupported(message),
        Ok(()) | Err(Rejection::Invalid(_)) => Failure::Refused(format!("{error:#}")),
    })?;
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(&compiled)
        .and_then(|()| stdout.flush())
        .map_err(|error| setup(&error.to_string()))
}

/// Threads of one compilation. Their stacks count as its memory, so a machine with many processors
/// uses only a few.
fn threads() -> usize {
    const MAX_THREADS: usize = 4;
    std::thread::available_parallelism().map_or(1, |processors| processors.get().min(MAX_THREADS))
}

fn limit(resource: Resource, soft: u64, hard: u64) -> Result<(), Failure> {
    // A limit inherited from the parent may already be lower and cannot be raised.
    let inherited = rustix::process::getrlimit(resource)
        .maximum
        .unwrap_or(u64::MAX);
    let limits = Rlimit {
        current: Some(soft.min(inherited)),
        maximum: Some(hard.min(inherited)),
    };
    setrlimit(resource, limits)
        .map_err(|error| Failure::Setup(format!("cannot limit {resource:?}: {error}")))
}
