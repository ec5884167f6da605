//! A container under runc, as containerd calls it.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::bundle;
use crate::facts::{Facts, Outcome, drain};
use crate::shim::pipes;
use crate::support::bundle::Bundle;
use crate::support::{Node, until};

/// runc with folders of a node's own.
pub(crate) struct Runc {
    program: PathBuf,
    root: PathBuf,
}

impl Runc {
    pub(crate) fn new(node: &Node) -> Self {
        let tools = std::env::var_os("SAMPAN_TOOLS").map(PathBuf::from).expect(
            "SAMPAN_TOOLS must name the folder with `runc`: `cargo xtask test end-to-end` builds it",
        );
        let program = tools.join("runc");
        assert!(program.is_file(), "{} is not there", program.display());
        Self {
            program,
            root: node.path().join("runc"),
        }
    }

    fn command(&self, node: &Node, words: &[&str]) -> Command {
        let mut command = node.command(&self.program);
        command.arg("--root").arg(&self.root);
        if node.groups().is_systemd() {
            command.arg("--systemd-cgroup");
        }
        command.args(words);
        command.stdin(Stdio::null());
        command
    }

    fn call(&self, node: &Node, words: &[&str]) -> Output {
        self.command(node, words).output().expect("runc starts")
    }

    /// Runs the probe: as the container's first process, or added to one that waits.
    pub(crate) async fn run(&self, node: &Node, bundle: &Bundle, added: bool) -> Outcome {
        let (stdout, stderr) = (bundle.reader("stdout"), bundle.reader("stderr"));
        if !self.start(node, bundle) {
            self.remove(node, bundle);
            return Outcome::Refused(drain(stderr).await);
        }
        let outcome = if added {
            self.add(node, bundle).await
        } else {
            until("runc's container has ended", || {
                self.status(node, bundle) == "stopped"
            })
            .await;
            Outcome::Ran(Facts::parse(
                &drain(stdout).await,
                &drain(stderr).await,
                bundle.id(),
            ))
        };
        self.remove(node, bundle);
        outcome
    }

    /// Makes and starts a container. What runc says is in its pipes.
    pub(crate) fn start(&self, node: &Node, bundle: &Bundle) -> bool {
        let folder = bundle.path().display().to_string();
        let mut create = self.command(node, &["create", "--bundle", &folder, bundle.id()]);
        create.stdout(writer(bundle, "stdout"));
        create.stderr(writer(bundle, "stderr"));
        let mut start = self.command(node, &["start", bundle.id()]);
        start.stderr(writer(bundle, "stderr"));
        [create, start]
            .iter_mut()
            .all(|command| command.status().expect("runc starts").success())
    }

    async fn add(&self, node: &Node, bundle: &Bundle) -> Outcome {
        let process = bundle.path().join("added.json");
        fs::write(&process, bundle::added(bundle).to_string()).expect("a process");
        pipes(bundle);
        let (stdout, stderr) = (bundle.reader("added-stdout"), bundle.reader("added-stderr"));
        let process = process.display().to_string();
        let mut exec = self.command(
            node,
            &["exec", "--detach", "--process", &process, bundle.id()],
        );
        exec.stdout(writer(bundle, "added-stdout"));
        exec.stderr(writer(bundle, "added-stderr"));
        let status = exec.status().expect("runc starts");
        drop(exec);
        let errors = drain(stderr).await;
        if !status.success() {
            return Outcome::Refused(errors);
        }
        Outcome::Ran(Facts::parse(&drain(stdout).await, &errors, bundle.id()))
    }

    fn state(&self, node: &Node, bundle: &Bundle) -> Value {
        let output = self.call(node, &["state", bundle.id()]);
        serde_json::from_slice(&output.stdout).expect("a state")
    }

    fn status(&self, node: &Node, bundle: &Bundle) -> String {
        let state = self.state(node, bundle);
        state["status"].as_str().expect("a status").to_owned()
    }

    /// The first process, when it is that of the program.
    pub(crate) async fn pid(&self, node: &Node, bundle: &Bundle, program: &str) -> u64 {
        let pid = self.state(node, bundle)["pid"].as_u64().expect("a process");
        let name = format!("/proc/{pid}/comm");
        until(program, || {
            fs::read_to_string(&name).expect("it runs").trim() == program
        })
        .await;
        pid
    }

    /// Removes a container in any state.
    pub(crate) fn remove(&self, node: &Node, bundle: &Bundle) {
        let output = self.call(node, &["delete", "--force", bundle.id()]);
        assert!(output.status.success(), "{output:?}");
    }
}

fn writer(bundle: &Bundle, name: &str) -> fs::File {
    let path: &Path = bundle.path();
    let file = OpenOptions::new().write(true).open(path.join(name));
    file.expect("a pipe with a reader")
}
