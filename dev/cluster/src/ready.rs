//! Waits until something is ready, and reports what failed to become so.

use std::fmt::Write as _;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::processes::Processes;

/// How long anything may take to become ready, on a machine with other work.
const READY_TIMEOUT: Duration = Duration::from_mins(10);
/// How often to check.
const POLL_INTERVAL: Duration = Duration::from_millis(150);
/// How many lines of a log an error shows.
const LOG_TAIL_LINES: usize = 15;

/// Waits until the check succeeds; fails after the timeout, or when a required component ends.
pub(crate) fn wait(
    processes: &Processes,
    what: &str,
    components: &[&str],
    mut check: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let begun = Instant::now();
    loop {
        if check()? {
            return Ok(());
        }
        for component in components {
            if processes.running(component)?.is_none() {
                bail!("{component} has ended{}", tail(processes, component));
            }
        }
        if begun.elapsed() >= READY_TIMEOUT {
            let tails = components.iter().map(|name| tail(processes, name));
            let tails: String = tails.collect();
            bail!(
                "{what} is not ready after {} s{tails}",
                READY_TIMEOUT.as_secs()
            );
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// The end of a component's log, and the path of the rest.
fn tail(processes: &Processes, component: &str) -> String {
    let log = processes.log(component);
    let text = match fs::read(&log) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => error.to_string(),
    };
    let lines: Vec<_> = text.lines().collect();
    let mut tail = format!("\n  the end of {}:", log.display());
    for line in &lines[lines.len().saturating_sub(LOG_TAIL_LINES)..] {
        // Writing to a string does not fail.
        let _ = write!(tail, "\n  | {line}");
    }
    tail
}
