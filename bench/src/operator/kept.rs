//! A process that ends with this one, however this one ends.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Starts the program, tells its number, and kills it when its own input ends, which it does with us.
const SCRIPT: &str = r#"
trap '' INT TERM
"$0" "$@" >>"$LOG" 2>&1 &
echo $!
read -r _
kill -9 $!
wait
"#;

/// A process that runs.
#[derive(Debug)]
pub(super) struct Kept {
    keeper: Child,
    pid: u32,
}

impl Kept {
    /// Starts a program whose output goes to a file.
    pub(super) async fn start(
        program: &Path,
        arguments: &[String],
        environment: &[(&str, String)],
        log: &Path,
    ) -> Result<Kept> {
        let shown = program.display();
        let mut command = Command::new("sh");
        command
            .args(["-c", SCRIPT])
            .arg(program)
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .env("LOG", log)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let started = command.spawn();
        let mut keeper = started.with_context(|| format!("failed to start {shown}"))?;
        let output = keeper.stdout.take().context("sh has no output")?;
        let line = BufReader::new(output).lines().next_line().await?;
        let pid = line.and_then(|line| line.trim().parse().ok());
        let pid = pid.with_context(|| format!("failed to start {shown}"))?;
        Ok(Kept { keeper, pid })
    }

    /// Its number.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Kills it, and waits until it is gone.
    pub(super) async fn end(mut self) -> Result<()> {
        drop(self.keeper.stdin.take());
        self.keeper
            .wait()
            .await
            .context("failed to wait for the end of a process")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_ends_when_it_is_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let arguments = ["-c".to_owned(), "echo here; exec sleep 600".to_owned()];
        let kept = Kept::start(Path::new("/bin/sh"), &arguments, &[], &log)
            .await
            .unwrap();
        let process = format!("/proc/{}", kept.pid());
        assert!(Path::new(&process).exists());
        kept.end().await.unwrap();
        assert!(!Path::new(&process).exists());
    }
}
