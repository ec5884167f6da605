//! Executors: the code of a container's first process after libcontainer lets it start.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU16;
use std::os::fd::{AsFd as _, AsRawFd as _, RawFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use libcontainer::workload::{
    Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError, default,
};
use oci_spec::runtime::Spec;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use sampan_allocator::release_memory;
use sampan_engine::{LoadedFunction, Prepared};
use sampan_runner::{CountingObserver, Metrics};
use sampan_spec::Function;

use super::error::ChildError;
use super::guards::Guards;
use super::observer::PodObserver;
use super::output::Output;
use super::volumes::Volume;
use super::{command, serve, volumes};
use crate::control_socket::{ChildSocket, Message};

/// Runs a function in the container's first process itself.
#[derive(Clone)]
pub(super) struct FunctionExecutor {
    pub(super) function: Arc<Function>,
    pub(super) prepared: Prepared,
    /// What is called before the function is, if there is something like it.
    pub(super) rehearsal: Option<Prepared>,
    /// The port of its metrics.
    pub(super) metrics_port: Option<NonZeroU16>,
    pub(super) volumes: Vec<Volume>,
    /// What a command is called, as the container's process says.
    pub(super) program: Option<String>,
    pub(super) cwd: PathBuf,
    /// Whether the streams are a terminal.
    pub(super) has_terminal: bool,
    /// How many processors its pod may use.
    pub(super) processors: usize,
    pub(super) guards: Guards,
    pub(super) link: Rc<ChildSocket>,
}

impl Executor for FunctionExecutor {
    fn exec(&self, _: &Spec) -> Result<(), ExecutorError> {
        // Its privileges are gone, so that it may be looked at like any process of its user's, and may
        // look at itself.
        let looked_at = set_dumpable_behavior(DumpableBehavior::Dumpable);
        // What it is called in lists of processes is of no consequence.
        let _ = std::fs::write("/proc/self/comm", self.function.name.as_str());
        // No program is executed that would get them, and nothing of the module has been read.
        let confined = self.guards.labels.change();
        let closed = self.close_all_others();
        let ran = looked_at
            .map_err(std::io::Error::from)
            .and(closed)
            .map_err(ChildError::system("letting go of the node"))
            .and(confined.map_err(ChildError::Guard))
            .and_then(|()| self.run());
        let code = ran.unwrap_or_else(|error| {
            // A supervisor that is gone does not want to know.
            let _ = self.link.send(&Message::Failed {
                cause: error.to_string(),
            });
            1
        });
        // Nothing of libcontainer is to run after a function has.
        std::process::exit(code)
    }

    fn validate(&self, _: &Spec) -> Result<(), ExecutorValidationError> {
        drop_privileges(&self.guards)
    }
}

/// What libcontainer has executors do last before their process waits for its start.
fn drop_privileges(guards: &Guards) -> Result<(), ExecutorValidationError> {
    let dropped = guards.drop_privileges().map_err(ChildError::Guard);
    dropped.map_err(|error| ExecutorValidationError::ArgValidationError(error.to_string()))
}

impl FunctionExecutor {
    fn run(&self) -> Result<i32, ChildError> {
        let is_command = !self.prepared.kind().handles_http();
        if is_command && self.function.http.is_none() {
            command::run(self)
        } else {
            serve::serve(self)
        }
    }

    /// Makes the function ready to be called; what it writes goes there, and its events count there.
    pub(super) fn load(
        &self,
        output: &Output,
        metrics: Option<&Metrics>,
    ) -> Result<LoadedFunction, ChildError> {
        let observer = Arc::new(PodObserver {
            output: output.clone(),
            counts: metrics.map(|metrics| CountingObserver::new(&self.function.name, metrics)),
        });
        let (prepared, mut function) = (self.prepared.clone(), Arc::clone(&self.function));
        if !function.certificate_authorities.is_empty() {
            for path in &mut Arc::make_mut(&mut function).certificate_authorities {
                let file = volumes::file(&self.volumes, Path::new(path.as_str()));
                *path = file.display().to_string();
            }
        }
        let loaded = LoadedFunction::of_prepared(prepared, function, observer, release_memory);
        loaded.map_err(|source| ChildError::Load {
            name: self.function.name.to_string(),
            source,
        })
    }

    /// Reports to the supervisor that the function can answer, or runs, and closes the link.
    pub(super) fn ready(&self) -> Result<(), ChildError> {
        let said = self.link.send(&Message::Ready);
        said.map_err(ChildError::system("telling that the function is ready"))
    }

    /// What this process has open of its parent's: it is a fork, and never replaces its program.
    fn close_all_others(&self) -> std::io::Result<()> {
        let modules = [Some(&self.prepared), self.rehearsal.as_ref()];
        let keep: HashSet<RawFd> = modules
            .into_iter()
            .flatten()
            .map(|module| module.as_fd().as_raw_fd())
            .chain([self.link.as_fd().as_raw_fd()])
            .collect();
        let open: Vec<RawFd> = std::fs::read_dir("/proc/self/fd")?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect();
        for fd in open {
            if fd > 2 && !keep.contains(&fd) {
                // The folder's own descriptor is closed by now.
                let _ = nix::unistd::close(fd);
            }
        }
        Ok(())
    }
}

/// Hands the process to a program of the container's.
#[derive(Clone)]
pub(super) struct ProgramExecutor {
    pub(super) link: Rc<ChildSocket>,
    pub(super) guards: Guards,
}

/// The home of a user without one, as with runc.
const HOME: &str = "/";

/// Where the C library looks for programs without a `PATH`.
const PATH: &str = "PATH=/bin:/usr/bin";

impl ProgramExecutor {
    fn run(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let labelled = self.guards.labels.label_program();
        labelled.map_err(|error| ExecutorError::Other(error.to_string()))?;
        // Returns only when it fails.
        default::get_executor().exec(spec)
    }
}

impl Executor for ProgramExecutor {
    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let failed = self.run(spec);
        if let Err(error) = &failed {
            let cause = match std::error::Error::source(error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            };
            let _ = self.link.send(&Message::Failed { cause });
        }
        failed
    }

    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        drop_privileges(&self.guards)?;
        default::get_executor().validate(&with_path(spec.clone()))
    }

    fn setup_envs(&self, mut envs: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        let home = envs.entry("HOME".to_owned()).or_default();
        if home.is_empty() {
            HOME.clone_into(home);
        }
        default::get_executor().setup_envs(envs)
    }
}

/// libcontainer finds no program in an environment without `PATH`.
fn with_path(mut spec: Spec) -> Spec {
    if let Some(process) = spec.process_mut() {
        let mut environment = process.env().clone().unwrap_or_default();
        if !environment
            .iter()
            .any(|variable| variable.starts_with("PATH="))
        {
            environment.push(PATH.to_owned());
            process.set_env(Some(environment));
        }
    }
    spec
}
