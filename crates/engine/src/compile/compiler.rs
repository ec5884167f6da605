//! Compiles WebAssembly in a resource-limited child process.
//!
//! The parent sends the WebAssembly over standard input and reads the compiled code from standard
//! output. The child limits its own processor time and memory before it reads a byte; see
//! [`super::child`]. At most one compilation runs for each processor, so that a folder of large
//! components leaves the machine usable.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command as StdCommand, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::MemfdFlags;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use sampan_spec::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::{RwLock, RwLockReadGuard, Semaphore};

use super::config::CompileCommand;
use super::flavour::Flavour;
use crate::error::LoadError;

/// The child's exit code for WebAssembly that the compiler rejects. Its standard error has the
/// reason.
pub(super) const REFUSED: u8 = 65;

/// The child's exit code for valid WebAssembly with a feature that the engine lacks. Its standard
/// error names the feature.
pub(super) const UNSUPPORTED: u8 = 66;

/// Wall time for each unit of processor time. A child that waits for a busy machine must not hit
/// the parent's timeout first.
const WALL_FACTOR: u32 = 10;

pub(crate) struct Compiler {
    command: CompileCommand,
    turns: Semaphore,
    /// Write-locked while a child starts; see [`Compiler::block_spawns`].
    spawn_lock: RwLock<()>,
}

/// Input of one compilation.
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
            spawn_lock: RwLock::new(()),
        }
    }

    /// Blocks the start of children while the guard is held. Hold it while a locked file is open.
    ///
    /// A child has all open files of its parent, locks included, until it executes its program. If
    /// the parent is killed before that, the lock outlives it. The next process would then take the
    /// file for one that is still being written, and leave it.
    pub(crate) async fn block_spawns(&self) -> RwLockReadGuard<'_, ()> {
        self.spawn_lock.read().await
    }

    /// Compiles in a child process.
    ///
    /// # Errors
    ///
    /// - [`LoadError::Compile`] when the compiler rejects the bytes.
    /// - [`LoadError::Unsupported`] when it rejects them for a feature.
    /// - [`LoadError::CompileTime`] and [`LoadError::CompileKilled`] when a limit ended the child.
    /// - [`LoadError::Compiler`] when the child could not be run.
    pub(crate) async fn compile(&self, job: Job<'_>) -> Result<Vec<u8>, LoadError> {
        let failed = |error: std::io::Error| LoadError::Compiler(error.to_string());
        let _turn = self
            .turns
            .acquire()
            .await
            .map_err(|_| LoadError::Compiler("closed".into()))?;
        let time = job.limits.compile_time;
        let memory = job.limits.compile_memory.bytes();
        let alone = self.spawn_lock.write().await;
        let mut child = Command::from(self.command(&job))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| self.not_started(&error))?;
        drop(alone);
        let mut stdin = child
            .stdin
            .take()
            .ok_or_else(|| LoadError::Compiler("no stdin".into()))?;
        let wasm = job.wasm;
        let feed = async move {
            // A child that ends early breaks the pipe; its exit status has the cause.
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
        let Ok(status) = tokio::time::timeout(wall_limit(time), exchange).await else {
            return Err(LoadError::CompileTime { limit: time });
        };
        compile_result(status?, compiled, &message, time, memory)
    }
}

impl Compiler {
    /// Like [`Compiler::compile`], for a process without an asynchronous runtime, which would leave
    /// threads or descriptors behind. Input and output are memory files, so the parent neither
    /// writes nor reads while the child runs.
    ///
    /// # Errors
    ///
    /// As [`Compiler::compile`].
    pub(crate) fn compile_blocking(&self, job: &Job<'_>) -> Result<Vec<u8>, LoadError> {
        let failed = |error: io::Error| LoadError::Compiler(error.to_string());
        let time = job.limits.compile_time;
        let (mut wasm, mut out, mut err) = (
            memory_file("wasm").map_err(failed)?,
            memory_file("compiled").map_err(failed)?,
            memory_file("message").map_err(failed)?,
        );
        wasm.write_all(&job.wasm)
            .and_then(|()| wasm.rewind())
            .map_err(failed)?;
        let mut child = self
            .command(job)
            .stdin(wasm)
            .stdout(out.try_clone().map_err(failed)?)
            .stderr(err.try_clone().map_err(failed)?)
            .spawn()
            .map_err(|error| self.not_started(&error))?;
        let in_time = ends_within(&child, wall_limit(time));
        if !matches!(in_time, Ok(true)) {
            // The child may have ended by itself meanwhile.
            let _ = child.kill();
        }
        let status = child.wait().map_err(failed)?;
        if !in_time.map_err(failed)? {
            return Err(LoadError::CompileTime { limit: time });
        }
        let read = |file: &mut File| {
            let mut bytes = Vec::new();
            file.rewind()?;
            file.read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let (compiled, message) = (
            read(&mut out).map_err(failed)?,
            read(&mut err).map_err(failed)?,
        );
        let memory = job.limits.compile_memory.bytes();
        compile_result(status, compiled, &message, time, memory)
    }

    fn command(&self, job: &Job<'_>) -> StdCommand {
        let mut command = StdCommand::new(&self.command.program);
        command
            .args(&self.command.arguments)
            .args([
                job.flavour.as_str(),
                if job.component { "component" } else { "module" },
            ])
            .args([
                job.limits.compile_time.as_secs().max(1).to_string(),
                job.limits.compile_memory.bytes().to_string(),
            ])
            // The compiler needs nothing of the parent's environment.
            .env_clear()
            .envs(self.command.environment.iter().cloned());
        command
    }

    fn not_started(&self, error: &io::Error) -> LoadError {
        LoadError::Compiler(format!("{}: {error}", self.command.program.display()))
    }
}

/// Makes a file in memory.
fn memory_file(name: &str) -> io::Result<File> {
    Ok(rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC)?.into())
}

/// Waits for the child; returns whether it ended in time.
fn ends_within(child: &Child, time: Duration) -> io::Result<bool> {
    let pid = Pid::from_child(child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let deadline = Instant::now() + time;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        let mut ended = [PollFd::new(&pidfd, PollFlags::IN)];
        match poll(&mut ended, Some(&left)) {
            Ok(count) => return Ok(count > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn wall_limit(time: Duration) -> Duration {
    time.saturating_mul(WALL_FACTOR).max(Duration::from_mins(1))
}

fn compile_result(
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
        (Some(code), _) if code == i32::from(UNSUPPORTED) => Err(LoadError::Unsupported(message())),
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

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn no_child_is_started_while_a_file_with_a_lock_is_written() {
        let compiler = Compiler::new(CompileCommand {
            program: "/nonexistent".into(),
            arguments: Vec::new(),
            environment: Vec::new(),
        });
        let job = Job {
            wasm: Bytes::new(),
            flavour: Flavour::Sequential,
            component: true,
            limits: &Limits::default(),
        };
        let written = compiler.block_spawns().await;
        let mut compile = pin!(compiler.compile(job));
        assert!(poll!(&mut compile).is_pending());
        drop(written);
        let started = compile.await;
        assert!(
            matches!(started, Err(LoadError::Compiler(_))),
            "{started:?}"
        );
    }
}
