//! `cargo xtask bench`: builds the programs to measure, starts what they run on, and runs
//! `sampan-bench`.
//!
//! Programs are built in the profile of a release. The native programs for comparison are optimised
//! across crates too.

mod cluster;

use std::ffi::OsStr;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use sampan_build::functions::{self, FUNCTIONS_FOLDER, Functions};
use sampan_checkout::build::{self, Selection};
use sampan_checkout::cargo;
use sampan_checkout::machine::{Machine, Need};
use sampan_checkout::repository::Repository;
use sampan_checkout::toolchain::Choice;
use sampan_cluster::TOOLS_FOLDER;

use cluster::BenchCluster;

/// The variable with the path of the file that lists the images of all functions.
pub(crate) const IMAGES: &str = "SAMPAN_BENCH_IMAGES";

/// An option of this command that is accepted anywhere after the benchmark's name.
const KEEP_CLUSTER: &str = "--keep-cluster";

/// The options of `cargo xtask bench`.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Leave the benchmark's cluster up: the next benchmark takes it as it is
    #[arg(long)]
    pub(crate) keep_cluster: bool,

    /// The benchmark; `cargo xtask bench help` lists them
    pub(crate) name: String,

    /// Arguments of the benchmark
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGUMENTS"
    )]
    pub(crate) arguments: Vec<String>,
}

/// What a benchmark runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Environment {
    /// This machine.
    Machine,
    /// A cluster with every function in its registry and on its nodes.
    Cluster,
    /// The programs of a cluster; the benchmark starts some of them itself.
    Programs,
}

impl Environment {
    /// Leaves unknown names and requests for help to `sampan-bench`.
    fn of(name: &str, arguments: &[String]) -> Environment {
        let asks = |argument: &String| ["--help", "-h"].contains(&argument.as_str());
        match name {
            _ if arguments.iter().any(asks) => Environment::Machine,
            "pods" | "churn" | "paper" | "pool-cluster" => Environment::Cluster,
            "operator" | "pool" => Environment::Programs,
            _ => Environment::Machine,
        }
    }
}

pub(crate) fn run(checkout: &Repository, machine: &Machine, bench: &Bench) -> Result<ExitCode> {
    let repository = &checkout.shipped();
    if bench.name == "report" {
        // It only reads samples, so it needs neither functions nor a prepared machine.
        build::build_programs(checkout, Selection::Workspace)?;
        let mut command = Command::new(checkout.program("sampan-bench"));
        return measure(command.arg(&bench.name).args(&bench.arguments));
    }
    // A tool that only some benchmarks need is no reason to stop: a benchmark that lacks it fails
    // with its own error.
    for missing in machine.provide(&[
        Need::Linker,
        Need::Seccomp,
        Need::Protoc,
        Need::Postgres,
        Need::Pip,
        Need::Wrk,
    ]) {
        eprintln!(
            "missing: {}; to install it: {}",
            missing.what, missing.remedy
        );
    }
    functions::run(repository, machine, &Functions::all(Choice::default()))?;
    build::build_programs(repository, Selection::Workspace)?;
    let (arguments, keep) = split_arguments(bench);
    let mut command = Command::new(repository.program("sampan-bench"));
    command.arg(&bench.name).args(&arguments);
    command.env(FUNCTIONS_FOLDER, repository.staged());
    match Environment::of(&bench.name, &arguments) {
        Environment::Machine => measure(&mut command),
        Environment::Programs => {
            command.env(TOOLS_FOLDER, sampan_cluster::programs(repository)?);
            measure(&mut command)
        }
        Environment::Cluster => {
            let cluster = BenchCluster::start(repository, machine, keep)?;
            let measured = cluster
                .prepare(repository)
                .and_then(|variables| measure(command.envs(variables)));
            // The first error is the one to report.
            let ended = cluster.tear_down();
            measured.and_then(|code| ended.map(|()| code))
        }
    }
}

/// Returns the arguments of `sampan-bench`, and whether to keep the cluster.
fn split_arguments(bench: &Bench) -> (Vec<String>, bool) {
    let is_own = |argument: &&String| argument.as_str() == KEEP_CLUSTER;
    let kept = bench.keep_cluster
        || bench
            .arguments
            .iter()
            .any(|argument| argument == KEEP_CLUSTER);
    let rest = bench.arguments.iter().filter(|argument| !is_own(argument));
    (rest.cloned().collect(), kept)
}

fn measure(command: &mut Command) -> Result<ExitCode> {
    let status = command
        .status()
        .with_context(|| format!("failed to start {}", cargo::shown(command)))?;
    let Some(code) = status.code() else {
        bail!("{} ended with {status}", cargo::shown(command));
    };
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// A variable in the environment of `sampan-bench`.
type Variable = (&'static str, std::ffi::OsString);

fn variable(name: &'static str, value: impl AsRef<OsStr>) -> Variable {
    (name, value.as_ref().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_needs_a_cluster_gets_one() {
        fn check(name: &str, arguments: &[&str], expected: Environment) {
            let arguments: Vec<_> = arguments.iter().map(|&word| word.to_owned()).collect();
            assert_eq!(
                Environment::of(name, &arguments),
                expected,
                "{name} {arguments:?}"
            );
        }
        check("pods", &[], Environment::Cluster);
        check("churn", &["--pods", "50"], Environment::Cluster);
        check("paper", &["--scale", "0.2"], Environment::Cluster);
        check("paper", &["--help"], Environment::Machine);
        check("operator", &[], Environment::Programs);
        check("pool", &["memory"], Environment::Programs);
        check("pool-cluster", &["burst"], Environment::Cluster);
        check("engine", &[], Environment::Machine);
        check("report", &["folder"], Environment::Machine);
        check("help", &[], Environment::Machine);
    }

    #[test]
    fn keep_cluster_is_accepted_anywhere_after_the_name() {
        fn check(keep_cluster: bool, arguments: &[&str], expected: (&[&str], bool)) {
            let bench = Bench {
                keep_cluster,
                name: "pods".to_owned(),
                arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
            };
            let (rest, kept) = split_arguments(&bench);
            assert_eq!(
                (rest, kept),
                (
                    expected.0.iter().map(|&word| word.to_owned()).collect(),
                    expected.1
                )
            );
        }
        check(false, &["starts"], (&["starts"], false));
        check(true, &["starts"], (&["starts"], true));
        check(false, &["starts", "--keep-cluster"], (&["starts"], true));
    }
}
