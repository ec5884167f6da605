//! containerd's own calls of the program: `start`, which finds or makes the supervisor of a pod, and
//! `delete`, which takes apart what a supervisor that is gone has left.

mod features;
mod log;
mod supervisor;

use std::fs;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::SystemTime;

use async_trait::async_trait;
use containerd_shim::protos::protobuf::well_known_types::any::Any;
use containerd_shim::protos::shim::oci::Options;
use containerd_shim::protos::types::introspection::RuntimeInfo;
use containerd_shim::publisher::RemotePublisher;
use containerd_shim::util::convert_to_timestamp;
use containerd_shim::{
    Config, DeleteResponse, Error, ExitSignal, Flags, Result, Shim, StartOpts, cgroup,
};
use sampan_allocator::ARENAS;

use crate::bundle::config::BundleConfig;
use crate::bundle::leftovers;
use crate::bundle::record::Record;
use crate::cgroup::Cgroup;
use crate::error::ShimError;
use crate::service::calls::Calls;
use crate::this_program::{RUNTIME, SELF, SERVE};
use supervisor::Arguments;

/// What the supervisor is called in lists of processes.
const PROGRAM: &str = "containerd-shim-sampan-v1";

/// Where a supervisor's address is written in a bundle.
const ADDRESS: &str = "address";

const HELP: &str = "\
containerd-shim-sampan-v1 runs WebAssembly functions and containers for containerd, which starts it:
put it into a folder of containerd's PATH and name the runtime in containerd's configuration:

    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.sampan]
      runtime_type = 'io.containerd.sampan.v1'
      pod_annotations = ['sampan.dev/*']

Compiled modules are kept in /var/lib/sampan, or in $SAMPAN_STATE of containerd's environment.
";

/// What the arguments ask for.
pub(crate) fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let first = arguments.next();
    match first.as_deref().and_then(std::ffi::OsStr::to_str) {
        Some(SERVE) => match Arguments::of_command(arguments) {
            Some(arguments) => supervisor::main(&arguments),
            None => ExitCode::FAILURE,
        },
        Some("-v" | "-version" | "--version") => {
            println!("containerd-shim-sampan-v1 {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        None | Some("-h" | "-help" | "--help") => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        Some(_) => call(),
    }
}

fn call() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            // containerd shows what is written here.
            let _ = writeln!(io::stderr(), "no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let config = Config {
        no_setup_logger: true,
        no_reaper: true,
        no_sub_reaper: true,
        ..Config::default()
    };
    // Ends the process itself when it fails.
    runtime.block_on(containerd_shim::run::<Launch>(RUNTIME, Some(config)));
    runtime.shutdown_background();
    ExitCode::SUCCESS
}

/// One call.
struct Launch {
    id: String,
    namespace: String,
    address: String,
    bundle: PathBuf,
}

#[async_trait]
impl Shim for Launch {
    type T = Calls;

    async fn new(_: &str, flags: &Flags, _: &mut Config) -> Self {
        let bundle = match flags.bundle.as_str() {
            "" => std::env::current_dir().unwrap_or_default(),
            bundle => PathBuf::from(bundle),
        };
        Self {
            id: flags.id.clone(),
            namespace: flags.namespace.clone(),
            address: flags.address.clone(),
            bundle,
        }
    }

    async fn start_shim(&mut self, options: StartOpts) -> Result<String> {
        let head = BundleConfig::read(&self.bundle).map_err(failed)?;
        let group = head.sandbox().unwrap_or(&options.id);
        let address = options.socket_address(group);
        let socket = path_of(&address);
        let doing = || format!("listening at {}", socket.display());
        let listener = listen(socket).map_err(|error| failed(ShimError::system(doing())(error)))?;
        if let Some(listener) = listener {
            self.start_supervisor(&options, &address, listener)?;
        }
        let file = self.bundle.join(ADDRESS);
        fs::write(&file, &address).map_err(|error| {
            failed(ShimError::system(format!("writing {}", file.display()))(
                error,
            ))
        })?;
        Ok(address)
    }

    async fn delete_shim(&mut self) -> Result<DeleteResponse> {
        let pid = self.take_apart().await.map_err(failed)?;
        let mut response = DeleteResponse::new();
        response.pid = pid;
        response.exit_status = 137;
        response.exited_at = Some(convert_to_timestamp(Some(SystemTime::now().into()))).into();
        Ok(response)
    }

    fn runtime_info(runtime: &str, _: Option<&Any>) -> Result<RuntimeInfo> {
        features::info(runtime)
    }

    async fn wait(&mut self) {
        // The supervisor is started in another way, so nothing is ever served here.
        ExitSignal::default().wait().await;
    }

    async fn create_task_service(&self, _: RemotePublisher) -> Calls {
        unreachable!("`start` starts the supervisor with arguments of its own")
    }
}

impl Launch {
    fn start_supervisor(
        &self,
        options: &StartOpts,
        address: &str,
        listener: UnixListener,
    ) -> Result<()> {
        let arguments = Arguments {
            namespace: options.namespace.clone(),
            address: options.address.clone(),
            events: as_unix(&options.ttrpc_address),
            socket: path_of(address).display().to_string(),
            debug: options.debug,
        };
        let child = Command::new(SELF)
            .arg0(PROGRAM)
            .args(arguments.to_command())
            // An arena that is made for a gibibyte costs a supervisor as much memory as a quarter of all that it has.
            .env(ARENAS, "0")
            .current_dir(&self.bundle)
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|error| failed(ShimError::system("starting the supervisor")(error)))?;
        let group = options.extension::<Options>()?;
        let group = group.map(|options| options.shim_cgroup).unwrap_or_default();
        cgroup::set_cgroup_and_oom_score(child.id(), &group)
    }

    /// Takes apart what is recorded of a container; returns the number of its first process.
    async fn take_apart(&self) -> std::result::Result<u32, ShimError> {
        let head = BundleConfig::read(&self.bundle);
        let record = Record::read(&self.bundle)?;
        let pid = record
            .as_ref()
            .map_or(0, |record| record.pid.unsigned_abs());
        let mut cgroup = record.map(|record| record.cgroup).unwrap_or_default();
        if let Ok(head) = &head
            && cgroup == Cgroup::default()
        {
            // It ended between making the container and writing down what was made.
            cgroup = Cgroup::of_specification(head.cgroups_path(), &self.id)?;
        }
        cgroup.kill();
        leftovers::remove_group(&cgroup).await?;
        leftovers::clear(&self.bundle)?;
        if head.is_ok_and(|head| head.sandbox().is_none_or(|sandbox| sandbox == self.id)) {
            self.remove_socket()?;
        }
        Ok(pid)
    }

    /// Removes the supervisor's socket, unless a supervisor answers at it.
    fn remove_socket(&self) -> std::result::Result<(), ShimError> {
        let Ok(address) = fs::read_to_string(self.bundle.join(ADDRESS)) else {
            return Ok(());
        };
        let socket = path_of(&address);
        tracing::debug!(
            namespace = self.namespace,
            containerd = self.address,
            "removing"
        );
        if UnixStream::connect(socket).is_ok() {
            return Ok(());
        }
        match fs::remove_file(socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(ShimError::system(
                format!("removing {}", socket.display()),
            )(error)),
            _ => Ok(()),
        }
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it stands where an error is turned into another"
)]
fn failed(error: ShimError) -> Error {
    Error::Other(error.to_string())
}

fn path_of(address: &str) -> &Path {
    Path::new(address.strip_prefix("unix://").unwrap_or(address))
}

fn as_unix(address: &str) -> String {
    if address.contains("://") {
        address.to_owned()
    } else {
        format!("unix://{address}")
    }
}

/// Listens at a path; `None` when a supervisor answers there already.
fn listen(path: &Path) -> io::Result<Option<UnixListener>> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    match UnixListener::bind(path) {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            if UnixStream::connect(path).is_ok() {
                return Ok(None);
            }
            // Left by one that was killed.
            fs::remove_file(path)?;
            UnixListener::bind(path).map(Some)
        }
        Err(error) => Err(error),
    }
}
