//! Tests of the installer against a real containerd with its own folders: installation, repetition,
//! removal, and the reversal when containerd rejects the configuration. Other settings never
//! change.
//!
//! containerd is one of the tools of a cluster, so these run with the tests of the cluster:
//! `SAMPAN_TOOLS` names the folder with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const START_TIMEOUT: Duration = Duration::from_mins(1);

/// A containerd with its own folders. Dropping it ends it.
struct Containerd {
    folder: TempDir,
    program: PathBuf,
}

impl Containerd {
    /// Starts one; `more` is the end of its configuration.
    fn start(more: &str) -> Self {
        let tools = std::env::var_os("SAMPAN_TOOLS").map(PathBuf::from).expect(
            "SAMPAN_TOOLS must name the folder with `containerd`: `cargo xtask test cluster` builds it",
        );
        let program = tools.join("containerd");
        assert!(program.is_file(), "{} is not there", program.display());
        let containerd = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            program,
        };
        fs::write(containerd.config(), containerd.configuration(more)).expect("a file");
        fs::write(containerd.path("shim"), "#!/bin/sh\n").expect("a file");
        let script = containerd.restart();
        fs::write(containerd.path("restart"), script).expect("a file");
        let started = Command::new("sh").arg(containerd.path("restart")).status();
        assert!(started.expect("sh").success(), "{}", containerd.log());
        let begun = Instant::now();
        while !containerd.path("s").exists() {
            assert!(
                begun.elapsed() < START_TIMEOUT,
                "no answer: {}",
                containerd.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        containerd
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn config(&self) -> PathBuf {
        self.path("config.toml")
    }

    fn configuration(&self, more: &str) -> String {
        let folder = self.folder.path().display();
        format!(
            "# of this machine's owner\nversion = 3\nroot = '{folder}/root'\nstate = '{folder}/state'\n\
             disabled_plugins = ['io.containerd.nri.v1.nri']\n\
             [grpc]\n  address = '{folder}/s'\n\
             [plugins.'io.containerd.cri.v1.runtime']\n  restrict_oom_score_adj = true\n\
             [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]\n\
             \x20 runtime_type = 'io.containerd.runc.v2'\n\
             [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]\n\
             \x20 SystemdCgroup = true\n{more}"
        )
    }

    /// A script that stops a running one and starts another.
    fn restart(&self) -> String {
        let folder = self.folder.path().display();
        format!(
            "if [ -f {folder}/pid ]; then kill $(cat {folder}/pid); while kill -0 $(cat {folder}/pid) 2>/dev/null; \
             do sleep 0.05; done; fi\nrm -f {folder}/s\n\
             setsid {} --config {folder}/config.toml </dev/null >>{folder}/log 2>&1 &\necho $! >{folder}/pid\n\
             echo once >>{folder}/restarts\n",
            self.program.display()
        )
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// The number of starts.
    fn starts(&self) -> usize {
        fs::read_to_string(self.path("restarts"))
            .expect("a file")
            .lines()
            .count()
    }

    fn run(&self, command: &str, more: &[&str]) -> Output {
        let mut installer = Command::new(env!("CARGO_BIN_EXE_sampan-node-installer"));
        let folder = self.folder.path().display();
        installer
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .arg(command)
            .arg(format!("--config={folder}/config.toml"))
            .arg(format!("--drop-in={folder}/conf.d/50-sampan.toml"))
            .arg(format!("--socket={folder}/s"))
            .arg(format!("--containerd={}", self.program.display()))
            .arg(format!("--shim-folder={folder}/opt/sampan/bin"))
            .args(more);
        if !more.iter().any(|word| word.starts_with("--restart")) {
            installer.arg(format!("--restart=sh {folder}/restart"));
        }
        if command == "install" {
            installer.arg(format!("--shim={folder}/shim"));
        }
        installer.output().expect("the installer starts")
    }

    /// The dump of its configuration.
    fn dump(&self) -> String {
        let output = Command::new(&self.program)
            .arg("--config")
            .arg(self.config())
            .args(["config", "dump"])
            .output()
            .expect("containerd starts");
        String::from_utf8(output.stdout).expect("a text")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.config()).expect("a file")
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        if let Ok(process) = fs::read_to_string(self.path("pid")) {
            let _ = Command::new("sh")
                .arg("-c")
                .arg(format!(
                    "kill {0}; while kill -0 {0} 2>/dev/null; do sleep 0.05; done",
                    process.trim()
                ))
                .stderr(std::process::Stdio::null())
                .status();
        }
    }
}

fn text_of(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!(
        "{}{}",
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(err)
    )
}

fn exists(path: &Path) -> bool {
    path.try_exists().expect("a path")
}

#[test]
fn installation_is_idempotent_and_removal_restores_everything() {
    let containerd = Containerd::start("");
    let (text, dump) = (containerd.text(), containerd.dump());
    let first = containerd.run("install", &[]);
    assert!(
        first.status.success(),
        "{}{}",
        text_of(&first),
        containerd.log()
    );
    assert!(
        text_of(&first).contains("as a drop-in file"),
        "{}",
        text_of(&first)
    );
    assert!(
        containerd.dump().contains("io.containerd.sampan.v1"),
        "{}",
        containerd.dump()
    );
    assert!(
        containerd.dump().contains("SystemdCgroup = true"),
        "{}",
        containerd.dump()
    );
    assert!(exists(
        &containerd.path("opt/sampan/bin/containerd-shim-sampan-v1")
    ));
    assert_eq!(containerd.starts(), 2);

    let second = containerd.run("install", &[]);
    assert!(second.status.success(), "{}", text_of(&second));
    assert_eq!(
        containerd.starts(),
        2,
        "nothing changed: {}",
        text_of(&second)
    );

    let gone = containerd.run("uninstall", &[]);
    assert!(
        gone.status.success(),
        "{}{}",
        text_of(&gone),
        containerd.log()
    );
    assert_eq!(containerd.text(), text);
    assert_eq!(containerd.dump(), dump);
    assert_eq!(containerd.starts(), 3);
    for left in [
        "opt/sampan",
        "conf.d/50-sampan.toml",
        "config.toml.sampan-backup",
    ] {
        assert!(!exists(&containerd.path(left)), "{left}");
    }
    let again = containerd.run("uninstall", &[]);
    assert!(again.status.success(), "{}", text_of(&again));
    assert_eq!(containerd.starts(), 3);
}

#[test]
fn a_pod_runs_the_nodes_programs_in_the_nodes_namespaces() {
    let containerd = Containerd::start("");
    let folder = containerd.folder.path().display();
    let here = fs::read_link("/proc/self/ns/mnt").expect("a namespace");
    // The installer has separate mounts, as in a pod. Its commands run in the node's mounts, also
    // after the end of the containerd from which it opened the namespaces.
    let restart =
        format!("--restart=readlink /proc/self/ns/mnt >{folder}/mounts; sh {folder}/restart");
    let mut installer = Command::new("unshare");
    installer
        .args(["--mount", "--propagation", "private"])
        .arg(env!("CARGO_BIN_EXE_sampan-node-installer"))
        .args(["install", "--enter=containerd", &restart])
        .arg(format!("--config={folder}/config.toml"))
        .arg(format!("--drop-in={folder}/conf.d/50-sampan.toml"))
        .arg(format!("--socket={folder}/s"))
        .arg(format!("--containerd={}", containerd.program.display()))
        .arg(format!("--shim-folder={folder}/opt/sampan/bin"))
        .arg(format!("--shim={folder}/shim"));
    let output = installer.output().expect("unshare starts");
    assert!(
        output.status.success(),
        "{}{}",
        text_of(&output),
        containerd.log()
    );
    let there = fs::read_to_string(containerd.path("mounts")).expect("a file");
    assert_eq!(Path::new(there.trim()), here);
}

#[test]
fn existing_imports_are_kept() {
    let containerd = Containerd::start("");
    let folder = containerd.folder.path().display().to_string();
    fs::create_dir(containerd.path("others")).expect("a folder");
    let theirs = "version = 3\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.other]\n\
                  runtime_type = 'io.containerd.other.v1'\n";
    fs::write(containerd.path("others/other.toml"), theirs).expect("a file");
    let text = format!(
        "imports = [\"{folder}/others/*.toml\"]\n{}",
        containerd.text()
    );
    fs::write(containerd.config(), &text).expect("a file");
    let installed = containerd.run("install", &[]);
    assert!(
        installed.status.success(),
        "{}{}",
        text_of(&installed),
        containerd.log()
    );
    let dump = containerd.dump();
    assert!(
        dump.contains("io.containerd.other.v1") && dump.contains("io.containerd.sampan.v1"),
        "{dump}"
    );
    let gone = containerd.run("uninstall", &[]);
    assert!(gone.status.success(), "{}", text_of(&gone));
    assert_eq!(containerd.text(), text);
}

#[test]
fn a_failed_restart_is_reverted() {
    let containerd = Containerd::start("");
    let text = containerd.text();
    let folder = containerd.folder.path().display();
    // Starts no containerd while the runtime is in its configuration.
    let restart = format!(
        "--restart=if grep -q sampan {folder}/config.toml; then kill $(cat {folder}/pid); rm -f {folder}/s; else sh {folder}/restart; fi"
    );
    let output = containerd.run("install", &[&restart, "--patience=2"]);
    assert!(!output.status.success(), "{}", text_of(&output));
    assert!(
        text_of(&output).contains("everything has been taken back"),
        "{}",
        text_of(&output)
    );
    assert_eq!(containerd.text(), text);
    assert!(!exists(&containerd.path("conf.d/50-sampan.toml")));
    assert_eq!(containerd.starts(), 2);
}

#[test]
fn a_foreign_runtime_is_not_changed() {
    let containerd = Containerd::start(
        "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.sampan]\n  runtime_type = 'io.containerd.x.v1'\n",
    );
    let text = containerd.text();
    let output = containerd.run("install", &[]);
    assert!(!output.status.success(), "{}", text_of(&output));
    assert!(
        text_of(&output).contains("another source"),
        "{}",
        text_of(&output)
    );
    assert_eq!(containerd.text(), text);
    assert_eq!(containerd.starts(), 1);
}
