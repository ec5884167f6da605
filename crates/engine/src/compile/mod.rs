//! Compiling, in a child process with limits.
//!
//! The parent sends the WebAssembly bytes over standard input and reads the compiled code from
//! standard output; the child limits its own processor time and memory before it reads a
//! byte, see [`child`]. Two compilations run at once at most, so that a folder of large components
//! leaves the machine usable.

pub(crate) mod child;

use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use sampan_spec::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::Semaphore;

use crate::config::{CompileCommand, Flavour};
use crate::error::LoadError;

/// The child's exit code for WebAssembly that the compiler refuses; the reason is on its standard
/// error.
const REFUSED: u8 = 65;

/// Wall time allowed beyond the processor time: a child that waits for a busy machine is not ended
/// by its own limit.
const WALL_FACTOR: u32 = 10;

pub(crate) struct Compiler {
    command: CompileCommand,
    turns: Semaphore,
}

/// What is compiled.
pub(crate) struct Job<'a> {
    pub(crate) wasm: Bytes,
    pub(crate) flavour: Flavour,
    pub(crate) component: bool,
    pub(crate) limits: &'a Limits,
}

impl Compiler {
    pub(crate) fn new(command: CompileCommand) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            command,
            turns: Semaphore::new(processors),
        }
    }

    /// Compiles in a child.
    ///
    /// # Errors
    ///
    /// [`LoadError::Compile`] when the compiler refuses the bytes, [`LoadError::CompileTime`] and
    /// [`LoadError::CompileKilled`] when a limit ended it, [`LoadError::Compiler`] when the child
    /// could not be run.
    pub(crate) async fn compile(&self, job: Job<'_>) -> Result<Vec<u8>, LoadError> {
        let failed = |error: std::io::Error| LoadError::Compiler(error.to_string());
        let _turn = self
            .turns
            .acquire()
            .await
            .map_err(|_| LoadError::Compiler("closed".into()))?;
        let time = job.limits.compile_time;
        let memory = job.limits.compile_memory.bytes();
        let mut child = Command::new(&self.command.program)
            .args(&self.command.arguments)
            .args([
                job.flavour.as_str(),
                if job.component { "component" } else { "module" },
            ])
            .args([time.as_secs().max(1).to_string(), memory.to_string()])
            // Nothing of the parent's environment is the compiler's business.
            .env_clear()
            .envs(self.command.environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                LoadError::Compiler(format!("{}: {error}", self.command.program.display()))
            })?;
        let mut stdin = child
            .stdin
            .take()
            .ok_or_else(|| LoadError::Compiler("no stdin".into()))?;
        let wasm = job.wasm;
        let feed = async move {
            // A child that ends early breaks the pipe; its exit status says why.
            let _ = stdin.write_all(&wasm).await;
        };
        let mut stdout = child
            .stdout
            .take()
            .ok_or_else(|| LoadError::Compiler("no stdout".into()))?;
        let mut stderr = child
            .stderr
            .take()
            .ok_or_else(|| LoadError::Compiler("no stderr".into()))?;
        let mut compiled = Vec::new();
        let mut message = Vec::new();
        let exchange = async {
            let ((), out, err) = tokio::join!(
                feed,
                stdout.read_to_end(&mut compiled),
                stderr.read_to_end(&mut message),
            );
            out.and(err).map_err(failed)?;
            child.wait().await.map_err(failed)
        };
        let Ok(status) = tokio::time::timeout(wall(time), exchange).await else {
            return Err(LoadError::CompileTime { limit: time });
        };
        verdict(status?, compiled, &message, time, memory)
    }
}

fn wall(time: Duration) -> Duration {
    time.saturating_mul(WALL_FACTOR).max(Duration::from_mins(1))
}

fn verdict(
    status: ExitStatus,
    compiled: Vec<u8>,
    message: &[u8],
    time: Duration,
    memory: u64,
) -> Result<Vec<u8>, LoadError> {
    let message = || String::from_utf8_lossy(message).trim().to_owned();
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(compiled),
        (Some(code), _) if code == i32::from(REFUSED) => Err(LoadError::Compile(message())),
        (_, Some(signal)) if signal == rustix::process::Signal::XCPU.as_raw() => {
            Err(LoadError::CompileTime { limit: time })
        }
        (_, Some(signal)) => Err(LoadError::CompileKilled {
            signal,
            limit: memory,
        }),
        _ => Err(LoadError::Compiler(format!("{status}: {}", message()))),
    }
}
