//! Waiting until something is ready, and telling what it was that did not become so.

use std::fmt::Write as _;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::processes::Processes;

/// How long anything may take to become ready, on a machine that has other work as well.
const PATIENCE: Duration = Duration::from_mins(3);
/// How often it is looked.
const GLANCE: Duration = Duration::from_millis(150);
/// How many lines of a log are shown.
const TAIL: usize = 15;

/// Waits until the check says so; fails when it takes too long, or when a component ends that it takes.
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
        if begun.elapsed() >= PATIENCE {
            let tails = components.iter().map(|name| tail(processes, name));
            let tails: String = tails.collect();
            bail!("{what} is not ready after {} s{tails}", PATIENCE.as_secs());
        }
        thread::sleep(GLANCE);
    }
}

/// The end of a component's log, and where the rest is.
fn tail(processes: &Processes, component: &str) -> String {
    let log = processes.log(component);
    let text = match fs::read(&log) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => error.to_string(),
    };
    let lines: Vec<_> = text.lines().collect();
    let mut tail = format!("\n  the end of {}:", log.display());
    for line in &lines[lines.len().saturating_sub(TAIL)..] {
        // Writing to a string does not fail.
        let _ = write!(tail, "\n  | {line}");
    }
    tail
}
