//! Makes a container in three steps: it is prepared, built and announced.
//!
//! The first step mounts its root, finds out what it runs, and has a module compiled. The second one waits for its control
//! group and lets libcontainer make the rest, up to the point where the first process waits for its start.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use containerd_shim::mount::mount_rootfs;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use oci_spec::runtime::Spec;
use sampan_allocator::ARENAS;
use sampan_engine::{CompileCommand, EngineConfig, NoObserver, Precompiler, Prepared, Wasm};
use sampan_spec::Function;

use super::console::{self, Console};
use super::error::ChildError;
use super::function::FunctionExecutor;
use super::guards::{self, Guards};
use super::mounts::MountPlan;
use super::payload::{self, Payload};
use super::program::ProgramExecutor;
use super::spec;
use super::{cwd, namespaces, volumes};
use crate::bundle::rootfs::RootMount;
use crate::bundle::{leftovers, record};
use crate::control::messages::{CreateRequest, GroupAnswer, Message, Workload};
use crate::control::socket::ChildSocket;
use crate::this_program::{COMPILE, SELF};

/// The default folder of compiled modules.
const STATE: &str = "/var/lib/sampan";

/// The name of a sandbox's program, for people.
const SANDBOX: &str = "sandbox";

/// Makes the container that is asked for and says so.
pub(super) fn create(request: &CreateRequest, link: &Rc<ChildSocket>) -> Result<(), ChildError> {
    let steps = || {
        let prepared = prepare(request, link)?;
        let built = build(prepared, link)?;
        announce(built, link)
    };
    let made = steps();
    if made.is_err() {
        // What it failed for is worth more than that something is still in use.
        let _ = if request.is_sandbox {
            leftovers::clear_init(&request.bundle, &request.id)
        } else {
            leftovers::clear(&request.bundle)
        };
    }
    made
}

/// A container with a mounted root, ready for libcontainer to make its first process.
struct PreparedContainer {
    /// The folder of the specification that libcontainer reads.
    folder: PathBuf,
    workload: Workload,
    builder: ContainerBuilder,
    mounts: MountPlan,
    console: Option<Console>,
}

/// A container with a first process that waits for its start.
struct BuiltContainer {
    pid: i32,
    workload: Workload,
    console: Option<Console>,
}

fn prepare(
    request: &CreateRequest,
    link: &Rc<ChildSocket>,
) -> Result<PreparedContainer, ChildError> {
    let folder = record::folder(&request.bundle).map_err(ChildError::Shim)?;
    let mut spec = spec::load(&request.bundle)?;
    let root = spec.root().as_ref().ok_or(ChildError::Missing("root"))?;
    let rootfs = request.bundle.join(root.path());
    mount_all(&request.rootfs, &rootfs)?;
    let name = if request.is_sandbox {
        SANDBOX
    } else {
        payload::name(&spec, &request.id)
    };
    let name = name.to_owned();
    let function = spec::function(&spec, &name);
    let metrics_port = spec::metrics_port(&spec, &name)?;
    // A program needs no rules, but a wrong rule fails its container too.
    let function = Arc::new(function?);
    let role = Role::find(&spec, &rootfs, request, &function)?;
    let workload = role.workload();
    let is_function = workload == Workload::Wasm;
    let has_terminal = request.stdio.terminal && !role.answers_requests();
    let cwd = cwd::of(&spec).to_owned();
    let program = spec::program(&spec);
    cwd::make(&spec, (!is_function).then_some(rootfs.as_path()))?;
    let processors = spec::processors(&spec);
    spec::prepare(
        &mut spec,
        &request.group,
        &rootfs,
        request.pod.as_ref(),
        is_function,
        has_terminal,
    )?;
    adjust_oom_score(&mut spec);
    let guards = Guards::take(&mut spec, is_function)?;
    guards::reset_inherited(&request.id, &guards.labels).map_err(ChildError::Guard)?;
    let volumes = match role {
        Role::Function {
            is_command: true, ..
        } => volumes::arrange(&mut spec)?,
        _ => Vec::new(),
    };
    let mounts = MountPlan::take(&mut spec, is_function)?;
    // libcontainer takes a specification from a file only.
    spec.save(folder.join("config.json"))
        .map_err(ChildError::Spec)?;

    let console = has_terminal
        .then(|| Console::listen(&folder, "console.sock"))
        .transpose()?;
    let mut builder = ContainerBuilder::new(request.id.clone(), SyscallType::Linux)
        .with_root_path(&folder)
        .map_err(ChildError::Container)?;
    builder = console::give_streams(builder, console.as_ref(), &request.stdio)?;
    builder = match role {
        Role::Function {
            prepared,
            warm_up,
            is_command,
        } => builder.with_executor(FunctionExecutor {
            function,
            prepared,
            warm_up,
            is_command,
            metrics_port,
            volumes,
            program,
            cwd,
            has_terminal,
            processors,
            guards,
            link: Rc::clone(link),
        }),
        Role::Program => {
            guards::reset_signals().map_err(ChildError::Guard)?;
            builder.with_executor(ProgramExecutor {
                link: Rc::clone(link),
                guards,
            })
        }
    };
    Ok(PreparedContainer {
        folder,
        workload,
        builder,
        mounts,
        console,
    })
}

fn build(prepared: PreparedContainer, link: &ChildSocket) -> Result<BuiltContainer, ChildError> {
    let PreparedContainer {
        folder,
        workload,
        builder,
        mounts,
        console,
    } = prepared;
    wait_for_group(link)?;
    let mut container = builder
        .validate_id()
        .map_err(ChildError::Container)?
        .as_init(&folder)
        // The group is there, also where systemd has made it.
        .with_systemd(false)
        .with_detach(true)
        .build()
        .map_err(ChildError::Container)?;
    let pid = container.pid().map(i32::from);
    let pid = pid.ok_or(ChildError::Missing("first process"))?;
    if let Err(error) = mounts.apply(pid) {
        // It must not start. What it failed for is worth more than what is left of it.
        let _ = container.delete(true);
        return Err(error);
    }
    Ok(BuiltContainer {
        pid,
        workload,
        console,
    })
}

/// What was compiled before this does not count against the container's limits.
fn wait_for_group(link: &ChildSocket) -> Result<(), ChildError> {
    let answer = link
        .send(&Message::NeedsGroup)
        .and_then(|()| link.request());
    match answer.map_err(ChildError::system("waiting for the control group"))? {
        GroupAnswer::Ready => Ok(()),
        GroupAnswer::Failed => Err(ChildError::Group),
    }
}

fn announce(built: BuiltContainer, link: &ChildSocket) -> Result<(), ChildError> {
    let BuiltContainer {
        pid,
        workload,
        console,
    } = built;
    let created = Message::Created { pid, workload };
    console::send(
        link,
        &created,
        console,
        "telling that the container is there",
    )
}

/// What a container's first process is.
enum Role {
    Program,
    Function {
        prepared: Prepared,
        /// The component that the process calls before the function, if there is one.
        warm_up: Option<Prepared>,
        /// Whether it runs to its end, rather than answering requests.
        is_command: bool,
    },
}

impl Role {
    /// Finds out, and has a module compiled.
    fn find(
        spec: &Spec,
        rootfs: &Path,
        request: &CreateRequest,
        function: &Function,
    ) -> Result<Self, ChildError> {
        if request.is_sandbox {
            return Ok(Self::Program);
        }
        let limit = function.limits.artifact.bytes();
        match payload::of(spec, rootfs, request, limit)? {
            Payload::Wasm(wasm) => {
                let (prepared, warm_up) = compile(function, &wasm)?;
                let is_command = function.http.is_none() && !prepared.kind().handles_http();
                Ok(Self::Function {
                    prepared,
                    warm_up,
                    is_command,
                })
            }
            Payload::Program => {
                if let Some(ipc) = request.pod.as_ref().and_then(|pod| pod.ipc()) {
                    namespaces::keep_ipc(ipc)?;
                }
                Ok(Self::Program)
            }
        }
    }

    fn answers_requests(&self) -> bool {
        matches!(
            self,
            Self::Function {
                is_command: false,
                ..
            }
        )
    }

    fn workload(&self) -> Workload {
        match self {
            Self::Program => Workload::Native,
            Self::Function { .. } => Workload::Wasm,
        }
    }
}

fn mount_all(mounts: &[RootMount], rootfs: &Path) -> Result<(), ChildError> {
    if mounts.is_empty() {
        return Ok(());
    }
    let making = || ChildError::system(format!("making {}", rootfs.display()));
    fs::create_dir_all(rootfs).map_err(making())?;
    for mount in mounts {
        let kind = Some(mount.kind.as_str()).filter(|kind| !kind.is_empty());
        mount_rootfs(kind, Some(&mount.source), &mount.options, rootfs)
            .map_err(ChildError::Mount)?;
    }
    // Long lists of layers are mounted from another folder.
    std::env::set_current_dir("/").map_err(ChildError::system("going to the root folder"))
}

/// Has the module compiled, or takes it from the node's cache, and its warm-up component with it, if there is one. Nothing of
/// the cache is open afterwards but these.
fn compile(function: &Function, wasm: &Wasm) -> Result<(Prepared, Option<Prepared>), ChildError> {
    let state = std::env::var_os("SAMPAN_STATE").filter(|state| !state.is_empty());
    let state = state.map_or_else(|| PathBuf::from(STATE), PathBuf::from);
    let compiler = CompileCommand {
        program: PathBuf::from(SELF),
        arguments: vec![COMPILE.to_owned()],
        // The allocator reserves a gibibyte of addresses at a time, which would count against
        // limits.compileMemory.
        environment: vec![(ARENAS.to_owned(), "0".to_owned())],
    };
    let config = EngineConfig::new(state.join("cache"), compiler);
    let precompiler = Precompiler::open(&config).map_err(ChildError::Cache)?;
    let failed = |source| ChildError::Load {
        name: function.name.to_string(),
        source,
    };
    let prepared = precompiler
        .prepare(function, wasm, &NoObserver)
        .map_err(failed)?;
    let warm_up = precompiler.prepare_warm_up(prepared.kind());
    let warm_up = warm_up.map_err(failed)?;
    Ok((prepared, warm_up))
}

/// Lets the container's score be what it is where this process may not lower it, as runc does.
fn adjust_oom_score(spec: &mut Spec) {
    let Some(process) = spec.process_mut() else {
        return;
    };
    let Some(score) = process.oom_score_adj() else {
        return;
    };
    match fs::write("/proc/self/oom_score_adj", score.to_string()) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            process.set_oom_score_adj(None);
        }
        _ => {}
    }
}
