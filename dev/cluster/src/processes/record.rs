//! Identifies a started process by its number and its start time, since the kernel reuses numbers.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// A started process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) pid: i32,
    /// In the kernel's ticks since boot. Two processes with one number differ in it.
    start: u64,
    boot: String,
    /// A hash of everything that decides how the process runs.
    pub(super) fingerprint: String,
}

impl Record {
    /// Records a process that was just started.
    pub(super) fn of(pid: u32, fingerprint: String) -> Result<Record> {
        let pid = i32::try_from(pid).context("the process number is too great")?;
        let start = start_time(pid)?.context("the process ended at once")?;
        Ok(Record {
            pid,
            start,
            boot: boot()?,
            fingerprint,
        })
    }

    /// Whether the process still runs.
    pub(super) fn is_alive(&self) -> Result<bool> {
        Ok(self.boot == boot()? && start_time(self.pid)? == Some(self.start))
    }

    /// Sends it a signal; does nothing if it has just ended.
    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.pid).context("the record has no process number")?;
        match kill_process(pid, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// The start time of a process; `None` if it has ended, also if its parent has not yet reaped it.
fn start_time(pid: i32) -> Result<Option<u64>> {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => {
            let parsed = parse_stat(&stat);
            let (state, start) =
                parsed.with_context(|| format!("failed to parse /proc/{pid}/stat: {stat}"))?;
            Ok((!matches!(state, "Z" | "X")).then_some(start))
        }
        // ESRCH comes when the process ends during the read.
        Err(error)
            if error.kind() == io::ErrorKind::NotFound
                || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) =>
        {
            Ok(None)
        }
        Err(error) => Err(error).with_context(|| format!("failed to read /proc/{pid}/stat")),
    }
}

/// Parses the state and the start time from a line of `/proc/PID/stat`.
fn parse_stat(stat: &str) -> Option<(&str, u64)> {
    // The second field is the program's name in parentheses, which may hold any character.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let state = fields.next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// The identifier of this boot of the machine.
fn boot() -> Result<String> {
    let file = Path::new("/proc/sys/kernel/random/boot_id");
    let id = fs::read_to_string(file);
    let id = id.with_context(|| format!("failed to read {}", file.display()))?;
    Ok(id.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_start() {
        fn check(stat: &str, expected: Option<(&str, u64)>) {
            assert_eq!(parse_stat(stat), expected, "{stat}");
        }
        let rest = "1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 1 1";
        check(&format!("5 (sh) S {rest}"), Some(("S", 4711)));
        check(&format!("5 (a ) Z) S {rest}"), Some(("S", 4711)));
        check(&format!("5 (sh) Z {rest}"), Some(("Z", 4711)));
        check("5 (sh) S 1", None);
        check("", None);
    }
}
