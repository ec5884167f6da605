//! A process that is killed when this process ends, also if this process is killed.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Starts the program, prints its process number, and kills it at the end of its own stdin. The
/// kernel closes that with this process.
const SCRIPT: &str = r#"
trap '' INT TERM
"$0" "$@" >>"$LOG" 2>&1 &
echo $!
read -r _
kill -9 $!
wait
"#;

/// A running process.
#[derive(Debug)]
pub(crate) struct KillOnExit {
    shell: Child,
    pid: u32,
}

impl KillOnExit {
    /// Starts a program with its output in a file.
    pub(crate) async fn start(
        program: &Path,
        arguments: &[String],
        environment: &[(&str, String)],
        log: &Path,
    ) -> Result<KillOnExit> {
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
        let mut shell = started.with_context(|| format!("failed to start {shown}"))?;
        let output = shell.stdout.take().context("sh has no output")?;
        let line = BufReader::new(output).lines().next_line().await?;
        let pid = line.and_then(|line| line.trim().parse().ok());
        let pid = pid.with_context(|| format!("failed to start {shown}"))?;
        Ok(KillOnExit { shell, pid })
    }

    /// The process number.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Kills it, and waits until it is gone.
    pub(crate) async fn end(mut self) -> Result<()> {
        drop(self.shell.stdin.take());
        self.shell
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
    async fn end_kills_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let arguments = ["-c".to_owned(), "echo here; exec sleep 600".to_owned()];
        let child = KillOnExit::start(Path::new("/bin/sh"), &arguments, &[], &log)
            .await
            .unwrap();
        let process = format!("/proc/{}", child.pid());
        assert!(Path::new(&process).exists());
        child.end().await.unwrap();
        assert!(!Path::new(&process).exists());
    }
}
