//! Starts the services behind two of the functions, by running `sampan-backends`.
//!
//! The services live as long as the pipe that is their stdin has a writer, so no code has to stop
//! them.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, PipeReader, PipeWriter};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use rustix::io::FdFlags;
use sampan_checkout::repository::Repository;
use serde_json::Value;

/// A service, and the function that depends on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Service {
    /// The subcommand of `sampan-backends`.
    pub(crate) name: &'static str,
    /// The address in the functions' files.
    pub(crate) address: &'static str,
    /// The function that does not work without this service.
    pub(crate) function: &'static str,
}

/// Both services. Their addresses are those in the functions' files.
pub(crate) const SERVICES: [Service; 2] = [
    Service {
        name: "text",
        address: "127.0.0.1:8091",
        function: "fuzzysearch",
    },
    Service {
        name: "users",
        address: "127.0.0.1:8092",
        function: "user-manager",
    },
];

/// Holds the services' stdin open.
#[derive(Debug)]
pub(crate) struct Lifeline(PipeWriter);

/// A service that has been started.
#[derive(Debug)]
pub(crate) struct Starting {
    pub(crate) service: Service,
    child: Child,
    stdout: ChildStdout,
    log: PathBuf,
}

/// A service that accepts requests.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) service: Service,
    pub(crate) address: String,
    pub(crate) url: String,
}

impl Lifeline {
    /// Returns the end to hold, and the end to give to the services.
    pub(crate) fn new() -> Result<(Lifeline, PipeReader)> {
        let (reader, writer) = std::io::pipe().context("failed to make a pipe")?;
        Ok((Lifeline(writer), reader))
    }

    /// Keeps the pipe open across an `exec` of this process.
    pub(crate) fn keep_through_exec(&self) -> Result<()> {
        rustix::io::fcntl_setfd(&self.0, FdFlags::empty()).context("failed to keep a pipe open")
    }
}

impl Starting {
    pub(crate) fn start(
        repository: &Repository,
        service: Service,
        lifeline: &PipeReader,
    ) -> Result<Starting> {
        let log = log_file(&repository.logs(), service)?;
        let said = File::create(&log).with_context(|| format!("failed to write {}", log.display()));
        let program = repository.program("sampan-backends");
        let mut command = Command::new(&program);
        command
            .args([
                "serve",
                "--print-ready",
                "--until-stdin-closes",
                "--or-anywhere",
                "--only",
                service.name,
            ])
            .args([&format!("--{}-listen", service.name), service.address])
            .stdin(lifeline.try_clone().context("failed to share a pipe")?)
            .stdout(Stdio::piped())
            .stderr(said?)
            // Ctrl-C goes to the server; the services end after it.
            .process_group(0);
        let child = command.spawn();
        let mut child = child.with_context(|| format!("failed to start {}", program.display()))?;
        let stdout = child.stdout.take().context("a service has no stdout")?;
        Ok(Starting {
            service,
            child,
            stdout,
            log,
        })
    }

    /// Waits until the service reports its address.
    pub(crate) fn ready(mut self) -> Result<Running> {
        let mut line = String::new();
        let read = BufReader::new(self.stdout).read_line(&mut line);
        if read.context("failed to read from a service")? == 0 {
            let status = self.child.wait().context("failed to wait for a service")?;
            let said = fs::read_to_string(&self.log).unwrap_or_default();
            let said = said.trim().trim_start_matches("error: ").to_owned();
            if said.is_empty() {
                bail!("it ended with {status}");
            }
            bail!("{said}");
        }
        let ready: Value = serde_json::from_str(&line).context("a service wrote invalid JSON")?;
        let field = |name: &str| {
            let value = ready[self.service.name][name].as_str();
            value
                .map(str::to_owned)
                .with_context(|| format!("a service reported no {name}: {line}"))
        };
        Ok(Running {
            service: self.service,
            address: field("address")?,
            url: field("url")?,
        })
    }
}

impl Running {
    /// Whether the service has another address than the functions' files expect.
    pub(crate) fn moved(&self) -> bool {
        self.address != self.service.address
    }
}

fn log_file(folder: &Path, service: Service) -> Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
    Ok(folder.join(format!("backend-{}.log", service.name)))
}
