//! `cargo xtask bench`: builds what is measured, starts what it is measured on, and runs `sampan-bench`.
//!
//! Programs are built as they are handed out. The native ones they are compared with are optimised across crates too.

mod cluster;

use std::ffi::OsStr;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::arguments::{Bench, Functions, Toolchain};
use crate::cargo;
use crate::functions;
use crate::machine::{Machine, Need};
use crate::repository::Repository;
use crate::stages::{FUNCTIONS_FOLDER, TOOLS_FOLDER};
use cluster::BenchCluster;

/// Tells where the images of all functions are.
pub(crate) const IMAGES: &str = "SAMPAN_BENCH_IMAGES";

/// What is told anywhere behind the name, and is ours.
const KEEP: &str = "--keep-cluster";

/// What a benchmark runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ground {
    /// This machine.
    Machine,
    /// A cluster with every function in its registry and on its nodes.
    Cluster,
    /// The programs of a cluster, of which it starts some itself.
    Programs,
}

impl Ground {
    /// A benchmark that is not known here is `sampan-bench`'s to refuse, and so are questions about one.
    fn of(name: &str, arguments: &[String]) -> Ground {
        let asks = |argument: &String| ["--help", "-h"].contains(&argument.as_str());
        match name {
            _ if arguments.iter().any(asks) => Ground::Machine,
            "pods" | "churn" | "paper" => Ground::Cluster,
            "operator" => Ground::Programs,
            _ => Ground::Machine,
        }
    }
}

pub(crate) fn run(checkout: &Repository, machine: &Machine, bench: &Bench) -> Result<ExitCode> {
    let repository = &checkout.shipped();
    if bench.name == "report" {
        // It reads samples alone: no function and no machine is made ready for it.
        cargo::build_programs(checkout)?;
        let mut command = Command::new(checkout.program("sampan-bench"));
        return measure(command.arg(&bench.name).args(&bench.arguments));
    }
    // What only some benchmarks need is no reason to stop: one that lacks it says so.
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
    functions::run(repository, machine, &Functions::all(Toolchain::default()))?;
    cargo::build_programs(repository)?;
    let (arguments, keep) = ours(bench);
    let mut command = Command::new(repository.program("sampan-bench"));
    command.arg(&bench.name).args(&arguments);
    command.env(FUNCTIONS_FOLDER, repository.staged());
    match Ground::of(&bench.name, &arguments) {
        Ground::Machine => measure(&mut command),
        Ground::Programs => {
            command.env(TOOLS_FOLDER, crate::cluster::programs(repository)?);
            measure(&mut command)
        }
        Ground::Cluster => {
            let cluster = BenchCluster::start(repository, machine, keep)?;
            let measured = cluster
                .prepare(repository)
                .and_then(|variables| measure(command.envs(variables)));
            // What went wrong first is told first.
            let ended = cluster.end();
            measured.and_then(|code| ended.map(|()| code))
        }
    }
}

/// What `sampan-bench` is told, and whether a cluster is to be kept.
fn ours(bench: &Bench) -> (Vec<String>, bool) {
    let is_ours = |argument: &&String| argument.as_str() == KEEP;
    let kept = bench.keep_cluster || bench.arguments.iter().any(|argument| argument == KEEP);
    let rest = bench.arguments.iter().filter(|argument| !is_ours(argument));
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

/// A variable of `sampan-bench`'s environment.
type Variable = (&'static str, std::ffi::OsString);

fn variable(name: &'static str, value: impl AsRef<OsStr>) -> Variable {
    (name, value.as_ref().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_needs_a_cluster_gets_one() {
        fn check(name: &str, arguments: &[&str], expected: Ground) {
            let arguments: Vec<_> = arguments.iter().map(|&word| word.to_owned()).collect();
            assert_eq!(
                Ground::of(name, &arguments),
                expected,
                "{name} {arguments:?}"
            );
        }
        check("pods", &[], Ground::Cluster);
        check("churn", &["--pods", "50"], Ground::Cluster);
        check("paper", &["--scale", "0.2"], Ground::Cluster);
        check("paper", &["--help"], Ground::Machine);
        check("operator", &[], Ground::Programs);
        check("engine", &[], Ground::Machine);
        check("report", &["folder"], Ground::Machine);
        check("help", &[], Ground::Machine);
    }

    #[test]
    fn a_cluster_is_kept_wherever_that_is_said() {
        fn check(keep_cluster: bool, arguments: &[&str], expected: (&[&str], bool)) {
            let bench = Bench {
                keep_cluster,
                name: "pods".to_owned(),
                arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
            };
            let (rest, kept) = ours(&bench);
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
