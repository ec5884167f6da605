//! The program `containerd-shim-sampan-v1`: WebAssembly functions and ordinary containers as containerd's tasks.
//!
//! The first argument selects one of four parts:
//!
//! - `start` and `delete` ([`launch`]): containerd's own calls, short.
//! - The supervisor ([`launch::supervisor`]): one small process for each pod. It answers containerd, outlives the containers,
//!   and runs no WebAssembly.
//! - A child ([`child`]): makes one container and becomes its first process, or ends.
//! - The compiler, which the engine starts, and a reader of containerd's content.
//!
//! The shim does not use the Kubernetes API. All its information comes from containerd.
//!
//! # Behaviours: tasks
//!
//! Files are relative to `src`, tests to the crate.
//!
//! - `start` and `delete`: `launch/mod.rs` and `bundle/record.rs`; tests in `tests/functions.rs`.
//! - containerd's calls, and their errors: `service/mod.rs` and `error.rs`; tests in `tests/lifecycle.rs`.
//! - Tasks, added programs, and their processes: `task/mod.rs`, `task/exec.rs` and `task/process.rs`; tests in
//!   `tests/lifecycle.rs`.
//! - Reaping and events: `container/reaper.rs` and `task/events.rs`, with their tests, and `tests/functions.rs`.
//! - Streams of a container: `bundle/stdio.rs` and `child/function/output.rs`; tests in `tests/functions.rs`.
//! - A task without an owner after a restart of containerd: `service/orphans.rs`; tests in `tests/lifecycle.rs`, and
//!   `cluster_faults/churn.rs` of the cluster tests.
//! - The runtime's features for containerd and the kubelet: `launch/features.rs`, with its tests.
//!
//! # Behaviours: pods and containers
//!
//! - A pod's namespaces without a process: `pod/namespaces.rs` and `child/namespaces.rs`, with their tests, `tests/lifecycle.rs`
//!   and `tests/pods.rs`.
//! - The process namespace that containers of a pod share: `task/sandbox.rs`; tests in `tests/processes.rs`.
//! - A program that is added to a container: `child/exec.rs` and `child/function/executor.rs`; tests in `tests/processes.rs`
//!   and `tests/lifecycle.rs`.
//! - The choice between module and program: `child/payload/mod.rs` and `child/payload/image.rs`, with their tests.
//! - A function in a container: `executor.rs`, `serve.rs` and `command.rs` of `child/function`; tests in
//!   `tests/functions.rs`.
//! - Compiled modules that no container can change: `cache.rs` of the engine; tests in `tests/modules.rs`.
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
//! - Out of memory, statistics, removal, and the wait at an entry: `cgroup/group.rs`, `cgroup/entry.rs`, `cgroup/stats.rs`,
//!   `pod/oom.rs` and `task/group.rs`; tests in `cgroup/group.rs` and `tests/functions.rs`.

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

use std::process::ExitCode;

/// The runtime's name, as containerd spells it.
const RUNTIME: &str = "io.containerd.sampan.v1";

/// The hidden argument that the engine starts this program with to compile a module.
const COMPILE: &str = "__compile";

/// The hidden argument that a child starts this program with to read a module from containerd.
const FETCH: &str = "__fetch";

/// The hidden argument that the supervisor starts this program with to make a container.
const CREATE: &str = "__create";

/// The hidden argument that the supervisor starts this program with to keep a scope of systemd's.
const HOLD: &str = "__hold";

/// The hidden argument that the supervisor starts this program with to run a program in a container.
const EXEC: &str = "__exec";

/// This program itself, also when its file has been replaced since it was started: all parts are of
/// one version.
const SELF: &str = "/proc/self/exe";

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
