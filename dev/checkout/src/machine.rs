//! Checks what this machine has, and installs what it lacks.
//!
//! Each [`Need`] has one entry: how to detect it and how to get it.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::cargo;
use crate::packages::{self, is_available};
use crate::programs::{has_program, path};
use crate::toolchain::{self, Choice};

/// A tool or a property that the project's work needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// git, which lists the files of the checkout.
    Git,
    /// A C compiler, which links every program.
    Linker,
    /// rustfmt.
    Rustfmt,
    /// clippy.
    Clippy,
    /// A Rust compiler for components.
    Components,
    /// PostgreSQL, behind a function.
    Postgres,
    /// pip, for guests in Python.
    Pip,
    /// wrk, which makes load.
    Wrk,
    /// iproute2, for network namespaces.
    Networks,
    /// Node.js with npm, for guests in JavaScript.
    Node,
    /// Python's venv, for guests in Python.
    Venv,
    /// Chromium, which shows reports.
    Browser,
    /// Root's rights.
    Root,
    /// Go, for the programs of a cluster.
    Go,
    /// libseccomp's headers, for the shim.
    Seccomp,
    /// protoc, for the shim.
    Protoc,
    /// iptables, for Services.
    Iptables,
    /// conntrack, for kube-proxy.
    Conntrack,
    /// socat, for port forwarding.
    Socat,
    /// A static busybox, for images.
    Busybox,
    /// nsenter, unshare, setsid and setpriv.
    Namespaces,
    /// Control groups that can be written to.
    ControlGroups,
    /// nginx, for critest's images.
    Nginx,
    /// pgrep, for a spec of critest.
    Procps,
    /// curl.
    Curl,
    /// stress-ng, for tests of limits.
    Stress,
    /// QEMU for x86-64, mmdebstrap and an ssh client.
    Emulator,
}

/// This machine.
#[derive(Debug)]
pub struct Machine {
    may_install: bool,
}

/// An unmet need, and how to meet it.
#[derive(Debug, PartialEq, Eq)]
pub struct Missing {
    /// The need.
    pub what: String,
    /// The command that meets it.
    pub remedy: String,
}

impl Machine {
    /// This machine, and whether packages may be installed on it without asking.
    pub fn new(may_install: bool) -> Machine {
        Machine { may_install }
    }

    /// Whether packages may be installed without asking.
    pub fn may_install(&self) -> bool {
        self.may_install
    }

    /// Meets the needs as far as possible, and returns the unmet ones.
    pub fn provide(&self, needs: &[Need]) -> Vec<Missing> {
        needs
            .iter()
            .filter_map(|need| self.provide_one(*need))
            .collect()
    }

    fn provide_one(&self, need: Need) -> Option<Missing> {
        if need.is_met() {
            return None;
        }
        let mut failure = None;
        if self.may_install {
            failure = need.install().err();
            if failure.is_none() && need.is_met() {
                return None;
            }
        }
        let what = match failure {
            Some(error) => format!("{} ({error:#})", need.what()),
            None => need.what().to_owned(),
        };
        let remedy = need.remedy();
        Some(Missing { what, remedy })
    }
}

impl Need {
    fn what(self) -> &'static str {
        match self {
            Need::Git => "git",
            Need::Linker => "a C compiler",
            Need::Rustfmt => "rustfmt",
            Need::Clippy => "clippy",
            Need::Components => "a Rust compiler for components",
            Need::Postgres => "PostgreSQL",
            Need::Pip => "pip",
            Need::Wrk => "wrk",
            Need::Networks => "iproute2",
            Need::Node => "Node.js with npm",
            Need::Venv => "Python's venv",
            Need::Browser => "Chromium",
            Need::Root => "root's rights",
            Need::Go => "Go, 1.26.6 or newer",
            Need::Seccomp => "libseccomp's headers",
            Need::Protoc => "protoc",
            Need::Iptables => "iptables",
            Need::Conntrack => "conntrack",
            Need::Socat => "socat",
            Need::Busybox => "a static busybox",
            Need::Namespaces => "nsenter, unshare, setsid and setpriv",
            Need::ControlGroups => "control groups",
            Need::Nginx => "nginx",
            Need::Procps => "pgrep",
            Need::Curl => "curl",
            Need::Stress => "stress-ng",
            Need::Emulator => "QEMU for x86-64, mmdebstrap and an ssh client",
        }
    }

    fn is_met(self) -> bool {
        match self {
            Need::Git => is_available(Command::new("git").arg("--version")),
            Need::Linker => is_available(Command::new("cc").arg("--version")),
            Need::Rustfmt => is_available(cargo::cargo().args(["fmt", "--version"])),
            Need::Clippy => is_available(cargo::cargo().args(["clippy", "--version"])),
            Need::Components => toolchain::find(Choice::Any).is_some(),
            Need::Postgres => has_postgres(),
            Need::Pip => has_pip(),
            Need::Wrk => has_program("wrk"),
            Need::Networks => is_available(Command::new("ip").arg("-V")),
            Need::Node => {
                is_available(Command::new("node").arg("--version"))
                    && is_available(Command::new("npm").arg("--version"))
            }
            Need::Venv => {
                is_available(Command::new("python3").args(["-c", "import venv, ensurepip"]))
            }
            Need::Browser => ["chromium", "chromium-browser", "google-chrome"]
                .into_iter()
                .any(has_program),
            Need::Root => rustix::process::geteuid().is_root(),
            Need::Go => has_go(),
            Need::Seccomp => Path::new("/usr/include/seccomp.h").exists(),
            Need::Protoc => is_available(Command::new("protoc").arg("--version")),
            Need::Iptables => is_available(Command::new("iptables").arg("--version")),
            Need::Conntrack => is_available(Command::new("conntrack").arg("--version")),
            Need::Socat => is_available(Command::new("socat").arg("-V")),
            Need::Busybox => is_static(Path::new("/bin/busybox")),
            Need::Namespaces => ["nsenter", "unshare", "setsid", "setpriv"]
                .into_iter()
                .all(has_program),
            Need::ControlGroups => has_control_groups(),
            Need::Nginx => is_available(Command::new("nginx").arg("-v")),
            Need::Procps => is_available(Command::new("pgrep").arg("--version")),
            Need::Curl => is_available(Command::new("curl").arg("--version")),
            Need::Stress => is_available(Command::new("stress-ng").arg("--version")),
            Need::Emulator => has_emulator(),
        }
    }

    fn install(self) -> Result<()> {
        match self {
            Need::Rustfmt | Need::Clippy => {
                let mut command = Command::new("rustup");
                cargo::run(command.args(["component", "add", self.what()]))
            }
            Need::Components => toolchain::install(Choice::Any).map(drop),
            Need::Root | Need::Go | Need::ControlGroups => Ok(()),
            _ if packages::can_install() => packages::install(&self.packages()),
            _ => Ok(()),
        }
    }

    /// The command to type.
    fn remedy(self) -> String {
        match self {
            Need::Rustfmt | Need::Clippy => format!("rustup component add {}", self.what()),
            Need::Components => toolchain::remedies(Choice::Any).join(", or "),
            Need::Root => "call this as root".to_owned(),
            Need::Go => "install it by https://go.dev/doc/install".to_owned(),
            Need::ControlGroups => {
                "run this where /sys/fs/cgroup is mounted and can be written to".to_owned()
            }
            _ => packages::install_command(&self.packages()),
        }
    }

    fn packages(self) -> Vec<String> {
        let names: &[&str] = match self {
            Need::Git => &["git"],
            Need::Linker => &["gcc", "libc6-dev"],
            Need::Postgres => &["postgresql"],
            Need::Pip => &["python3-pip"],
            Need::Wrk => &["wrk"],
            Need::Networks => &["iproute2"],
            Need::Node => &["nodejs", "npm"],
            Need::Venv => &["python3-venv"],
            Need::Browser => &["chromium"],
            Need::Seccomp => &["libseccomp-dev"],
            Need::Protoc => &["protobuf-compiler"],
            Need::Iptables => &["iptables"],
            Need::Conntrack => &["conntrack"],
            Need::Socat => &["socat"],
            Need::Busybox => &["busybox-static"],
            Need::Namespaces => &["util-linux"],
            Need::Nginx => &["nginx-light"],
            Need::Procps => &["procps"],
            Need::Curl => &["curl"],
            Need::Stress => &["stress-ng"],
            Need::Emulator => &EMULATOR_PACKAGES,
            Need::Rustfmt
            | Need::Clippy
            | Need::Components
            | Need::Root
            | Need::Go
            | Need::ControlGroups => &[],
        };
        names.iter().map(|&name| name.to_owned()).collect()
    }
}

/// Whether a PostgreSQL server is installed; `sampan-backends` chooses among several.
fn has_postgres() -> bool {
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut folders = versions
        .map(|version| version.path().join("bin"))
        .chain(path());
    folders.any(|folder| folder.join("initdb").is_file())
}

fn has_pip() -> bool {
    is_available(Command::new("python3").args(["-m", "pip", "--version"]))
        || is_available(Command::new("pip3").arg("--version"))
}

/// The newest version that a module of `dev/cluster/tools` requires.
const GO: [u32; 3] = [1, 26, 6];

fn has_go() -> bool {
    let output = Command::new("go").arg("version").output();
    let output = output.ok().filter(|output| output.status.success());
    let said = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    said.and_then(|said| go_version(&said))
        .is_some_and(|version| version >= GO)
}

/// Parses a line such as `go version go1.26.8 linux/amd64`.
fn go_version(said: &str) -> Option<[u32; 3]> {
    let word = said.split_whitespace().nth(2)?.strip_prefix("go")?;
    // A release candidate, such as `1.27rc1`, has the features of its release.
    let numbers: Vec<_> = word
        .split(|c: char| !c.is_ascii_digit())
        .map_while(|number| number.parse().ok())
        .collect();
    let number = |index: usize| numbers.get(index).copied();
    Some([number(0)?, number(1)?, number(2).unwrap_or(0)])
}

/// Whether a program is linked statically: no program header names a loader.
fn is_static(program: &Path) -> bool {
    is_available(Command::new(program).arg("true"))
        && fs::read(program).is_ok_and(|bytes| {
            let head = &bytes[..bytes.len().min(4096)];
            !head.windows(6).any(|window| window == b"ld-lin")
        })
}

fn has_control_groups() -> bool {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts.contains(" - cgroup") && Path::new("/sys/fs/cgroup").exists()
}

const EMULATOR_PACKAGES: [&str; 5] = [
    "e2fsprogs",
    "mmdebstrap",
    "openssh-client",
    "qemu-system-x86",
    "util-linux",
];

/// The programs of those packages. The emulated machine runs programs of this one, so both must
/// have one architecture.
fn has_emulator() -> bool {
    const PROGRAMS: [&str; 6] = [
        "qemu-system-x86_64",
        "mmdebstrap",
        "mke2fs",
        "setpriv",
        "ssh",
        "ssh-keygen",
    ];
    env::consts::ARCH == "x86_64" && PROGRAMS.into_iter().all(has_program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_go_are_compared_as_numbers() {
        fn check(said: &str, expected: Option<bool>) {
            let enough = go_version(said).map(|version| version >= GO);
            assert_eq!(enough, expected, "{said}");
        }
        check("go version go1.26.8 linux/amd64", Some(true));
        check("go version go1.26.6 linux/amd64", Some(true));
        check("go version go1.26.5 linux/amd64", Some(false));
        check("go version go1.9 linux/amd64", Some(false));
        check("go version go1.27rc1 linux/amd64", Some(true));
        check("go version devel linux/amd64", None);
        check("", None);
    }
}
