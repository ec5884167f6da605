//! Runs a program in a container that runs.

use std::fs;
use std::rc::Rc;

use libcontainer::container::builder::ContainerBuilder;
use libcontainer::container::{Container, ContainerStatus};
use libcontainer::syscall::syscall::SyscallType;
use oci_spec::runtime::Process;

use super::console::{self, Console};
use super::error::ChildError;
use super::guards::{self, Guards};
use super::program::ProgramExecutor;
use super::spec;
use crate::bundle::record;
use crate::control::messages::{ExecRequest, Message};
use crate::control::socket::ChildSocket;
use crate::this_program::own_pid;

/// Runs the program and says so.
pub(super) fn exec(request: &ExecRequest, link: &Rc<ChildSocket>) -> Result<(), ChildError> {
    let folder = record::folder(&request.bundle).map_err(ChildError::Shim)?;
    let own = own_pid();
    let file = folder.join(format!("process-{own}.json"));
    // libcontainer's own copy of the specification has no guards.
    let seccomp = spec::seccomp(&request.bundle)?;
    let mut process: Process =
        serde_json::from_value(request.process.clone()).map_err(ChildError::Process)?;
    let guards = Guards::take_added(&mut process, seccomp)?;
    guards::reset_inherited(&request.id, &guards.labels).map_err(ChildError::Guard)?;
    guards::reset_signals().map_err(ChildError::Guard)?;
    let write = || fs::write(&file, serde_json::to_vec(&process)?);
    write().map_err(ChildError::system(format!("writing {}", file.display())))?;
    // libcontainer only runs programs in containers that it has started itself.
    Container::load(folder.join(&request.id))
        .and_then(|mut container| container.set_status(ContainerStatus::Running).save())
        .map_err(ChildError::Container)?;
    let console = request
        .stdio
        .terminal
        .then(|| Console::listen(&folder, &format!("console-{own}.sock")))
        .transpose()?;
    let builder = ContainerBuilder::new(request.id.clone(), SyscallType::Linux)
        .with_root_path(&folder)
        .map_err(ChildError::Container)?
        .with_executor(ProgramExecutor {
            link: Rc::clone(link),
            guards,
        });
    let builder = console::give_streams(builder, console.as_ref(), &request.stdio)?;
    let built = builder
        .as_tenant()
        .with_detach(true)
        .with_process(Some(&file))
        .with_sub_cgroup(request.sub_group.clone())
        .build();
    // It has been read, or is of no use.
    let _ = fs::remove_file(&file);
    let pid = built.map_err(ChildError::Container)?.as_raw();
    let executed = Message::Executed { pid };
    console::send(link, &executed, console, "telling that the program runs")
}
