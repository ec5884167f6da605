//! This program as it names, starts and numbers itself.

/// The runtime's name, as containerd spells it.
pub(crate) const RUNTIME: &str = "io.containerd.sampan.v1";

/// This program itself, also when its file has been replaced since it was started: all parts are of
/// one version.
pub(crate) const SELF: &str = "/proc/self/exe";

/// The hidden argument that the engine starts this program with to compile a module.
pub(crate) const COMPILE: &str = "__compile";

/// The hidden argument that a child starts this program with to read a module from containerd.
pub(crate) const FETCH: &str = "__fetch";

/// The hidden argument that the supervisor starts this program with to make a container.
pub(crate) const CREATE: &str = "__create";

/// The hidden argument that the supervisor starts this program with to keep a scope of systemd's.
pub(crate) const HOLD: &str = "__hold";

/// The hidden argument that the supervisor starts this program with to run a program in a container.
pub(crate) const EXEC: &str = "__exec";

/// The hidden argument that `start` starts the supervisor with.
pub(crate) const SERVE: &str = "__serve";

/// This process's number, as kernels count.
pub(crate) fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}
