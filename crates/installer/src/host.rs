//! Runs programs of the node, in the node's namespaces if this process is in a pod.
//!
//! A program does not start unless all namespaces were entered.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use containerd_client::Client;
use containerd_client::services::v1::PluginsRequest;
use nix::sched::{CloneFlags, setns};
use tokio::net::UnixStream;
use tokio::process::Command;

use crate::arguments::{Enter, EnterProcess, Node};
use crate::error::Error;

/// The most characters of a program's standard error in an error.
const MAX_STDERR_CHARS: usize = 600;
/// The namespaces, the mounts last: after them, paths are the node's.
const NAMESPACES: [&str; 5] = ["uts", "ipc", "net", "pid", "mnt"];

/// The node's programs and its containerd.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    /// Kept open, so that they outlive the process from which they were opened.
    namespaces: Arc<Vec<File>>,
    socket: PathBuf,
}

impl Host {
    /// Opens the node's namespaces, if they differ from this process's.
    pub(crate) async fn new(node: &Node, socket: PathBuf) -> Result<Self, Error> {
        let failed = |source: io::Error| Error::Enter { source };
        let process = match node.enter {
            None => None,
            Some(EnterProcess::Init) => Some(1),
            Some(EnterProcess::Containerd) => {
                let stream = UnixStream::connect(&socket).await.map_err(failed)?;
                let peer = stream.peer_cred().map_err(failed)?.pid();
                Some(peer.filter(|process| *process > 0).ok_or_else(|| {
                    failed(io::Error::other(
                        "containerd's process is not visible in this PID namespace",
                    ))
                })?)
            }
        };
        let open = |process: i32| {
            let paths = NAMESPACES.map(|name| format!("/proc/{process}/ns/{name}"));
            paths.into_iter().map(File::open).collect::<Result<_, _>>()
        };
        let namespaces = process.map(open).transpose().map_err(failed)?;
        Ok(Self {
            namespaces: Arc::new(namespaces.unwrap_or_default()),
            socket,
        })
    }

    /// Runs a program on the node and returns what it wrote to standard output.
    pub(crate) async fn run(&self, words: &[&str]) -> Result<String, Error> {
        let command = words.join(" ");
        let mut process = if self.namespaces.is_empty() {
            let mut process = Command::new(words[0]);
            process.args(&words[1..]);
            process
        } else {
            let mut process = Command::new("/proc/self/exe");
            process.arg("__enter");
            for file in &*self.namespaces {
                let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
                process.arg("--namespace").arg(path);
            }
            process.arg("--").args(words);
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
        let stderr = String::from_utf8_lossy(&output.stderr);
        let skip = stderr.chars().count().saturating_sub(MAX_STDERR_CHARS);
        Err(Error::Failed {
            command,
            status: output.status,
            stderr: stderr
                .chars()
                .skip(skip)
                .collect::<String>()
                .trim()
                .to_owned(),
        })
    }

    /// Checks that containerd answers and that the kubelet's plugin works. The error is a text.
    pub(crate) async fn check_health(&self) -> Result<(), String> {
        let client = Client::from_path(&self.socket).await.map_err(|error| {
            format!(
                "does not answer at {}: {}",
                self.socket.display(),
                crate::error::chain(&error)
            )
        })?;
        let request = PluginsRequest {
            filters: Vec::new(),
        };
        let answer = client.introspection().plugins(request).await;
        let answer =
            answer.map_err(|error| format!("does not list its plugins: {}", error.message()))?;
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

/// Enters namespaces and replaces this process by a program there.
pub(crate) fn enter(arguments: &Enter) -> Result<Infallible, Error> {
    let failed = |source: io::Error| Error::Enter { source };
    // Opens all of them before entering the first: their paths are valid only here.
    let files: Vec<File> = arguments
        .namespaces
        .iter()
        .map(File::open)
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    for file in files {
        // The kernel detects the kind of each namespace from its file.
        setns(file, CloneFlags::empty()).map_err(|error| failed(error.into()))?;
    }
    let command = arguments.command.join(" ");
    let source = std::process::Command::new(&arguments.command[0])
        .args(&arguments.command[1..])
        // The node's programs are in the node's folders.
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .current_dir("/")
        .exec();
    Err(Error::Start { command, source })
}
