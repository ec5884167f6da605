//! One container under either runtime, with the same configuration.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

use containerd_shim::api::{PauseRequest, ResumeRequest, UpdateTaskRequest};
use containerd_shim::protos::ttrpc::context::Context;
use serde_json::Value;

use crate::support::added::any;
use crate::support::bundle::Bundle;
use crate::support::{Node, Shim, WAIT_TIMEOUT};

/// Who makes the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runtime {
    Runc,
    Sampan,
}

impl Runtime {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Runc => "runc",
            Self::Sampan => "sampan",
        }
    }
}

/// A container that runs.
pub(crate) struct Container {
    bundle: Bundle,
    handle: Handle,
}

enum Handle {
    Runc(Runc),
    Sampan(Shim),
}

struct Runc {
    root: PathBuf,
    child: Child,
    id: String,
}

/// The program of runc: among the cluster's programs, or in `PATH`.
pub(crate) fn runc() -> PathBuf {
    let tools = std::env::var_os("SAMPAN_TOOLS").map(|folder| PathBuf::from(folder).join("runc"));
    tools.unwrap_or_else(|| "runc".into())
}

impl Container {
    /// Makes and starts it. The error is what the runtime says.
    pub(crate) async fn start(
        node: &Node,
        runtime: Runtime,
        bundle: Bundle,
    ) -> Result<Self, String> {
        let bundle = bundle.finish();
        let handle = match runtime {
            Runtime::Runc => Handle::Runc(Runc::run(node, &bundle)?),
            Runtime::Sampan => Handle::Sampan(run(node, &bundle).await?),
        };
        Ok(Self { bundle, handle })
    }

    pub(crate) fn id(&self) -> &str {
        self.bundle.id()
    }

    /// The shim, if it is the runtime.
    pub(crate) fn shim(&self) -> Option<&Shim> {
        match &self.handle {
            Handle::Runc(_) => None,
            Handle::Sampan(shim) => Some(shim),
        }
    }

    /// Gives it other limits.
    pub(crate) async fn update(&self, resources: &Value) -> Result<(), String> {
        match &self.handle {
            Handle::Runc(runc) => runc.call(&["update", "-r", "-"], Some(resources)),
            Handle::Sampan(shim) => {
                let request = UpdateTaskRequest {
                    id: self.id().to_owned(),
                    resources: Some(any("LinuxResources", resources)).into(),
                    ..UpdateTaskRequest::default()
                };
                let updated = shim.client().update(Context::default(), &request).await;
                updated.map(drop).map_err(|error| error.to_string())
            }
        }
    }

    /// Stops its processes, or lets them go on.
    pub(crate) async fn freeze(&self, freeze: bool) -> Result<(), String> {
        match &self.handle {
            Handle::Runc(runc) => runc.call(&[if freeze { "pause" } else { "resume" }], None),
            Handle::Sampan(shim) if freeze => {
                let request = PauseRequest {
                    id: self.id().to_owned(),
                    ..PauseRequest::default()
                };
                let paused = shim.client().pause(Context::default(), &request).await;
                paused.map(drop).map_err(|error| error.to_string())
            }
            Handle::Sampan(shim) => {
                let request = ResumeRequest {
                    id: self.id().to_owned(),
                    ..ResumeRequest::default()
                };
                let resumed = shim.client().resume(Context::default(), &request).await;
                resumed.map(drop).map_err(|error| error.to_string())
            }
        }
    }

    /// Waits for its end, and removes it. The exit code.
    pub(crate) async fn wait(self) -> u32 {
        match self.handle {
            Handle::Runc(mut runc) => {
                let status = runc.child.wait().expect("runc is waited for");
                let code = status.code().expect("runc exits with its container's code");
                u32::try_from(code).expect("a code")
            }
            Handle::Sampan(shim) => {
                let id = self.bundle.id();
                let ended = shim.wait(id).await.expect("ended");
                shim.delete(id).await.expect("deleted");
                shim.shut_down().await;
                ended.exit_status
            }
        }
    }

    /// Ends it by SIGKILL, and removes it.
    pub(crate) async fn end(self) {
        match &self.handle {
            Handle::Runc(runc) => runc.call(&["kill", "KILL"], None).expect("killed"),
            Handle::Sampan(shim) => shim.kill(self.id(), 9).await.expect("killed"),
        }
        let code = self.wait().await;
        assert_eq!(code, 137, "the code of a container that is killed");
    }

    /// The path of a file of its root, as the machine sees it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.bundle.path().join("rootfs").join(name)
    }
}

async fn run(node: &Node, bundle: &Bundle) -> Result<Shim, String> {
    let shim = node.start(bundle).await;
    let created = match shim.create(bundle).await {
        Ok(_) => shim.start_task(bundle.id()).await.map(drop),
        Err(error) => Err(error),
    };
    match created {
        Ok(()) => Ok(shim),
        Err(error) => {
            shim.shut_down().await;
            Err(error.to_string())
        }
    }
}

impl Runc {
    fn run(node: &Node, bundle: &Bundle) -> Result<Self, String> {
        let root = node.path().join("runc");
        let pid_file = bundle.path().join("runc.pid");
        let log = bundle.path().join("runc.log");
        let mut command = base(&root, node);
        let output = fs::File::create(&log).expect("a log");
        let mut child = command
            .args(["run", "--pid-file"])
            .arg(&pid_file)
            .arg("--bundle")
            .arg(bundle.path())
            .arg(bundle.id())
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a log"))
            .stderr(output)
            .spawn()
            .expect("runc starts");
        let begun = Instant::now();
        // The file appears once the container's process is started.
        while !pid_file.exists() {
            assert!(begun.elapsed() < WAIT_TIMEOUT, "runc starts no container");
            if child.try_wait().expect("runc is waited for").is_some() && !pid_file.exists() {
                return Err(fs::read_to_string(&log).expect("what runc said"));
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        Ok(Self {
            root,
            child,
            id: bundle.id().to_owned(),
        })
    }

    /// Calls runc for the container; its options come before the container's name, and a signal after it.
    fn call(&self, words: &[&str], input: Option<&Value>) -> Result<(), String> {
        let mut command = Command::new(runc());
        command.arg("--root").arg(&self.root);
        match words {
            ["kill", signal] => command.args(["kill", &self.id, signal]),
            words => command.args(words).arg(&self.id),
        };
        let output = feed(command, input);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        output.status.success().then_some(()).ok_or(said)
    }
}

impl Drop for Runc {
    fn drop(&mut self) {
        // What a failed test leaves would disturb others.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.call(&["delete", "--force"], None);
            let _ = self.child.wait();
        }
    }
}

fn base(root: &std::path::Path, node: &Node) -> Command {
    let mut command = Command::new(runc());
    command.arg("--root").arg(root);
    if node.groups().is_systemd() {
        command.arg("--systemd-cgroup");
    }
    command
}

fn feed(mut command: Command, input: Option<&Value>) -> Output {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("runc starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    if let Some(input) = input {
        // runc may have ended with an error already.
        let _ = stdin.write_all(&serde_json::to_vec(input).expect("JSON"));
    }
    drop(stdin);
    child.wait_with_output().expect("runc is waited for")
}
