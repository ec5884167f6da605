//! A function in the container's first process: a server of requests, or a WASI command.
//!
//! [`executor`] is the code that libcontainer calls in that process. It runs [`serve`] or [`command`].

mod addresses;
mod admin;
mod command;
mod executor;
mod observer;
mod output;
mod serve;
mod signals;

use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use sampan_allocator::release_memory;
use sampan_engine::{LoadedFunction, Prepared};
use sampan_runner::FunctionMetrics;
use sampan_spec::Function;

use self::observer::PodObserver;
use self::output::Output;
use super::error::ChildError;
use super::guards::Guards;
use super::volumes::{self, Volume};
use crate::control::messages::Message;
use crate::control::socket::ChildSocket;

/// Runs a function in the container's first process itself.
#[derive(Clone)]
pub(super) struct FunctionExecutor {
    pub(super) function: Arc<Function>,
    pub(super) prepared: Prepared,
    /// The component that the process calls before the function, if there is one.
    pub(super) warm_up: Option<Prepared>,
    /// Whether it runs to its end, rather than answering requests.
    pub(super) is_command: bool,
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

impl FunctionExecutor {
    /// Makes the function ready to be called; what it writes goes to `output`, and what it does is counted in `metrics`.
    fn load(
        &self,
        output: &Output,
        metrics: Option<Arc<FunctionMetrics>>,
    ) -> Result<LoadedFunction, ChildError> {
        let observer = Arc::new(PodObserver {
            output: output.clone(),
            metrics,
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
    fn ready(&self) -> Result<(), ChildError> {
        let said = self.link.send(&Message::Ready);
        said.map_err(ChildError::system("telling that the function is ready"))
    }
}
