//! Runs `sampan up` as a process, and follows it by the events that it writes.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use http::Method;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{ChildStdout, Command};
use tokio::time::{sleep, timeout};

use crate::answer::{Answer, get, send};
use crate::pending::Pending;
use crate::process::{Process, TEST_TIMEOUT, program};

/// A line of `--output json`.
pub type Event = Value;

/// A server of functions on a free port. It is killed when this is dropped.
#[derive(Debug)]
pub struct Sampan {
    process: Process,
    events: Lines<BufReader<ChildStdout>>,
    address: SocketAddr,
    seen: Vec<Event>,
    _data: TempDir,
}

impl Sampan {
    /// The command that serves a folder on a free port, for [`Sampan::start`].
    pub fn command(folder: &Path) -> Command {
        let mut command = Command::new(program("sampan"));
        command.arg("up").arg(folder);
        command.args(["--listen", "127.0.0.1:0", "--output", "json"]);
        command
    }

    /// Serves the functions of a folder, and waits until each is served or has failed.
    pub fn up(folder: &Path) -> Pending<'static, Sampan> {
        Sampan::start(Sampan::command(folder))
    }

    /// Serves the functions of a folder with more arguments, and waits like [`Sampan::up`].
    pub fn up_with(folder: &Path, arguments: &[&str]) -> Pending<'static, Sampan> {
        let mut command = Sampan::command(folder);
        command.args(arguments);
        Sampan::start(command)
    }

    /// Serves the functions of a folder, and waits only until it listens.
    pub fn start_loading(folder: &Path) -> Pending<'static, Sampan> {
        Box::pin(Sampan::listening(Sampan::command(folder)))
    }

    /// Starts a command that becomes `sampan up --output json`, and waits until each function is
    /// served or has failed.
    pub fn start(command: Command) -> Pending<'static, Sampan> {
        Box::pin(async {
            let mut sampan = Sampan::listening(command).await;
            sampan.event("settled").await;
            sampan
        })
    }

    async fn listening(mut command: Command) -> Sampan {
        let data = tempfile::tempdir().expect("a temporary folder can be made");
        command
            .env("XDG_DATA_HOME", data.path())
            .stdout(Stdio::piped());
        let mut process = Process::start(&mut command);
        let stdout = process.child().stdout.take();
        let stdout = stdout.expect("standard output is a pipe");
        let mut sampan = Sampan {
            process,
            events: BufReader::new(stdout).lines(),
            address: SocketAddr::from(([0, 0, 0, 0], 0)),
            seen: Vec::new(),
            _data: data,
        };
        let listening = sampan.event("listening").await;
        let address = listening["addresses"][0].as_str();
        let address = address.and_then(|address| address.parse().ok());
        sampan.address = address.unwrap_or_else(|| panic!("no address in {listening}"));
        sampan
    }

    /// Reads up to the next event with this name.
    pub fn event<'a>(&'a mut self, name: &'a str) -> Pending<'a, Event> {
        Box::pin(self.read_to(name))
    }

    async fn read_to(&mut self, name: &str) -> Event {
        loop {
            let line = timeout(TEST_TIMEOUT, self.events.next_line()).await;
            let line = line.unwrap_or_else(|_| panic!("no event `{name}` in {TEST_TIMEOUT:?}"));
            let line = line.expect("its output can be read");
            let line = line.unwrap_or_else(|| panic!("it ended before the event `{name}`"));
            let event: Event = serde_json::from_str(&line)
                .unwrap_or_else(|error| panic!("no event: {error}: {line}"));
            self.seen.push(event.clone());
            if event["event"] == name {
                return event;
            }
        }
    }

    /// The events with this name that have been read.
    pub fn seen<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Event> {
        self.seen.iter().filter(move |event| event["event"] == name)
    }

    /// The functions of the events with this name, sorted.
    pub fn functions(&self, event: &str) -> Vec<String> {
        let names = self.seen(event).map(|event| event["function"].as_str());
        let mut names: Vec<_> = names
            .map(|name| name.expect("it names a function").to_owned())
            .collect();
        names.sort_unstable();
        names
    }

    /// The address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Calls a function by path: `/function/NAME` and the given path.
    pub async fn call(&self, function: &str, path: &str) -> Answer {
        self.send(Method::GET, function, path).await
    }

    /// Calls a function by path with another method.
    pub async fn send(&self, method: Method, function: &str, path: &str) -> Answer {
        let host = self.address.to_string();
        let path = format!("/function/{function}{path}");
        send(method, self.address, &host, &path).await
    }

    /// Calls a function by the host name `NAME.localhost`.
    pub async fn call_by_name(&self, function: &str, path: &str) -> Answer {
        let host = format!("{function}.localhost:{}", self.address.port());
        get(self.address, &host, path).await
    }

    /// Its stderr so far.
    pub fn stderr(&self) -> String {
        self.process.stderr().expect("its log can be read")
    }

    /// Waits until a line of its stderr has all of these parts.
    pub async fn wait_for_line(&self, parts: &[&str]) {
        let has = |log: &str| {
            let mut lines = log.lines();
            lines.any(|line| parts.iter().all(|part| line.contains(part)))
        };
        self.wait_for_log(has).await;
    }

    /// Waits until its stderr meets a condition: logs are written with a delay.
    pub async fn wait_for_log(&self, condition: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        while !condition(&self.stderr()) {
            assert!(begun.elapsed() < TEST_TIMEOUT, "its log: {}", self.stderr());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Its resident memory in bytes.
    pub fn resident(&self) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().nth(1));
        let kibibytes: Option<u64> = kibibytes.and_then(|number| number.parse().ok());
        kibibytes.expect("the kernel reports it") * 1024
    }

    /// The count of its open files, connections included.
    pub fn open_files(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.process.id());
        fs::read_dir(folder).expect("it runs").count()
    }

    fn proc(&self, file: &str) -> String {
        let path = format!("/proc/{}/{file}", self.process.id());
        fs::read_to_string(path).expect("it runs")
    }

    /// Reads its metrics from the address of `--admin`.
    pub fn metrics(&self) -> Pending<'_, String> {
        Box::pin(async move {
            let listening = self.seen("listening").next();
            let url = listening.and_then(|event| event["admin"].as_str());
            let host = url.and_then(|url| url.strip_prefix("http://"));
            let host = host.expect("it was started with --admin");
            let address = host.parse().expect("it is an address");
            get(address, host, "/metrics").await.text().to_owned()
        })
    }

    /// Waits until its metrics have this line.
    pub fn wait_for_metric<'a>(&'a self, line: &'a str) -> Pending<'a, ()> {
        Box::pin(async move {
            let begun = Instant::now();
            loop {
                let metrics = self.metrics().await;
                if metrics.lines().any(|found| found == line) {
                    return;
                }
                assert!(begun.elapsed() < TEST_TIMEOUT, "no {line} in {metrics}");
                sleep(Duration::from_millis(10)).await;
            }
        })
    }

    /// Sends it SIGTERM. Its event `stopped` and its end follow.
    pub fn terminate(&self) {
        self.process.signal(Signal::TERM);
    }

    /// Waits for its end. Its log is complete then.
    pub fn ended(&mut self) -> Pending<'_, ExitStatus> {
        Box::pin(self.process.ended())
    }

    /// Sends it SIGTERM, as a service manager does, and waits for its end.
    pub fn stop(mut self) -> Pending<'static, ExitStatus> {
        Box::pin(async move { self.process.stop().await })
    }
}
