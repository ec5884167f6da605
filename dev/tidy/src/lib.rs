//! `cargo xtask tidy`: checks the rules of this repository that no compiler checks.
//!
//! Each module is one rule, or a few related ones. None of them changes a file.

mod arrows;
mod circles;
mod documents;
mod features;
mod layout;
mod licences;
mod machine_paths;
mod manifests;
mod markdown;
mod policy;
mod sources;
mod unsafe_code;

use std::fmt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use sampan_checkout::cargo;
use sampan_checkout::metadata::Metadata;
use sampan_checkout::repository::Repository;

use policy::Policy;
use sources::Sources;

/// The document with the blocks that are compared with the code.
const ARCHITECTURE: &str = "ARCHITECTURE.md";

/// A broken rule, with its location if it has one.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
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

/// Checks every rule, and prints the problems.
pub fn run(repository: &Repository) -> Result<ExitCode> {
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

/// Checks every rule, and returns the problems.
pub fn check(repository: &Repository) -> Result<Vec<Problem>> {
    let sources = Sources::read(repository.root())?;
    let policy = Policy::read(repository.root())?;
    let main = describe(cargo::main_workspace(repository, "metadata"), &policy)?;
    let functions = describe(cargo::functions_workspace(repository, "metadata"), &policy)?;
    let guests = describe(cargo::guests_workspace(repository, "metadata"), &policy)?;
    let architecture = sources.text(ARCHITECTURE);

    let mut problems = Vec::new();
    problems.extend(layout::check(&sources));
    problems.extend(circles::check(&sources));
    problems.extend(documents::check(&sources));
    problems.extend(machine_paths::check(&sources));
    problems.extend(arrows::check(architecture, &main));
    problems.extend(unsafe_code::check(architecture, &sources));
    for workspace in [&main, &functions, &guests] {
        problems.extend(manifests::check(repository.root(), workspace)?);
    }
    problems.extend(features::check(repository)?);
    problems.extend(licences::check(&policy, &[&main, &functions, &guests]));
    Ok(problems)
}

fn describe(mut command: Command, policy: &Policy) -> Result<Metadata> {
    for target in &policy.targets {
        command.args(["--filter-platform", target]);
    }
    Metadata::read(command).context("failed to describe a workspace")
}
