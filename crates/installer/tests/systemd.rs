//! Tests of the installer where systemd runs containerd.
//!
//! One layout is a unit of containerd; the other is that of k3s, which completes a template at each
//! start. A container starts after the installation, and the removal leaves no file.
//!
//! These tests change `/etc/containerd` and units of the machine. They run only if
//! `SAMPAN_TEST_NODE` permits it: in the emulated machine of `cargo xtask test vm`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const SHIM: &str = "/opt/sampan/bin/containerd-shim-sampan-v1";
const BUSYBOX: &str = "/bin/busybox";
const TIMEOUT: Duration = Duration::from_mins(2);

/// A layout in which containerd runs.
struct Layout {
    unit: &'static str,
    /// The configuration that containerd reads.
    config: &'static str,
    /// The file that the installer changes, if it is another one.
    template: Option<&'static str>,
    socket: &'static str,
}

const LAYOUTS: [Layout; 2] = [
    Layout {
        unit: "containerd",
        config: "/etc/containerd/config.toml",
        template: None,
        socket: "/run/containerd/containerd.sock",
    },
    Layout {
        unit: "k3s",
        config: "/var/lib/rancher/k3s/agent/etc/containerd/config.toml",
        template: Some("/var/lib/rancher/k3s/agent/etc/containerd/config-v3.toml.tmpl"),
        socket: "/run/k3s/containerd/containerd.sock",
    },
];

impl Layout {
    fn program() -> PathBuf {
        let tools =
            std::env::var_os("SAMPAN_TOOLS").expect("SAMPAN_TOOLS names a folder with containerd");
        PathBuf::from(tools).join("containerd")
    }

    /// The configuration of the node's owner.
    fn owners(&self) -> String {
        format!(
            "# of this machine's owner\nversion = 3\n[grpc]\n  address = '{}'\n\
             [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]\n  \
             runtime_type = 'io.containerd.runc.v2'\n\
             [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]\n  SystemdCgroup = true\n",
            self.socket
        )
    }

    fn folder(&self) -> &Path {
        Path::new(self.config).parent().expect("a folder")
    }

    fn unit_file(&self) -> PathBuf {
        Path::new("/run/systemd/system").join(format!("{}.service", self.unit))
    }

    fn start(&self) {
        fs::create_dir_all(self.folder()).expect("a folder");
        let complete = match self.template {
            None => {
                fs::write(self.config, self.owners()).expect("a file");
                String::new()
            }
            Some(template) => {
                let base = self.folder().join("base");
                fs::write(&base, self.owners()).expect("a file");
                let script = self.folder().join("complete.sh");
                let (base, config) = (base.display(), self.config);
                let text = format!(
                    "if [ -f {template} ]; then\n  sed -e '/template \"base\"/{{' -e 'r {base}' -e 'd' -e '}}' \
                     {template} > {config}\nelse\n  cp {base} {config}\nfi\n"
                );
                fs::write(&script, text).expect("a file");
                format!("ExecStartPre=/bin/sh {}\n", script.display())
            }
        };
        // As the packages of containerd write it.
        let unit = format!(
            "[Service]\nType=notify\n{complete}ExecStart={} --config {}\nDelegate=yes\nKillMode=process\n",
            Self::program().display(),
            self.config
        );
        fs::create_dir_all("/run/systemd/system").expect("a folder");
        fs::write(self.unit_file(), unit).expect("a unit");
        succeeds("systemctl", &["daemon-reload"]);
        succeeds("systemctl", &["start", self.unit]);
    }

    fn end(&self) {
        succeeds("systemctl", &["stop", self.unit]);
        fs::remove_file(self.unit_file()).expect("a unit");
        succeeds("systemctl", &["daemon-reload"]);
    }

    fn installer(&self, command: &str) -> Output {
        let mut installer = Command::new(env!("CARGO_BIN_EXE_sampan-node-installer"));
        installer
            .arg(command)
            .arg(format!("--socket={}", self.socket))
            .arg(format!("--containerd={}", Self::program().display()))
            .arg(format!("--restart=systemctl restart {}", self.unit));
        match self.template {
            Some(template) => installer
                .arg(format!("--config={template}"))
                .arg("--template"),
            None => installer.arg(format!("--config={}", self.config)),
        };
        if command == "install" {
            installer.arg(format!("--shim={}", shim().display()));
        }
        installer.output().expect("the installer starts")
    }

    /// The configuration files with their contents.
    fn files(&self) -> Vec<(PathBuf, String)> {
        let entries = fs::read_dir(self.folder()).expect("a folder");
        let mut found: Vec<_> = entries
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.is_file())
            .map(|path| (path.clone(), fs::read_to_string(path).expect("a text")))
            .collect();
        found.sort();
        found
    }

    fn dump(&self) -> String {
        let output = Command::new(Self::program())
            .args(["--config", self.config, "config", "dump"])
            .output();
        String::from_utf8(output.expect("containerd starts").stdout).expect("a text")
    }

    /// The output of a container of the runtime, in a systemd scope.
    fn run_container(&self, root: &Path) -> String {
        let ctr = Self::program().with_file_name("ctr");
        let output = Command::new(ctr)
            .args(["--address", self.socket, "run", "--rm", "--runtime", SHIM])
            .args([
                "--env",
                "PATH=/bin",
                "--cgroup",
                "system.slice:sampan:installed",
                "--rootfs",
            ])
            .arg(root)
            .args(["installed", BUSYBOX, "cat", "/proc/self/cgroup"])
            .output()
            .expect("ctr starts");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("a text")
    }
}

/// The shim of this build: beside the installer.
fn shim() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_sampan-node-installer"))
        .with_file_name("containerd-shim-sampan-v1")
}

fn succeeds(program: &str, arguments: &[&str]) {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .expect("it starts");
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < TIMEOUT, "still not: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn installation_and_removal_work_with_systemd() {
    if std::env::var_os("SAMPAN_TEST_NODE").is_none() {
        eprintln!("skipped: SAMPAN_TEST_NODE does not say that this machine may be changed");
        return;
    }
    let root = tempfile::tempdir().expect("a folder");
    for folder in ["bin", "proc", "sys", "dev"] {
        fs::create_dir(root.path().join(folder)).expect("a folder");
    }
    fs::copy(BUSYBOX, root.path().join("bin/busybox")).expect("busybox-static is installed");
    for layout in LAYOUTS {
        layout.start();
        let (before, dumped) = (layout.files(), layout.dump());
        assert!(!dumped.contains("io.containerd.sampan.v1"));
        let installed = layout.installer("install");
        assert!(installed.status.success(), "{}: {installed:?}", layout.unit);
        assert!(
            layout.dump().contains("io.containerd.sampan.v1"),
            "{}",
            layout.unit
        );
        let printed = layout.run_container(root.path());
        assert!(
            printed.contains("sampan-installed.scope"),
            "{}: {printed}",
            layout.unit
        );
        let again = layout.installer("install");
        assert!(again.status.success(), "{}: {again:?}", layout.unit);
        let removed = layout.installer("uninstall");
        assert!(removed.status.success(), "{}: {removed:?}", layout.unit);
        assert!(
            !Path::new(SHIM).exists(),
            "{}: the shim is left",
            layout.unit
        );
        assert_eq!(layout.dump(), dumped, "{}", layout.unit);
        assert_eq!(layout.files(), before, "{}", layout.unit);
        until("the scope is gone", || {
            !Path::new("/sys/fs/cgroup/system.slice/sampan-installed.scope").exists()
        });
        layout.end();
    }
}
