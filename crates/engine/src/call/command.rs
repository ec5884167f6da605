//! Runs a WASI command to its exit code.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use wasmtime_wasi::I32Exit;
use wasmtime_wasi::cli::{StdinStream, StdoutStream};

use crate::context::call_state::{Admitted, Call};
use crate::error::CallError;
use crate::instance::host::{CommandStdio, Folder, Host, Stdio};
use crate::instance::room::Room;
use crate::module::linked::{Entry, Module};

/// Streams, arguments and folders of a command.
///
/// By default it has no standard input, no folders and no timeout. Its output goes to the
/// function's observer, line by line.
#[derive(Default)]
pub struct CommandIo {
    /// The zeroth argument; the function's name if `None`.
    pub program: Option<String>,
    /// Arguments after the program's name.
    pub arguments: Vec<String>,
    /// Variables in addition to those of the function's specification.
    pub environment: Vec<(String, String)>,
    /// The path of the initial working directory, for commands that ask WASI for it.
    pub working_directory: Option<String>,
    /// Standard input.
    pub stdin: Option<Box<dyn StdinStream + Sync>>,
    /// Standard output.
    pub stdout: Option<Box<dyn StdoutStream + Sync>>,
    /// Standard error.
    pub stderr: Option<Box<dyn StdoutStream + Sync>>,
    /// Wall time after which the command is cancelled.
    pub timeout: Option<Duration>,
    pub(super) folders: Vec<Folder>,
}

impl CommandIo {
    /// Inherits the standard streams of this process.
    #[must_use]
    pub fn inherit(mut self) -> Self {
        self.stdin = Some(Box::new(wasmtime_wasi::cli::stdin()));
        self.stdout = Some(Box::new(wasmtime_wasi::cli::stdout()));
        self.stderr = Some(Box::new(wasmtime_wasi::cli::stderr()));
        self
    }

    /// Mounts a folder of the host under another name for the command.
    #[must_use]
    pub fn folder(mut self, host: PathBuf, guest: String, writable: bool) -> Self {
        self.folders.push(Folder {
            host,
            guest,
            writable,
        });
        self
    }

    pub(super) fn into_stdio(self, call: &Call) -> CommandStdio {
        let spec = &call.function.spec;
        let program = self.program;
        let mut arguments = vec![program.unwrap_or_else(|| spec.name.as_str().to_owned())];
        arguments.extend(spec.arguments.iter().cloned());
        arguments.extend(self.arguments);
        let mut environment = spec.environment.clone();
        environment.extend(self.environment);
        CommandStdio {
            arguments,
            environment,
            working_directory: self.working_directory,
            stdin: self.stdin,
            stdout: self.stdout,
            stderr: self.stderr,
            folders: self.folders,
        }
    }
}

/// Runs a command and returns its exit code.
pub(super) async fn run(
    module: &Module,
    call: Arc<Call>,
    stdio: CommandStdio,
) -> Result<i32, CallError> {
    // Its streams belong to the store, so it cannot be tried again with another one.
    let reserved = {
        let _first = call.wait_for_memory(call.function.memory.line()).await;
        Room::wait_for_memory(&call).await;
        // No command is idle.
        let Admitted::ToNew(reserved) = call.admit(|| None::<Infallible>).await;
        reserved
    };
    Room::wait(module.engine(), &call).await;
    let mut store = Host::store(
        module.engine(),
        Arc::clone(&call),
        Stdio::Command(Box::new(stdio)),
        reserved,
    )
    .map_err(|error| CallError::of(error, None))?;
    let ended = match &module.entry {
        Entry::Command02(pre) => {
            let prepared = store.data_mut().prepare_wasi();
            prepared.map_err(|error| CallError::Host(format!("{error:#}")))?;
            match pre.instantiate_async(&mut store).await {
                Ok(command) => {
                    store.data_mut().started();
                    let run = command.wasi_cli_run().call_run(&mut store).await;
                    run.map(|result| i32::from(result.is_err()))
                }
                Err(error) => Err(error),
            }
        }
        Entry::Preview1(pre) => {
            let prepared = store.data_mut().prepare_preview1();
            prepared.map_err(|error| CallError::Host(format!("{error:#}")))?;
            match pre.instantiate_async(&mut store).await {
                Ok(instance) => {
                    store.data_mut().started();
                    match instance.get_typed_func::<(), ()>(&mut store, "_start") {
                        Ok(start) => start.call_async(&mut store, ()).await.map(|()| 0),
                        Err(error) => Err(error),
                    }
                }
                Err(error) => Err(error),
            }
        }
        Entry::Handler(_) => {
            return Err(CallError::WrongKind(call.function.kind));
        }
    };
    match ended {
        Ok(code) => Ok(code),
        Err(error) => match error.downcast_ref::<I32Exit>() {
            Some(exit) => Ok(exit.0),
            None => Err(store.data().failure(error)),
        },
    }
}
