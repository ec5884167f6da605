//! Programs that end with this one.

use std::process::Command;

/// A command that gets a signal, such as `KILL`, from the kernel when this program ends, however it
/// ends. Start it on a thread that lives at least as long: the kernel sends the signal at the end of
/// that thread.
pub fn command_until_exit(signal: &str, program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", signal, program]);
    command
}
