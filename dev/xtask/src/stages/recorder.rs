//! Runs the commands of a stage and records their output.
//!
//! All output goes to a file. One line at a time is shown as progress, and the relevant part after
//! a failure.

mod tally;

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, IsTerminal as _, PipeReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use sampan_checkout::cargo::shown;

pub(super) use tally::Tally;

/// How often to print progress where lines cannot be overwritten.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(30);

/// The most characters of a line of progress.
const WIDTH: usize = 100;

/// The recorder of a stage.
#[derive(Debug)]
pub(super) struct Recorder {
    log: PathBuf,
    file: File,
    begun: Instant,
    tally: Tally,
    terminal: bool,
    shown_at: Instant,
}

impl Recorder {
    pub(super) fn create(folder: &Path, stage: &str) -> Result<Recorder> {
        let log = folder.join(format!("{stage}.log"));
        fs::create_dir_all(folder)
            .and_then(|()| File::create(&log))
            .with_context(|| format!("failed to write {}", log.display()))
            .map(|file| Recorder {
                log,
                file,
                begun: Instant::now(),
                tally: Tally::default(),
                terminal: io::stderr().is_terminal(),
                shown_at: Instant::now(),
            })
    }

    /// The file with the whole output.
    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// The counts of all tests in the recorded output.
    pub(super) fn tests(&self) -> Tally {
        self.tally
    }

    pub(super) fn run_all(&mut self, commands: Vec<Command>) -> Result<()> {
        commands
            .into_iter()
            .try_for_each(|mut command| self.run(&mut command))
    }

    /// Runs a command to its end; fails when the command fails.
    pub(super) fn run(&mut self, command: &mut Command) -> Result<()> {
        self.log_line(&format!("$ {}", shown(command).trim_matches('`')))?;
        let (reader, writer) = io::pipe().context("failed to make a pipe")?;
        let both = writer.try_clone().context("failed to share a pipe")?;
        command.stdin(Stdio::null()).stdout(both).stderr(writer);
        let started = command.spawn();
        let mut child = started.with_context(|| format!("failed to start {}", shown(command)))?;
        // The command holds ends of the pipe, which would keep it open.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let lines = read(reader);
        self.record(&lines)?;
        let status = child
            .wait()
            .with_context(|| format!("failed to wait for {}", shown(command)))?;
        if !status.success() {
            bail!("{} ended with {status}", shown(command));
        }
        Ok(())
    }

    /// Adds a line to the record.
    pub(super) fn log_line(&mut self, line: &str) -> Result<()> {
        self.tally.read(line);
        let written = writeln!(self.file, "{line}");
        written.with_context(|| format!("failed to write {}", self.log.display()))
    }

    /// Shows the relevant part of a failure.
    pub(super) fn show_failure(&self) -> Result<()> {
        let text = fs::read(&self.log);
        let text = text.with_context(|| format!("failed to read {}", self.log.display()))?;
        let text = String::from_utf8_lossy(&text);
        for line in tally::failures(&text) {
            eprintln!("  | {line}");
        }
        Ok(())
    }

    /// Clears the line of progress.
    pub(super) fn finish(&self) {
        if self.terminal {
            eprint!("\r\x1b[2K");
        }
    }

    fn record(&mut self, lines: &Receiver<String>) -> Result<()> {
        let mut latest = String::new();
        loop {
            match lines.recv_timeout(PROGRESS_INTERVAL) {
                Ok(line) => {
                    self.log_line(&line)?;
                    latest = line;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            self.show(&latest);
        }
    }

    fn show(&mut self, line: &str) {
        let seconds = self.begun.elapsed().as_secs();
        let line: String = line
            .trim()
            .chars()
            .filter(|c| !c.is_control())
            .take(WIDTH)
            .collect();
        if self.terminal {
            eprint!("\r\x1b[2K    {seconds:>4} s  {line}");
        } else if self.shown_at.elapsed() >= PROGRESS_INTERVAL {
            self.shown_at = Instant::now();
            eprintln!("    {seconds:>4} s  {line}");
        }
    }
}

/// The lines of a pipe, until all of its writers are closed.
fn read(reader: PipeReader) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(reader).split(b'\n') {
            let Ok(line) = line else { return };
            // The receiver is dropped only when the record cannot be written.
            if sender
                .send(String::from_utf8_lossy(&line).into_owned())
                .is_err()
            {
                return;
            }
        }
    });
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_streams_are_recorded_and_a_failed_command_is_an_error() {
        fn check(script: &str, expected: &str, success: bool) {
            let folder = tempfile::tempdir().unwrap();
            let mut recorder = Recorder::create(folder.path(), "unit").unwrap();
            let ran = recorder.run(Command::new("sh").args(["-c", script]));
            assert_eq!(ran.is_ok(), success, "{script}");
            let log = fs::read_to_string(recorder.log()).unwrap();
            assert_eq!(log, format!("$ sh -c {script}\n{expected}"));
        }
        check("echo one; echo two >&2", "one\ntwo\n", true);
        check("echo no; exit 3", "no\n", false);
    }

    #[test]
    fn tests_are_counted_over_commands() {
        let folder = tempfile::tempdir().unwrap();
        let mut recorder = Recorder::create(folder.path(), "unit").unwrap();
        for _ in 0..2 {
            let said = "test result: ok. 3 passed; 0 failed; 0 ignored";
            recorder.run(Command::new("echo").arg(said)).unwrap();
        }
        assert_eq!(recorder.tests().passed, 6);
    }
}
