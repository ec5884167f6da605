//! Resets what a process inherits from containerd and the supervisor, and a container must not have.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use keyutils::{Keyring, Permission};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::umask;
use rustix::thread::set_thread_groups;
use signal_hook::consts::FORBIDDEN;

use super::error::GuardError;
use super::label::Labels;

/// The mask of file modes where a specification has none, as with runc.
pub(super) const UMASK: u32 = 0o022;

/// Signals that the C library keeps for itself.
const RESERVED: [i32; 2] = [32, 33];

/// Gives up supplementary groups, the session keyring and the mask of file modes. What is forked later has none of
/// them. Programs that are added to a container join its keyring, as with runc.
///
/// # Errors
///
/// [`GuardError`] for what could not be reset.
pub(crate) fn reset_inherited(id: &str, labels: &Labels) -> Result<(), GuardError> {
    umask(Mode::from_raw_mode(UMASK));
    set_thread_groups(&[]).map_err(|source| GuardError::System {
        doing: "giving up supplementary groups",
        source: source.into(),
    })?;
    let _label = labels.label_keys()?;
    match join_session(id) {
        // A kernel without keyrings has none to be seen.
        Err(error) if error.0 == Errno::NOSYS.raw_os_error() => Ok(()),
        joined => joined.map_err(|source| GuardError::System {
            doing: "joining a session keyring of the container's own",
            source: source.into(),
        }),
    }
}

/// Joins the container's session keyring, which its first process makes, and lets others of its user find it.
fn join_session(id: &str) -> keyutils::Result<()> {
    let mut keyring = Keyring::join_session(format!("_ses.{id}"))?;
    let permissions = keyring.description()?.perms;
    keyring.set_permissions(permissions | Permission::USER_SEARCH)
}

/// Has a program that is executed later find the default action for signals that this process ignores: the Rust
/// runtime ignores SIGPIPE, and systemd has services ignore it. Executing a program resets handlers, and keeps ignoring.
///
/// # Errors
///
/// [`GuardError::System`] when a handler cannot be set.
pub(crate) fn reset_signals() -> Result<(), GuardError> {
    let failed = |source| GuardError::System {
        doing: "resetting ignored signals",
        source,
    };
    let status = fs::read_to_string("/proc/self/status").map_err(failed)?;
    for signal in ignored(&status).filter(|signal| !FORBIDDEN.contains(signal)) {
        let flag = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal, flag).map_err(failed)?;
    }
    Ok(())
}

/// Signals that a process ignores, as its status lists them.
fn ignored(status: &str) -> impl Iterator<Item = i32> {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let set = line.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    let set = set.unwrap_or_default();
    (1..=64).filter(move |signal| set >> (signal - 1) & 1 == 1 && !RESERVED.contains(signal))
}

#[cfg(test)]
mod tests {
    use super::ignored;

    #[test]
    fn ignored_signals_are_those_of_the_status() {
        let check = |line: &str, expected: &[i32]| {
            let status = format!("Name:\ta\nSigBlk:\tffffffffffffffff\n{line}\n");
            assert_eq!(ignored(&status).collect::<Vec<_>>(), expected, "{line}");
        };
        check("SigIgn:\t0000000000000000", &[]);
        check("SigIgn:\t0000000000001200", &[10, 13]);
        check("SigIgn:\t8000000180000001", &[1, 64]);
        check("", &[]);
    }
}
