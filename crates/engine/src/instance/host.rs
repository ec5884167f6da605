//! Host state of a store, and the host side of its imports.
//!
//! Most handlers use little of WASI, so the WASI context is built on first use. An instance that
//! only responds to a request never pays for clocks, files and random numbers.

use std::mem;
use std::path::PathBuf;
use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::cli::{StdinStream, StdoutStream};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::body::{HostOutgoingBody, StreamContext};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::http_hooks::Hooks;
use super::limiter::Limiter;
use super::output::Output;
use crate::context::call_state::Call;
use crate::context::memory_account::Reservation;
use crate::error::CallError;
use crate::observer::Stream;

/// The most bytes of a guest's `fields`, in multiples of `limits.requestHeaders`: wasi:http counts 72 bytes for a field
/// where that limit counts 32.
const FIELDS_FOR_HEADS: usize = 5;

/// What every guest may have of them.
const MIN_FIELDS: usize = 128 << 10;

/// The most handles of one instance in the host's table.
const MAX_HANDLES: usize = 10_000;

/// The most bytes that the host allocates for the arguments of one host call.
const MAX_HOSTCALL_BYTES: usize = 16 << 20;

/// The most random bytes of one call.
const MAX_RANDOM_BYTES: u64 = 16 << 20;

pub(crate) struct Host {
    table: ResourceTable,
    http: WasiHttpCtx,
    hooks: Hooks,
    wasi: Option<Box<WasiCtx>>,
    preview1: Option<Box<WasiP1Ctx>>,
    stdio: Stdio,
    outputs: Vec<Arc<Output>>,
    pub(crate) limiter: Limiter,
    pub(super) call: Arc<Call>,
}

/// Standard streams, arguments and folders of a guest.
pub(crate) enum Stdio {
    /// A handler: no input; output goes to the function's log.
    Log,
    /// A command with its own streams.
    Command(Box<CommandStdio>),
}

pub(crate) struct CommandStdio {
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) working_directory: Option<String>,
    pub(crate) stdin: Option<Box<dyn StdinStream + Sync>>,
    pub(crate) stdout: Option<Box<dyn StdoutStream + Sync>>,
    /// `None` sends standard error to the function's log.
    pub(crate) stderr: Option<Box<dyn StdoutStream + Sync>>,
    pub(crate) folders: Vec<Folder>,
}

/// A folder of the host that a command can access.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    pub(crate) host: PathBuf,
    pub(crate) guest: String,
    pub(crate) writable: bool,
}

impl Host {
    /// Makes a store for one instance, with every limit set and the memory that is reserved for it.
    pub(crate) fn store(
        engine: &wasmtime::Engine,
        call: Arc<Call>,
        stdio: Stdio,
        reserved: Reservation,
    ) -> wasmtime::Result<Store<Self>> {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        let limits = &call.function.spec.limits;
        let mut http = WasiHttpCtx::new();
        // A guest may send every head on that it can receive, and have as many fields again.
        let head_bytes = usize::try_from(limits.request_headers.bytes()).unwrap_or(usize::MAX);
        let fields = head_bytes.saturating_mul(FIELDS_FOR_HEADS);
        http.set_field_size_limit(fields.max(MIN_FIELDS));
        let host = Self {
            table,
            http,
            hooks: Hooks::new(Arc::clone(&call)),
            wasi: None,
            preview1: None,
            stdio,
            outputs: Vec::new(),
            limiter: Limiter::new(limits.memory.bytes(), reserved),
            call,
        };
        let mut store = Store::try_new(engine, host)?;
        store.limiter(|host| &mut host.limiter);
        store.set_hostcall_fuel(MAX_HOSTCALL_BYTES);
        store.epoch_deadline_callback(|store| {
            let call = &store.data().call;
            call.clock.check_running()?;
            call.interrupt();
            // Yields to other requests of this thread once for each tick.
            Ok(wasmtime::UpdateDeadline::Yield(1))
        });
        store.set_epoch_deadline(1);
        Ok(store)
    }

    /// Prepares a used store for the next call.
    pub(super) fn begin(&mut self, call: Arc<Call>) {
        for output in &self.outputs {
            output.begin(&call);
        }
        self.hooks = Hooks::new(Arc::clone(&call));
        self.limiter.refused = None;
        self.call = call;
    }

    /// Notes that the instance has started.
    pub(crate) fn started(&mut self) {
        self.limiter.started();
    }

    /// The failure of a call that ended with this error.
    pub(crate) fn failure(&self, error: wasmtime::Error) -> CallError {
        CallError::of(error, self.limiter.refused)
    }

    /// Builds the preview 1 context that [`Host::preview1`] returns.
    pub(crate) fn prepare_preview1(&mut self) -> wasmtime::Result<()> {
        let context = self.builder()?.build_p1();
        self.preview1 = Some(Box::new(context));
        Ok(())
    }

    /// The preview 1 context.
    ///
    /// # Panics
    ///
    /// When [`Host::prepare_preview1`] was not called. Only preview 1 modules are linked with this,
    /// and their only instantiation path calls it.
    pub(crate) fn preview1(&mut self) -> &mut WasiP1Ctx {
        self.preview1
            .as_mut()
            .expect("prepared before the module is instantiated")
    }

    /// Builds the context of a command early, so that a folder that cannot be opened is an error.
    pub(crate) fn prepare_wasi(&mut self) -> wasmtime::Result<()> {
        self.wasi = Some(Box::new(self.builder()?.build()));
        Ok(())
    }

    pub(crate) fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }

    fn builder(&mut self) -> wasmtime::Result<WasiCtxBuilder> {
        let mut builder = WasiCtxBuilder::new();
        builder.max_random_size(MAX_RANDOM_BYTES);
        let function = Arc::clone(&self.call.function);
        match &mut self.stdio {
            Stdio::Log => {
                builder
                    .arg(function.spec.name.as_str())
                    .args(&function.spec.arguments);
                builder.envs(&function.spec.environment);
                builder
                    .stdout(self.output(Stream::Stdout))
                    .stderr(self.output(Stream::Stderr));
            }
            Stdio::Command(command) => {
                builder.args(&command.arguments).envs(&command.environment);
                if let Some(path) = &command.working_directory {
                    builder.initial_cwd(path);
                }
                for folder in &command.folders {
                    let permissions = if folder.writable {
                        FsPerms::ReadWrite
                    } else {
                        FsPerms::ReadOnly
                    };
                    builder.preopened_dir(&folder.host, &folder.guest, permissions)?;
                }
                if let Some(stdin) = command.stdin.take() {
                    builder.stdin(stdin);
                }
                let (stdout, stderr) = (command.stdout.take(), command.stderr.take());
                match stdout {
                    Some(stdout) => builder.stdout(stdout),
                    None => builder.stdout(self.output(Stream::Stdout)),
                };
                match stderr {
                    Some(stderr) => builder.stderr(stderr),
                    None => builder.stderr(self.output(Stream::Stderr)),
                };
            }
        }
        Ok(builder)
    }

    /// Breaks off the bodies that the guest has begun and not finished. Without this the library would end them as whole
    /// ones: a request or a response that a trap or a deadline has cut off would pass for a complete one. wasi:http says
    /// that a body is incomplete when its resource is dropped.
    fn abort_unfinished_bodies(&mut self) {
        for resource in self.table.iter_mut() {
            if let Some(body) = resource.downcast_mut::<HostOutgoingBody>() {
                let (empty, _) = HostOutgoingBody::new(StreamContext::Request, None, 1, 1);
                mem::replace(body, empty).abort();
            }
        }
    }

    fn output(&mut self, stream: Stream) -> super::output::Handle {
        let output = Arc::new(Output::new(stream, &self.call));
        self.outputs.push(Arc::clone(&output));
        super::output::Handle(output)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.abort_unfinished_bodies();
        for output in &self.outputs {
            output.finish();
        }
    }
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        if self.wasi.is_none() {
            // Only opening a folder can fail. Only commands have folders, and their context is
            // prepared before they start.
            let mut builder = self.builder().expect("a handler's context opens nothing");
            self.wasi = Some(Box::new(builder.build()));
        }
        let wasi = self.wasi.as_mut().expect("built above");
        WasiCtxView {
            ctx: wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for Host {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.hooks,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}
