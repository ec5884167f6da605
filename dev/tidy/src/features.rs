//! Checks that programs and tests build shared packages with the same features.
//!
//! A dependency that only tests have must not turn on a feature of a package that the programs use
//! as well. That package and its dependents would be compiled twice, and the tests would run
//! another program than the built one.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use sampan_checkout::cargo;
use sampan_checkout::repository::Repository;

use super::Problem;

/// Packages with their versions, and their enabled features.
type Features = BTreeMap<String, String>;

pub(super) fn check(repository: &Repository) -> Result<Vec<Problem>> {
    let programs = features(repository, "normal,build")?;
    let tests = features(repository, "normal,build,dev")?;
    Ok(compare(&programs, &tests))
}

fn features(repository: &Repository, edges: &str) -> Result<Features> {
    let mut command = cargo::main_workspace(repository, "tree");
    command.args(["--workspace", "--prefix", "none", "--format", "{p}|{f}"]);
    command.args(["--edges", edges]);
    Ok(parse(&output(&mut command)?))
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output();
    let output = output.with_context(|| format!("failed to start {}", cargo::shown(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} failed:\n{}", cargo::shown(command), said.trim());
    }
    String::from_utf8(output.stdout).context("`cargo tree` wrote invalid UTF-8")
}

/// Parses lines such as `serde v1.0.1|default,derive (*)`.
fn parse(tree: &str) -> Features {
    let packages = tree.lines().filter_map(|line| {
        let (package, features) = line.split_once('|')?;
        let features = features.trim_end_matches("(*)").trim_end();
        Some((package.to_owned(), features.to_owned()))
    });
    packages.collect()
}

fn compare(programs: &Features, tests: &Features) -> Vec<Problem> {
    let both = programs.iter().filter_map(|(package, features)| {
        let more = tests.get(package).filter(|more| *more != features)?;
        let message = format!(
            "`{package}` has the features `{features}` in programs and `{more}` in tests; make the \
             dependency that enables them a normal one"
        );
        Some(Problem::new("Cargo.toml", message))
    });
    both.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_of_tests_alone_are_reported() {
        fn check(programs: &str, tests: &str, expected: &[&str]) {
            let problems = compare(&parse(programs), &parse(tests));
            let shown: Vec<_> = problems.iter().map(ToString::to_string).collect();
            assert_eq!(shown.len(), expected.len(), "{shown:?}");
            for (problem, part) in shown.iter().zip(expected) {
                assert!(problem.contains(part), "{problem}");
            }
        }
        check("a v1|x\n\nb v2|", "a v1|x (*)\nb v2|\nc v3|y", &[]);
        check("a v1|", "a v1|derive", &["`a v1` has the features ``"]);
        // Another version is another package.
        check("a v1|", "a v1|\na v2|derive", &[]);
    }
}
