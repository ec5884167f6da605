//! Starts, records and stops the cluster's processes.
//!
//! They outlive this program. A record lets a later command find each of them, and is never
//! confused with another process that got the same number.

mod record;

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;
use sampan_checkout::shell::shell_quoted;
use sha2::{Digest as _, Sha256};

use super::layout::Layout;
use super::mounts;
use record::Record;

/// How often to check whether a process has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Closes descriptors inherited from the caller, such as a lock or a pipe that another process
/// waits for: the cluster's processes outlive it. POSIX shells need not support descriptors of more
/// than one digit.
const CLOSE_INHERITED: &str = "exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- && ";

/// A program of the cluster, with its arguments and environment.
#[derive(Debug, Clone)]
pub(crate) struct Component {
    /// The name of its record and its log.
    pub(crate) name: String,
    /// The name of its network namespace; `None` for this program's own.
    pub(crate) namespace: Option<String>,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(&'static str, String)>,
    /// Files that it reads once when it starts. A change of one restarts it.
    pub(crate) files: Vec<PathBuf>,
    /// Folders of the machine that are replaced in its own mount namespace.
    pub(crate) bind_mounts: Vec<BindMount>,
}

/// A folder that a program sees in place of another that it has no setting for.
#[derive(Debug, Clone)]
pub(crate) struct BindMount {
    pub(crate) target: PathBuf,
    pub(crate) source: PathBuf,
}

/// The processes of one cluster.
#[derive(Debug)]
pub(crate) struct Processes {
    records: PathBuf,
    logs: PathBuf,
    /// An empty folder for each component. A kubelet's log collection removes entries of its
    /// working directory when a container has no log path.
    working_directories: PathBuf,
    /// The `cgroup.procs` files of the cluster's groups, which each process joins.
    groups: Vec<PathBuf>,
}

impl Processes {
    pub(crate) fn new(layout: &Layout, groups: Vec<PathBuf>) -> Processes {
        Processes {
            records: layout.state().join("processes"),
            logs: layout.logs(),
            working_directories: layout.state().join("working-directories"),
            groups,
        }
    }

    /// Starts a component unless it already runs in this form; a different one is stopped first.
    /// Returns whether it was started.
    pub(crate) fn ensure(&self, component: &Component) -> Result<bool> {
        let fingerprint = component.fingerprint()?;
        if let Some(record) = self.running(&component.name)? {
            if record.fingerprint == fingerprint {
                return Ok(false);
            }
            self.stop(&component.name, Duration::from_secs(10))?;
        }
        self.start(component, fingerprint)
            .with_context(|| format!("failed to start {}", component.name))?;
        Ok(true)
    }

    fn start(&self, component: &Component, fingerprint: String) -> Result<()> {
        let working_directory = self.working_directories.join(&component.name);
        for folder in [&self.records, &self.logs, &working_directory] {
            fs::create_dir_all(folder)
                .with_context(|| format!("failed to make {}", folder.display()))?;
        }
        let path = self.log(&component.name);
        let log = OpenOptions::new().create(true).append(true).open(&path);
        let log = log.with_context(|| format!("failed to write {}", path.display()))?;
        let mut command = Command::new("setsid");
        if let Some(namespace) = &component.namespace {
            // `ip netns exec` would hide the control groups behind a fresh /sys.
            command.arg("nsenter");
            command.arg(format!("--net=/run/netns/{namespace}"));
        }
        let mut script = String::new();
        if !component.bind_mounts.is_empty() {
            // Shared mounts stay shared, or containerd would not see the volumes that a kubelet
            // mounts.
            command.args(["unshare", "--mount", "--propagation", "unchanged"]);
            for bind_mount in &component.bind_mounts {
                script += &bind_mount.shell_commands()?;
            }
        }
        // Each of these commands replaces itself by the next, so the process keeps its number.
        let join = self
            .groups
            .iter()
            .map(|group| format!("echo $$ > {} && ", shell_quoted(&group.to_string_lossy())));
        script.extend(join);
        script += CLOSE_INHERITED;
        script += "exec \"$0\" \"$@\"";
        command
            .args(["sh", "-c", &script])
            .arg(&component.program)
            .args(&component.arguments)
            .envs(
                component
                    .environment
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .current_dir(&working_directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = command.spawn().context("failed to start setsid")?;
        let record = Record::of(child.id(), fingerprint)?;
        let file = self.record(&component.name);
        let unfinished = file.with_extension("new");
        fs::write(&unfinished, serde_json::to_vec(&record)?)
            .and_then(|()| fs::rename(&unfinished, &file))
            .with_context(|| format!("failed to write {}", file.display()))
    }

    /// The record of a running component.
    pub(crate) fn running(&self, name: &str) -> Result<Option<Record>> {
        let file = self.record(name);
        let bytes = match fs::read(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes.with_context(|| format!("failed to read {}", file.display()))?,
        };
        let record: Record = serde_json::from_slice(&bytes)
            .with_context(|| format!("{} holds no record of a process", file.display()))?;
        Ok(record.is_alive()?.then_some(record))
    }

    /// Ends components, all at the same time: each by SIGTERM, and after the timeout by SIGKILL.
    pub(crate) fn stop_all(&self, names: &[&str], timeout: Duration) -> Result<()> {
        for name in names {
            if let Some(record) = self.running(name)? {
                record
                    .signal(Signal::TERM)
                    .with_context(|| format!("failed to end {name}"))?;
            }
        }
        names.iter().try_for_each(|name| self.stop(name, timeout))
    }

    /// Ends a component by SIGTERM, and after the timeout by SIGKILL.
    pub(crate) fn stop(&self, name: &str, timeout: Duration) -> Result<()> {
        if let Some(record) = self.running(name)? {
            let mut kind = Signal::TERM;
            let mut since = Instant::now();
            while record.is_alive()? {
                if since.elapsed() >= timeout && kind != Signal::KILL {
                    kind = Signal::KILL;
                    since = Instant::now();
                } else if since.elapsed() >= timeout.max(Duration::from_secs(10)) {
                    bail!("{name}, process {}, did not end after SIGKILL", record.pid);
                }
                record
                    .signal(kind)
                    .with_context(|| format!("failed to end {name}"))?;
                // There is no notice of the end of a process that is not a child.
                thread::sleep(POLL_INTERVAL);
            }
        }
        match fs::remove_file(self.record(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// The names of all components that were started and not stopped.
    pub(crate) fn recorded(&self) -> Result<Vec<String>> {
        let entries = match fs::read_dir(&self.records) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            names.extend(name.strip_suffix(".json").map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }

    /// The log of a component.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }

    fn record(&self, name: &str) -> PathBuf {
        self.records.join(format!("{name}.json"))
    }
}

impl Component {
    fn fingerprint(&self) -> Result<String> {
        let mut hash = Sha256::new();
        let how = (
            &self.program,
            &self.namespace,
            &self.arguments,
            &self.environment,
            &self.bind_mounts,
        );
        hash.update(format!("{how:?}"));
        for file in &self.files {
            let bytes = fs::read(file);
            hash.update(bytes.with_context(|| format!("failed to read {}", file.display()))?);
        }
        Ok(hex::encode(hash.finalize()))
    }
}

impl BindMount {
    /// The shell commands that replace the folder in a new mount namespace. Mounts below a slave
    /// stay invisible elsewhere.
    fn shell_commands(&self) -> Result<String> {
        for folder in [&self.target, &self.source] {
            fs::create_dir_all(folder)
                .with_context(|| format!("failed to make {}", folder.display()))?;
        }
        let below = mounts::of(&self.target)?;
        let quoted = |path: &Path| shell_quoted(&path.to_string_lossy());
        Ok(format!(
            "mount --make-slave {} && mount --bind {} {} && ",
            quoted(&below),
            quoted(&self.source),
            quoted(&self.target)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_started_once_and_anew_when_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let processes = Processes {
            records: folder.path().join("processes"),
            logs: folder.path().join("logs"),
            working_directories: folder.path().join("working-directories"),
            groups: Vec::new(),
        };
        let mut component = Component {
            name: "sleeper".to_owned(),
            namespace: None,
            program: PathBuf::from("sleep"),
            arguments: vec!["1000".to_owned()],
            environment: Vec::new(),
            files: Vec::new(),
            bind_mounts: Vec::new(),
        };
        assert!(processes.running("sleeper").unwrap().is_none());
        assert!(processes.ensure(&component).unwrap());
        let first = processes.running("sleeper").unwrap().unwrap();
        let working_directory = fs::read_link(format!("/proc/{}/cwd", first.pid)).unwrap();
        assert_eq!(
            working_directory,
            folder.path().join("working-directories/sleeper")
        );
        assert_eq!(fs::read_dir(&working_directory).unwrap().count(), 0);
        assert!(!processes.ensure(&component).unwrap());
        component.arguments = vec!["1001".to_owned()];
        assert!(processes.ensure(&component).unwrap());
        let second = processes.running("sleeper").unwrap().unwrap();
        assert_ne!(first.pid, second.pid);
        assert!(!first.is_alive().unwrap());
        assert_eq!(processes.recorded().unwrap(), ["sleeper"]);
        processes.stop("sleeper", Duration::from_secs(5)).unwrap();
        processes.stop("sleeper", Duration::from_secs(5)).unwrap();
        assert!(!second.is_alive().unwrap());
        assert!(processes.recorded().unwrap().is_empty());
    }
}
