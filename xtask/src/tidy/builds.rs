//! What is built for tests is what is built for programs: no dependency of tests alone turns on a feature
//! of a package that the programs use as well. It would be compiled twice, with all that stands on it, and
//! the tests would test another program.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::Problem;
use crate::cargo;
use crate::repository::Repository;

/// Packages with their versions, and the features that are on.
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
    String::from_utf8(output.stdout).context("`cargo tree` wrote no UTF-8")
}

/// From lines such as `serde v1.0.1|default,derive (*)`.
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
            "`{package}` has the features `{features}` in programs and `{more}` in tests; make what \
             turns them on no dev-dependency"
        );
        Some(Problem::new("Cargo.toml", message))
    });
    both.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_of_tests_alone_are_told() {
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
