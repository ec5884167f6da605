//! What this machine has, and what it can be given. Each [`Need`] is named once, with how to see
//! whether it is there and how to get it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::cargo;
use crate::packages::{self, starts};
use crate::toolchain::{self, Choice};

/// Something that the project's work needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Git,
    Linker,
    Rustfmt,
    Clippy,
    Components,
    Postgres,
    Pip,
    Wrk,
    Networks,
    Node,
    Venv,
}

/// This machine.
#[derive(Debug)]
pub(crate) struct Machine {
    may_install: bool,
}

/// A need that is not met, and what would meet it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) what: String,
    pub(crate) remedy: String,
}

impl Machine {
    pub(crate) fn new(may_install: bool) -> Machine {
        Machine { may_install }
    }

    /// Whether things may be installed without asking.
    pub(crate) fn may_install(&self) -> bool {
        self.may_install
    }

    /// Meets the needs as far as it can, and tells which are left.
    pub(crate) fn provide(&self, needs: &[Need]) -> Vec<Missing> {
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
        }
    }

    fn is_met(self) -> bool {
        match self {
            Need::Git => starts(Command::new("git").arg("--version")),
            Need::Linker => starts(Command::new("cc").arg("--version")),
            Need::Rustfmt => starts(cargo::cargo().args(["fmt", "--version"])),
            Need::Clippy => starts(cargo::cargo().args(["clippy", "--version"])),
            Need::Components => toolchain::find(Choice::Any).is_some(),
            Need::Postgres => has_postgres(),
            Need::Pip => has_pip(),
            Need::Wrk => has_program("wrk"),
            Need::Networks => starts(Command::new("ip").arg("-V")),
            Need::Node => {
                starts(Command::new("node").arg("--version"))
                    && starts(Command::new("npm").arg("--version"))
            }
            Need::Venv => starts(Command::new("python3").args(["-c", "import venv, ensurepip"])),
        }
    }

    fn install(self) -> Result<()> {
        match self {
            Need::Rustfmt | Need::Clippy => {
                let mut command = Command::new("rustup");
                cargo::run(command.args(["component", "add", self.what()]))
            }
            Need::Components => toolchain::install(Choice::Any).map(drop),
            _ if packages::can_install() => packages::install(&self.packages()),
            _ => Ok(()),
        }
    }

    /// What to type.
    fn remedy(self) -> String {
        match self {
            Need::Rustfmt | Need::Clippy => format!("rustup component add {}", self.what()),
            Need::Components => toolchain::remedies(Choice::Any).join(", or "),
            _ => packages::line(&self.packages()),
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
            Need::Rustfmt | Need::Clippy | Need::Components => &[],
        };
        names.iter().map(|&name| name.to_owned()).collect()
    }
}

/// Whether there is a server somewhere; `sampan-backends` chooses among them.
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
    starts(Command::new("python3").args(["-m", "pip", "--version"]))
        || starts(Command::new("pip3").arg("--version"))
}

fn path() -> Vec<PathBuf> {
    env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect()
}

/// Whether a program is in `PATH`.
pub(crate) fn has_program(name: &str) -> bool {
    path()
        .iter()
        .any(|folder| Path::new(folder).join(name).is_file())
}
