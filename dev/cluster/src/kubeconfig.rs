//! Writes kubeconfigs, and calls `kubectl`.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use sampan_checkout::cargo::{output, shown};
use serde_json::json;

use super::keys::Keys;
use super::layout::Layout;

/// Writes the kubeconfig of a client, named by its certificate. JSON is valid YAML.
pub(crate) fn write(file: &Path, server: &str, keys: &Keys, client: &str) -> Result<()> {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": "sampan",
            "cluster": { "server": server, "certificate-authority": keys.certificate("ca") },
        }],
        "users": [{
            "name": client,
            "user": {
                "client-certificate": keys.certificate(client),
                "client-key": keys.key(client),
            },
        }],
        "contexts": [{ "name": "sampan", "context": { "cluster": "sampan", "user": client } }],
        "current-context": "sampan",
    });
    let unfinished = file.with_extension("new");
    let write = || {
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let text = serde_json::to_string_pretty(&config)?;
        options.open(&unfinished)?.write_all(text.as_bytes())?;
        fs::rename(&unfinished, file)
    };
    write().with_context(|| format!("failed to write {}", file.display()))
}

/// `kubectl` as the cluster's administrator.
#[derive(Debug)]
pub(crate) struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Kubectl {
    pub(crate) fn new(layout: &Layout) -> Kubectl {
        Kubectl {
            program: layout.program("kubectl"),
            kubeconfig: layout.kubeconfig(),
        }
    }

    /// Returns what kubectl prints; an error carries its stderr.
    pub(crate) fn output(&self, words: &[&str]) -> Result<String> {
        let said = output(&mut self.command(words))?;
        String::from_utf8(said).context("kubectl wrote invalid UTF-8")
    }

    /// Whether the command succeeds against the API server.
    pub(crate) fn succeeds(&self, words: &[&str]) -> Result<bool> {
        let mut command = self.command(words);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let status = command.status();
        Ok(status
            .with_context(|| format!("failed to start {}", shown(&command)))?
            .success())
    }

    /// Applies a manifest.
    pub(crate) fn apply(&self, manifest: &str) -> Result<()> {
        let mut command = self.command(&["apply", "--server-side", "--force-conflicts", "-f", "-"]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let started = command.spawn();
        let mut child = started.with_context(|| format!("failed to start {}", shown(&command)))?;
        let mut input = child.stdin.take().context("kubectl has no stdin")?;
        let written = input.write_all(manifest.as_bytes());
        drop(input);
        let output = child
            .wait_with_output()
            .context("failed to wait for kubectl")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("{} failed: {}", shown(&command), said.trim());
        }
        written.context("failed to write to kubectl")
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .arg("--request-timeout=10s")
            .args(words);
        command
    }
}
