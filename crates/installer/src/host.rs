//! Programs of the node, run where they belong: in the namespaces of its first process when this one is in a pod.
//!
//! Refuses to go on without having entered all of them.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Stdio;

use containerd_client::Client;
use containerd_client::services::v1::PluginsRequest;
use nix::sched::{CloneFlags, setns};
use tokio::process::Command;

use crate::arguments::{Enter, Node};
use crate::error::Error;

/// How much of what a program says is told.
const TOLD: usize = 600;
/// The namespaces, the mounts last: from then on, paths are the node's.
const NAMESPACES: [(&str, CloneFlags); 5] = [
    ("uts", CloneFlags::CLONE_NEWUTS),
    ("ipc", CloneFlags::CLONE_NEWIPC),
    ("net", CloneFlags::CLONE_NEWNET),
    ("pid", CloneFlags::CLONE_NEWPID),
    ("mnt", CloneFlags::CLONE_NEWNS),
];

/// The node's programs and its containerd.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    enter: bool,
    socket: PathBuf,
}

impl Host {
    pub(crate) fn new(node: &Node, socket: PathBuf) -> Self {
        Self {
            enter: node.enter,
            socket,
        }
    }

    /// Runs a program on the node and returns what it wrote to standard output.
    pub(crate) async fn run(&self, words: &[&str]) -> Result<String, Error> {
        let command = words.join(" ");
        let mut process = if self.enter {
            let mut process = Command::new("/proc/self/exe");
            process
                .args(["__enter", "--process", "1", "--"])
                .args(words);
            process
        } else {
            let mut process = Command::new(words[0]);
            process.args(&words[1..]);
            process
        };
        let output = process
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|source| Error::Start {
                command: command.clone(),
                source,
            })?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let skip = said.chars().count().saturating_sub(TOLD);
        Err(Error::Failed {
            command,
            status: output.status,
            said: said
                .chars()
                .skip(skip)
                .collect::<String>()
                .trim()
                .to_owned(),
        })
    }

    /// Whether containerd answers and the plugin that serves the kubelet works. What is wrong, in words.
    pub(crate) async fn healthy(&self) -> Result<(), String> {
        let told = |error: &dyn std::error::Error| crate::error::chain(error);
        let client = Client::from_path(&self.socket).await.map_err(|error| {
            format!(
                "does not answer at {}: {}",
                self.socket.display(),
                told(&error)
            )
        })?;
        let request = PluginsRequest {
            filters: Vec::new(),
        };
        let answer = client.introspection().plugins(request).await;
        let answer =
            answer.map_err(|error| format!("does not tell its plugins: {}", error.message()))?;
        for plugin in answer.into_inner().plugins {
            let serves = plugin.id == "cri" || plugin.r#type == "io.containerd.cri.v1";
            if let Some(error) = plugin.init_err.filter(|_| serves) {
                return Err(format!(
                    "cannot start its plugin {}.{}: {}",
                    plugin.r#type, plugin.id, error.message
                ));
            }
        }
        Ok(())
    }
}

/// Enters another process's namespaces and becomes a program there.
pub(crate) fn enter(arguments: &Enter) -> Result<Infallible, Error> {
    let failed = |source: io::Error| Error::Enter { source };
    // All are opened before the first is entered: their paths are those of here.
    let open = |(name, flag): (&str, CloneFlags)| {
        File::open(format!("/proc/{}/ns/{name}", arguments.process)).map(|file| (file, flag))
    };
    let files: Vec<_> = NAMESPACES
        .into_iter()
        .map(open)
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    for (file, flag) in files {
        setns(file, flag).map_err(|error| failed(error.into()))?;
    }
    let command = arguments.command.join(" ");
    let source = std::process::Command::new(&arguments.command[0])
        .args(&arguments.command[1..])
        // Programs are the node's, and so is where they are.
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .current_dir("/")
        .exec();
    Err(Error::Start { command, source })
}
