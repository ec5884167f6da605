//! `cargo xtask tidy`: the rules of this repository that no compiler knows. Each module is one rule
//! or a few of a kind; none of them changes anything.

mod arrows;
mod builds;
mod documents;
mod layout;
mod licences;
mod manifests;
mod policy;
mod sources;
mod traces;
mod unsafe_code;

use std::fmt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::cargo;
use crate::metadata::Metadata;
use crate::repository::Repository;
use policy::Policy;
use sources::Sources;

/// The document whose blocks are compared with the code.
const ARCHITECTURE: &str = "ARCHITECTURE.md";

/// Something that breaks a rule, where it can be said where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    file: PathBuf,
    line: Option<usize>,
    message: String,
}

impl Problem {
    fn new(file: impl Into<PathBuf>, message: impl Into<String>) -> Problem {
        Problem {
            file: file.into(),
            line: None,
            message: message.into(),
        }
    }

    fn at(self, line: usize) -> Problem {
        Problem {
            line: Some(line),
            ..self
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(formatter, "{line}:")?;
        }
        write!(formatter, " {}", self.message)
    }
}

/// Checks, and prints what it finds.
pub(crate) fn run(repository: &Repository) -> Result<ExitCode> {
    let problems = check(repository)?;
    for problem in &problems {
        println!("{problem}");
    }
    if problems.is_empty() {
        println!("tidy");
        return Ok(ExitCode::SUCCESS);
    }
    println!("{} problems", problems.len());
    Ok(ExitCode::FAILURE)
}

/// Checks every rule.
pub(crate) fn check(repository: &Repository) -> Result<Vec<Problem>> {
    let sources = Sources::read(repository.root())?;
    let policy = Policy::read(repository.root())?;
    let main = describe(cargo::main_workspace(repository, "metadata"), &policy)?;
    let functions = describe(cargo::functions_workspace(repository, "metadata"), &policy)?;
    let guests = describe(cargo::guests_workspace(repository, "metadata"), &policy)?;
    let architecture = sources.text(ARCHITECTURE);

    let mut problems = Vec::new();
    problems.extend(layout::check(&sources));
    problems.extend(documents::check(&sources));
    problems.extend(traces::check(&sources));
    problems.extend(arrows::check(architecture, &main));
    problems.extend(unsafe_code::check(architecture, &sources));
    for workspace in [&main, &functions, &guests] {
        problems.extend(manifests::check(repository.root(), workspace)?);
    }
    problems.extend(builds::check(repository)?);
    problems.extend(licences::check(&policy, &[&main, &functions, &guests]));
    Ok(problems)
}

fn describe(mut command: Command, policy: &Policy) -> Result<Metadata> {
    for target in &policy.targets {
        command.args(["--filter-platform", target]);
    }
    Metadata::read(command).context("failed to describe a workspace")
}
