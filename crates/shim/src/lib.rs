//! The program `containerd-shim-sampan-v1`: WebAssembly functions and ordinary containers as containerd's tasks.
//!
//! The first argument selects one of four parts:
//!
//! - `start` and `delete` ([`launch`]): containerd's own calls, short.
//! - The supervisor ([`launch::supervisor`]): one small process for each pod. It answers containerd, outlives the
//!   containers, and runs no WebAssembly.
//! - A child ([`child`]): makes one container and becomes its first process, or ends.
//! - The compiler, which the engine starts, and a reader of containerd's content.
//!
//! The shim does not use the Kubernetes API. All its information comes from containerd.
//!
//! # Source
//!
//! The folders are the stations of a container, in this order. Imports do not follow that order, but no file imports one
//! that imports it, directly or by way of others.
//!
//! | folder | content |
//! |---|---|
//! | [`launch`] | containerd's calls of the program, and the supervisor |
//! | [`service`] | containerd's task service |
//! | [`bundle`] | what containerd hands over in a container's folder, and what the shim keeps there |
//! | [`pod`] | what the containers of a pod share |
//! | [`task`] | a sandbox or a container, its processes and their states |
//! | [`container`] | a container as the supervisor makes it, with the help of a child |
//! | [`cgroup`] | its control group |
//! | [`control`] | the messages between the supervisor and the child |
//! | [`child`] | the child, and what runs in the container's first process |
//!
//! Beside them, `error.rs` has the failures of calls and their codes, and `this_program.rs` the names of the parts.
//!
//! # Behaviours: tasks
//!
//! Files are relative to `src`, tests to the crate.
//!
//! - `start` and `delete`: `launch/mod.rs`, `bundle/record.rs` and `bundle/leftovers.rs`; tests in
//!   `tests/functions.rs`.
//! - containerd's calls, and their errors: `service/calls.rs`, `service/create.rs` and `error.rs`, with its tests, and
//!   `tests/lifecycle.rs`.
//! - States of processes, and calls that come at the wrong time: `task/state.rs`, with its tests, and
//!   `tests/lifecycle.rs`.
//! - Tasks, added programs, and their processes: `create.rs`, `start.rs`, `exec.rs`, `end.rs` and `process.rs` of
//!   `task`; tests in `tests/lifecycle.rs`.
//! - Reaping and events: `container/reaper.rs` and `task/type_url.rs`, with their tests, `task/events.rs`, and
//!   `tests/functions.rs`.
//! - Streams and terminals of a container: `bundle/stdio.rs`, `task/terminal.rs` and `child/function/output.rs`; tests
//!   in `tests/functions.rs` and `tests/signals.rs`.
//! - A task without an owner after a restart of containerd: `service/orphans.rs`; tests in `tests/lifecycle.rs`, and
//!   `cluster_faults/churn.rs` of the cluster tests.
//! - The runtime's features for containerd and the kubelet: `launch/features.rs`, with its tests.
//!
//! # Behaviours: pods and containers
//!
//! - A pod's namespaces without a process: `pod/namespaces.rs` and `child/namespaces.rs`, with their tests,
//!   `tests/lifecycle.rs` and `tests/pods.rs`.
//! - The process namespace that containers of a pod share: `task/sandbox.rs` and `pod/shared_processes.rs`; tests in
//!   `tests/processes.rs`.
//! - A program that is added to a container: `child/exec.rs` and `child/program.rs`; tests in `tests/processes.rs` and
//!   `tests/lifecycle.rs`.
//! - The choice between module and program: `child/payload/mod.rs` and `child/payload/image.rs`, with their tests.
//! - A function in a container: `mod.rs`, `executor.rs`, `serve.rs` and `command.rs` of `child/function`; tests in
//!   `tests/functions.rs`.
//! - Compiled modules that no container can change: `compile/cache.rs` of the engine; tests in `tests/modules.rs`.
//! - Options of a container's mounts that libcontainer leaves out: `child/mounts/mod.rs` and `child/mounts/options.rs`,
//!   with their tests, and `tests/mounts.rs`.
//! - Volumes, single files and the working directory of a command: `child/volumes.rs` and `child/cwd.rs`, with their
//!   tests, and `tests/commands.rs`.
//! - Stop signals and terminals: `child/function/signals.rs` and `child/console.rs`; tests in `tests/signals.rs`.
//! - Guards of a process (seccomp, capabilities, AppArmor, SELinux, inherited state): `child/guards/mod.rs`, with its
//!   tests, and `tests/guards` beside runc.
//! - Metrics of a function in a pod: `child/function/admin.rs`; tests in `cluster_fields` of the cluster tests.
//!
//! # Behaviours: control groups
//!
//! - `linux.resources`, as files and as properties of a scope: `cgroup/make.rs`, `cgroup/v1.rs`, `cgroup/v2.rs`,
//!   `cgroup/unit.rs` and `cgroup/systemd.rs`, with their tests, and `tests/limits` beside runc.
//! - Device rules: `cgroup/devices/policy.rs` and `cgroup/devices/program.rs`, with their tests, and
//!   `tests/limits/behaviour.rs`.
//! - Out of memory, statistics, removal, and the wait at an entry: `cgroup/group.rs`, `cgroup/entry.rs`,
//!   `cgroup/stats.rs`, `pod/oom.rs` and `task/group.rs`; tests in `cgroup/group.rs` and `tests/functions.rs`.

mod bundle;
mod cgroup;
mod child;
mod container;
mod control;
mod error;
mod launch;
mod pod;
mod service;
mod task;
mod this_program;

use std::process::ExitCode;

use this_program::{COMPILE, CREATE, EXEC, FETCH, HOLD};

/// Runs the part that the arguments of this process name.
pub fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments
        .next()
        .as_deref()
        .and_then(std::ffi::OsStr::to_str)
    {
        Some(CREATE) => child::create(),
        Some(EXEC) => child::exec(),
        Some(HOLD) => cgroup::holder::main(),
        Some(FETCH) => child::fetch(arguments),
        Some(COMPILE) => {
            let rest: Vec<String> = arguments
                .map(|argument| argument.to_string_lossy().into_owned())
                .collect();
            sampan_engine::compile_child(&rest)
        }
        _ => launch::main(),
    }
}
