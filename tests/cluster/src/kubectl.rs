//! Runs `kubectl`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// `kubectl` with the cluster's kubeconfig. Its calls block, so a test with concurrent tasks needs
/// a runtime of several threads.
#[derive(Debug, Clone)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    namespace: Option<String>,
}

impl Kubectl {
    pub(crate) fn new(program: PathBuf, kubeconfig: PathBuf) -> Kubectl {
        Kubectl {
            program,
            kubeconfig,
            namespace: None,
        }
    }

    /// The same, in a namespace.
    #[must_use]
    pub fn within(mut self, namespace: &str) -> Kubectl {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// A command that the caller starts.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--kubeconfig").arg(&self.kubeconfig);
        if let Some(namespace) = &self.namespace {
            command.args(["--namespace", namespace]);
        }
        command.args(words);
        command
    }

    /// Runs it; a failure is no panic.
    pub fn run(&self, words: &[&str]) -> Output {
        let output = self.command(words).stdin(Stdio::null()).output();
        output.expect("failed to start kubectl")
    }

    /// Runs it and returns its stdout; panics if it fails.
    pub fn output(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {words:?}: {said}");
        String::from_utf8(output.stdout).expect("kubectl wrote invalid UTF-8")
    }

    /// Applies the YAML; panics if that fails.
    pub fn apply(&self, yaml: &str) {
        let output = self.try_apply(yaml);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl apply: {said}\n{yaml}");
    }

    /// Applies the YAML.
    pub fn try_apply(&self, yaml: &str) -> Output {
        let mut command = self.command(&["apply", "-f", "-"]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("failed to start kubectl");
        let mut input = child.stdin.take().expect("kubectl has no stdin");
        input
            .write_all(yaml.as_bytes())
            .expect("failed to write to kubectl");
        drop(input);
        child
            .wait_with_output()
            .expect("failed to wait for kubectl")
    }
}
