//! Starts and stops the programs to measure.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use sampan_measure::files::Files;
use sampan_measure::http_client::Connection;
use sampan_measure::process::Process;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Instant, sleep, timeout};

/// How long a program may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// How long `sampan up` may take to load everything; compiling a thousand functions takes minutes.
const LOAD_TIMEOUT: Duration = Duration::from_mins(30);

/// A running server. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// The native program of a function, with variables for its environment.
    pub(crate) async fn native(
        files: &Files,
        function: &str,
        environment: &[(String, String)],
    ) -> Result<Self> {
        let address = free_address()?;
        let mut command = Command::new(files.native(function));
        command
            .args(["--listen", &address.to_string()])
            .envs(environment.iter().cloned())
            .stdout(Stdio::null());
        Self::start(command, address).await
    }

    /// `wasmtime serve` with all known options that make it faster, and a deadline.
    pub(crate) async fn wasmtime(program: &Path, component: &Path) -> Result<Self> {
        let address = free_address()?;
        let mut command = Command::new(program);
        command
            .args(["serve", "-Scli", "-Wtimeout=30s"])
            .args(["-O", "pooling-memory-keep-resident=2097152"])
            .args(["-O", "pooling-table-keep-resident=65536"])
            .args(["-O", "pooling-pagemap-scan=y"])
            .args(["--addr", &address.to_string()])
            .arg(component)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self::start(command, address).await
    }

    async fn start(mut command: Command, address: SocketAddr) -> Result<Self> {
        let child = spawn(&mut command)?;
        let mut server = Self { child, address };
        let begun = Instant::now();
        while Connection::open(address).await.is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("{command:?} ended with {status}");
            }
            if begun.elapsed() > START_TIMEOUT {
                bail!("{command:?} does not listen on {address}");
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(server)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn process(&self) -> Result<Process> {
        self.child
            .id()
            .map(Process)
            .context("the program has ended")
    }
}

/// `sampan up`.
#[derive(Debug)]
pub(crate) struct Sampan {
    pub(crate) server: Server,
    /// How long it took to load everything.
    pub(crate) settled_in: Duration,
}

impl Sampan {
    /// Serves the functions in `folders`, with compiled modules in `data`, and waits until all are
    /// loaded.
    pub(crate) async fn up(files: &Files, data: &Path, folders: &[PathBuf]) -> Result<Self> {
        let mut command = Command::new(files.program("sampan"));
        command
            .arg("up")
            .args(folders)
            .args(["--listen", "127.0.0.1:0", "--output", "json", "--data"])
            .arg(data)
            .env("RUST_LOG", "error")
            .stdout(Stdio::piped());
        let begun = Instant::now();
        let mut child = spawn(&mut command)?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut events = BufReader::new(stdout).lines();
        let listening = timeout(START_TIMEOUT, event(&mut events, "listening")).await??;
        let address = listening["addresses"][0].as_str().context("no address")?;
        let address = address.parse()?;
        let server = Server { child, address };
        let settled = timeout(LOAD_TIMEOUT, event(&mut events, "settled")).await??;
        if settled["failed"] != 0 {
            bail!("some functions are not served: {settled}");
        }
        // Later events must be read as well, or the pipe would fill and block it.
        tokio::spawn(async move { while let Ok(Some(_)) = events.next_line().await {} });
        Ok(Self {
            server,
            settled_in: begun.elapsed(),
        })
    }
}

/// Reads up to the next event with this name.
async fn event(events: &mut Lines<BufReader<ChildStdout>>, name: &str) -> Result<Value> {
    while let Some(line) = events.next_line().await? {
        let event: Value =
            serde_json::from_str(&line).with_context(|| format!("not an event: {line}"))?;
        if event["event"] == name {
            return Ok(event);
        }
        if event["event"] == "failed" || event["event"] == "error" {
            bail!("sampan up: {event}");
        }
    }
    bail!("sampan up ended before its event `{name}`")
}

/// The services behind two of the functions.
#[derive(Debug)]
pub(crate) struct Backends {
    _child: Child,
    text: Service,
    users: Service,
}

#[derive(Debug)]
struct Service {
    /// The address in the functions' files.
    expected: &'static str,
    address: String,
    url: String,
}

impl Backends {
    pub(crate) async fn start(files: &Files) -> Result<Self> {
        let mut command = Command::new(files.program("sampan-backends"));
        command
            .args(["serve", "--print-ready", "--until-stdin-closes"])
            .args([
                "--text-listen",
                "127.0.0.1:0",
                "--users-listen",
                "127.0.0.1:0",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = spawn(&mut command)?;
        let stdout = child.stdout.take().context("no standard output")?;
        let line = BufReader::new(stdout).lines().next_line().await?;
        let line = line.context("the services did not start")?;
        let ready: Value = serde_json::from_str(&line)?;
        let service = |name: &str, expected| -> Result<Service> {
            let field = |field: &str| {
                let value = ready[name][field].as_str();
                value
                    .map(str::to_owned)
                    .with_context(|| format!("no {field} of {name} in {line}"))
            };
            Ok(Service {
                expected,
                address: field("address")?,
                url: field("url")?,
            })
        };
        Ok(Self {
            text: service("text", "127.0.0.1:8091")?,
            users: service("users", "127.0.0.1:8092")?,
            _child: child,
        })
    }

    /// The environment by which native programs find the services.
    pub(crate) fn environment(&self) -> [(String, String); 2] {
        [("TEXT_URL", &self.text), ("USERS_URL", &self.users)]
            .map(|(name, service)| (name.to_owned(), service.url.clone()))
    }

    /// A copy of a function below `folder`, with the addresses of the running services.
    pub(crate) fn redirected(
        &self,
        files: &Files,
        function: &str,
        folder: &Path,
    ) -> Result<PathBuf> {
        let (from, to) = (files.function(function), folder.join(function));
        fs::create_dir(&to)?;
        let wasm = format!("{function}.wasm");
        fs::copy(from.join(&wasm), to.join(&wasm)).with_context(|| format!("no {wasm}"))?;
        let mut file = fs::read_to_string(from.join("function.yaml"))?;
        for service in [&self.text, &self.users] {
            file = file.replace(service.expected, &service.address);
        }
        fs::write(to.join("function.yaml"), file)?;
        Ok(to)
    }
}

fn spawn(command: &mut Command) -> Result<Child> {
    command
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("failed to start {command:?}"))
}

/// An address that was free a moment ago.
pub(crate) fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("there is no free port")?;
    Ok(listener.local_addr()?)
}
