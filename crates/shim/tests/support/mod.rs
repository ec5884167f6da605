//! The shim as containerd sees it: bundles on disk, `start` and `delete`, the task service over its
//! socket, and a socket of ours that takes its events.
//!
//! Everything a test makes lies in one folder, one control group and one network namespace, and what
//! is left of them in the end fails the test.

#![expect(dead_code, reason = "each test file uses what it needs")]

pub(crate) mod added;
mod bootstrap;
pub(crate) mod bundle;
mod course;
pub(crate) mod groups;
pub(crate) mod modules;
pub(crate) mod network;
pub(crate) mod pod;
pub(crate) mod unanswered;

use std::fs;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use containerd_shim::api::{
    CreateTaskRequest, CreateTaskResponse, DeleteRequest, DeleteResponse, Empty, KillRequest,
    ShutdownRequest, StartRequest, StateRequest, StateResponse, WaitRequest, WaitResponse,
};
use containerd_shim::protos::shim::events::ForwardRequest;
use containerd_shim::protos::shim_async::{Client, Events, TaskClient, create_events};
use containerd_shim::protos::ttrpc;
use containerd_shim::protos::ttrpc::asynchronous::transport::Listener;
use containerd_shim::protos::ttrpc::asynchronous::{Server, TtrpcContext};
use containerd_shim::protos::ttrpc::context::Context;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use bundle::Bundle;
use groups::{Form, Groups};

/// How long a test waits for a condition. An emulated machine takes ten times as long as others.
pub(crate) const WAIT_TIMEOUT: Duration = Duration::from_mins(5);

/// The shim under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_containerd-shim-sampan-v1");

/// Making containers needs root. Under CI a skipped test would count as passed, so it fails.
#[must_use]
pub(crate) fn may_run() -> bool {
    let root = rustix::process::geteuid().is_root();
    assert!(
        root || std::env::var_os("CI").is_none(),
        "these tests need root"
    );
    if !root {
        eprintln!("skipped: making containers needs root");
    }
    root
}

/// A node for one test.
pub(crate) struct Node {
    folder: TempDir,
    name: String,
    groups: Groups,
    events: Arc<Mutex<Vec<String>>>,
    parent: Vec<String>,
    program: PathBuf,
    _server: Server,
}

struct Recorder(Arc<Mutex<Vec<String>>>);

#[async_trait]
impl Events for Recorder {
    async fn forward(&self, _: &TtrpcContext, request: ForwardRequest) -> ttrpc::Result<Empty> {
        let topic = request.envelope().topic.clone();
        self.0.lock().expect("not poisoned").push(topic);
        Ok(Empty::new())
    }
}

impl Node {
    /// A node with nothing on it.
    pub(crate) async fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sampan-test-{}-{count}", std::process::id());
        let folder = tempfile::Builder::new()
            .prefix("shim-")
            .tempdir()
            .expect("a folder");
        let events = Arc::new(Mutex::new(Vec::new()));
        let listener = std::os::unix::net::UnixListener::bind(folder.path().join("events.sock"))
            .expect("a socket");
        let mut server = Server::new()
            .add_listener(Listener::try_from(listener).expect("a listener"))
            .register_service(create_events(Arc::new(Recorder(Arc::clone(&events)))));
        server.start().await.expect("a server");
        Self {
            folder,
            groups: Groups::new(&name, Form::selected()),
            name,
            events,
            parent: Vec::new(),
            program: PROGRAM.into(),
            _server: server,
        }
    }

    /// Has this command run what containerd would run, which is appended to it.
    #[must_use]
    pub(crate) fn below(mut self, parent: &[&str]) -> Self {
        self.parent = parent.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// With another shim than the one under test.
    #[must_use]
    pub(crate) fn with_shim(mut self, program: PathBuf) -> Self {
        self.program = program;
        self
    }

    /// A command as containerd would run it.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let Some((first, others)) = self.parent.split_first() else {
            return Command::new(program);
        };
        let mut command = Command::new(first);
        command.args(others).arg(program);
        command
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The name of the test, which its supervisors have.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The control groups of all of the test's containers.
    pub(crate) fn groups(&self) -> &Groups {
        &self.groups
    }

    /// A bundle for a container of this name.
    pub(crate) fn bundle(&self, id: &str) -> Bundle {
        Bundle::new(self, id)
    }

    /// Topics of events, in the order in which they came.
    pub(crate) fn events(&self) -> Vec<String> {
        self.events.lock().expect("not poisoned").clone()
    }

    /// Waits until an event of this topic has come.
    pub(crate) async fn wait_for_event(&self, topic: &str) {
        until(topic, || self.events().iter().any(|had| had == topic)).await;
    }

    fn call(&self, bundle: &Path, id: &str, action: &str) -> Output {
        let file = || tempfile::tempfile().expect("a file");
        let (mut input, mut stdout, mut stderr) = (file(), file(), file());
        let parameters = bootstrap::parameters(id, &self.name, self.path());
        input.write_all(&parameters).expect("written");
        input.rewind().expect("rewound");
        // Files, because what observes a shim keeps its streams open as long as a supervisor runs.
        let status = self
            .command(&self.program)
            .args(["-namespace", &self.name, "-address"])
            .arg(self.path().join("containerd.sock"))
            .args(["-id", id, "-bundle"])
            .arg(bundle)
            .arg(action)
            .current_dir(bundle)
            .env("TTRPC_ADDRESS", self.path().join("events.sock"))
            .env("SAMPAN_STATE", self.path().join("state"))
            .stdin(input)
            .stdout(stdout.try_clone().expect("a file"))
            .stderr(stderr.try_clone().expect("a file"))
            .status()
            .expect("the shim can be called");
        let read = |file: &mut fs::File| {
            let mut bytes = Vec::new();
            file.rewind().expect("rewound");
            file.read_to_end(&mut bytes).expect("read");
            bytes
        };
        Output {
            status,
            stdout: read(&mut stdout),
            stderr: read(&mut stderr),
        }
    }

    /// What containerd calls when a shim has gone away.
    pub(crate) fn delete(&self, bundle: &Bundle) -> Output {
        self.call(bundle.path(), bundle.id(), "delete")
    }

    /// Starts the shim of a bundle.
    pub(crate) async fn start(&self, bundle: &Bundle) -> Shim {
        let output = self.call(bundle.path(), bundle.id(), "start");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "start: {text} {said}");
        Shim::connect(bootstrap::address(&output.stdout)).await
    }

    /// Processes in the test's control groups.
    pub(crate) fn processes(&self) -> Vec<String> {
        self.groups
            .inner()
            .iter()
            .filter_map(|group| fs::read_to_string(group.join("cgroup.procs")).ok())
            .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }

    /// Fails when something is left, and removes the group that the containers' groups were in.
    pub(crate) async fn leaves_nothing(self) {
        let path = self.path().display().to_string();
        let mounts = || fs::read_to_string("/proc/self/mountinfo").expect("mounts");
        until("no mounts", || !mounts().contains(&path)).await;
        let inner = self.groups.inner();
        assert_eq!(inner, Vec::<PathBuf>::new(), "control groups are left");
        self.groups.remove().expect("the group is empty");
        let name = self.name.clone();
        until("no processes", || supervisors(&name).is_empty()).await;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        // What a failed test leaves would disturb others.
        for supervisor in supervisors(&self.name) {
            if let Some(pid) = Pid::from_raw(supervisor) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        let bundles = fs::read_dir(self.path().join("bundles"));
        for bundle in bundles.into_iter().flatten().flatten() {
            let id = bundle.file_name();
            let _ = self.call(&bundle.path(), &id.to_string_lossy(), "delete");
        }
        let _ = self.groups.remove();
    }
}

/// Supervisors that were started with this name.
pub(crate) fn supervisors(name: &str) -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("processes");
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| {
            fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| {
                let mut arguments = line.split(|byte| *byte == 0);
                arguments.any(|argument| argument == b"__serve")
                    && arguments.next() == Some(name.as_bytes())
            })
        })
        .collect()
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < WAIT_TIMEOUT, "still not: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A running shim.
pub(crate) struct Shim {
    pub(crate) address: String,
    client: TaskClient,
}

/// What containerd asks for to have a container made.
pub(crate) fn create_request(bundle: &Bundle) -> CreateTaskRequest {
    CreateTaskRequest {
        id: bundle.id().to_owned(),
        bundle: bundle.path().display().to_string(),
        stdin: bundle.stdin().unwrap_or_default(),
        stdout: bundle.stdout().unwrap_or_default(),
        stderr: bundle.stderr().unwrap_or_default(),
        terminal: bundle.has_terminal(),
        ..CreateTaskRequest::default()
    }
}

fn patient() -> Context {
    ttrpc::context::with_timeout(i64::try_from(WAIT_TIMEOUT.as_nanos()).expect("it fits"))
}

impl Shim {
    /// Connects to a shim that runs.
    pub(crate) async fn connect(address: String) -> Self {
        let client = Client::connect(&address).await.expect("the shim answers");
        Self {
            address,
            client: TaskClient::new(client),
        }
    }

    pub(crate) fn client(&self) -> &TaskClient {
        &self.client
    }

    pub(crate) async fn create(&self, bundle: &Bundle) -> ttrpc::Result<CreateTaskResponse> {
        let request = create_request(bundle);
        self.client.create(patient(), &request).await
    }

    pub(crate) async fn start_task(&self, id: &str) -> ttrpc::Result<u32> {
        let request = StartRequest {
            id: id.to_owned(),
            ..StartRequest::default()
        };
        let answer = self.client.start(patient(), &request).await;
        answer.map(|answer| answer.pid)
    }

    pub(crate) async fn kill(&self, id: &str, signal: u32) -> ttrpc::Result<()> {
        let request = KillRequest {
            id: id.to_owned(),
            signal,
            ..KillRequest::default()
        };
        self.client.kill(patient(), &request).await.map(drop)
    }

    pub(crate) async fn wait(&self, id: &str) -> ttrpc::Result<WaitResponse> {
        let request = WaitRequest {
            id: id.to_owned(),
            ..WaitRequest::default()
        };
        self.client.wait(patient(), &request).await
    }

    pub(crate) async fn state(&self, id: &str) -> ttrpc::Result<StateResponse> {
        let request = StateRequest {
            id: id.to_owned(),
            ..StateRequest::default()
        };
        self.client.state(patient(), &request).await
    }

    pub(crate) async fn delete(&self, id: &str) -> ttrpc::Result<DeleteResponse> {
        let request = DeleteRequest {
            id: id.to_owned(),
            ..DeleteRequest::default()
        };
        self.client.delete(patient(), &request).await
    }

    /// What containerd says after the last task was deleted.
    pub(crate) async fn shut_down(&self) {
        // The answer may not arrive any more.
        let _ = self
            .client
            .shutdown(patient(), &ShutdownRequest::default())
            .await;
    }
}

/// What an error says to people.
pub(crate) fn message<T: std::fmt::Debug>(result: ttrpc::Result<T>) -> String {
    match result {
        Err(ttrpc::Error::RpcStatus(status)) => status.message,
        other => panic!("no status: {other:?}"),
    }
}

/// The code of an error that came as one.
pub(crate) fn code<T: std::fmt::Debug>(result: &ttrpc::Result<T>) -> Option<ttrpc::Code> {
    match result {
        Err(ttrpc::Error::RpcStatus(status)) => Some(status.code()),
        Err(error) => panic!("another error: {error}"),
        Ok(_) => None,
    }
}
