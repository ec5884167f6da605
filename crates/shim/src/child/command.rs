//! A WASI command: runs to its end, with the container's streams, and its exit code is the container's.

use sampan_engine::{CommandIo, Stream};
use tokio::runtime;

use super::error::ChildError;
use super::executor::FunctionExecutor;
use super::output::Output;
use super::signals::StopSignals;
use super::volumes;

/// What a shell adds to the number of the signal that ended a program. A command has no signals, so the first that asks
/// it to stop ends it.
const SIGNALLED: i32 = 128;

/// What a shell shows of a program that was aborted, as a trap is: 128 and the number of SIGABRT.
const ABORTED: i32 = 134;

/// Runs the command; returns the exit code.
pub(super) fn run(executor: &FunctionExecutor) -> Result<i32, ChildError> {
    let output = Output::new();
    let loaded = executor.load(&output, None)?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ChildError::system("starting the command"))?;
    let code = runtime.block_on(async {
        let mut signals = StopSignals::receive(executor.has_terminal)?;
        let io = io(executor);
        executor.ready()?;
        let running = tokio::spawn(async move { loaded.run(io).await });
        let ended = tokio::select! {
            ended = running => ended,
            number = signals.next() => return Ok(SIGNALLED + number),
        };
        Ok(match ended {
            Ok(Ok(code)) => exit_code(code),
            // The observer has written the cause.
            Ok(Err(_)) => ABORTED,
            Err(error) => {
                let line = format!("the command was broken off: {error}");
                output.line(Stream::Stderr, &line);
                ABORTED
            }
        })
    });
    // A thread may still wait for input that the command does not read any more.
    runtime.shutdown_background();
    output.flush();
    code
}

/// What the command sees: the container's streams, its volumes, and its working directory if it is in one of those.
///
/// `wasi-libc` takes relative paths from the folder that is called `.`, Go from the one that `PWD` names, and what
/// asks WASI itself gets the directory's path.
fn io(executor: &FunctionExecutor) -> CommandIo {
    let mut io = CommandIo::default().inherit();
    io.program.clone_from(&executor.program);
    let cwd = &executor.cwd;
    let directory = volumes::working_directory(&executor.volumes, cwd);
    for volume in executor.volumes.iter().chain(&directory) {
        let guest = volume.guest.display().to_string();
        io = io.folder(volume.path.clone(), guest, volume.writable);
    }
    let text = cwd.display().to_string();
    let mut environment = executor.function.environment.iter();
    if environment.all(|(name, _)| name != "PWD") {
        io.environment.push(("PWD".to_owned(), text.clone()));
    }
    io.working_directory = Some(text);
    io
}

/// The part of an exit code that the system keeps. A failure stays one: 256 does not become 0.
fn exit_code(code: i32) -> i32 {
    match code & 0xff {
        0 if code != 0 => 1,
        low => low,
    }
}

#[cfg(test)]
mod tests {
    use super::exit_code;

    #[test]
    fn exit_codes_keep_their_low_byte_but_never_become_success() {
        let check = |code, expected| assert_eq!(exit_code(code), expected, "{code}");
        check(0, 0);
        check(3, 3);
        check(256, 1);
        check(257, 1);
        check(-1, 255);
    }
}
