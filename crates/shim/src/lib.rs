//! `containerd-shim-sampan-v1`: WebAssembly functions and ordinary containers as containerd's tasks.
//!
//! One program has four parts, selected by its first argument:
//!
//! - `start` and `delete` ([`launch`]): containerd's own calls, short;
//! - the supervisor ([`supervisor`]): one process a pod, small, that answers containerd and outlives
//!   the containers. It runs no WebAssembly;
//! - a child ([`child`]): makes one container and becomes its first process, or ends;
//! - the compiler, which the engine starts, and a reader of containerd's content.
//!
//! It does not use the Kubernetes API. All that it gets comes from containerd.

mod any;
mod cgroup;
mod child;
mod children;
mod container;
mod error;
mod events;
mod exec;
mod features;
mod head;
mod launch;
mod link;
mod log;
mod lost;
mod measure;
mod oom;
mod pod;
mod process;
mod reaper;
mod record;
mod service;
mod shared_processes;
mod signal;
mod stdio;
mod supervisor;
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
