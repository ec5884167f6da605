//! Checks that all builds compile shared packages with the same features.
//!
//! - A dependency that only tests have must not turn on a feature of a package that the programs use as well. That
//!   package and its dependents would be compiled twice, and the tests would run another program than the built one.
//! - The packages that `cargo xtask up` builds must have the features that the whole workspace gives them, for the same
//!   reason.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use sampan_checkout::build::{self, Selection};
use sampan_checkout::repository::Repository;

use super::Problem;

/// Packages with their versions, and their features in each way that they are compiled: for programs, and for build
/// scripts and macros.
type Features = BTreeMap<String, BTreeSet<String>>;

/// Edges of the dependency graph to packages that are compiled for programs only.
const PROGRAMS: &str = "normal,no-proc-macro";

pub(super) fn check(repository: &Repository) -> Result<Vec<Problem>> {
    let read = |selection, edges| features(repository, selection, edges);
    let programs = read(Selection::Workspace, "normal,build")?;
    let tests = read(Selection::Workspace, "normal,build,dev")?;
    let mut problems = compare(&programs, &tests);
    let up = read(Selection::Up, "normal,build")?;
    // A package that is compiled in both ways must have the same features for programs.
    let up_alone = read(Selection::Up, PROGRAMS)?;
    let programs_alone = read(Selection::Workspace, PROGRAMS)?;
    let mut parts = BTreeSet::from_iter(compare_part(&up, &programs));
    parts.extend(compare_part(&up_alone, &programs_alone));
    problems.extend(
        parts
            .into_iter()
            .map(|message| Problem::new("dev/shared-features/Cargo.toml", message)),
    );
    Ok(problems)
}

fn features(repository: &Repository, selection: Selection, edges: &str) -> Result<Features> {
    let selected = selection.arguments();
    Ok(parse(&build::tree(
        repository, &selected, edges, "{p}|{f}",
    )?))
}

/// Parses lines such as `serde v1.0.1|default,derive (*)`.
fn parse(tree: &str) -> Features {
    let mut packages = Features::new();
    for (package, features) in tree.lines().filter_map(|line| line.split_once('|')) {
        let features = features.trim_end_matches("(*)").trim_end();
        packages
            .entry(package.to_owned())
            .or_default()
            .insert(features.to_owned());
    }
    packages
}

fn shown(features: &BTreeSet<String>) -> String {
    let shown: Vec<_> = features.iter().map(|set| format!("`{set}`")).collect();
    shown.join(" and ")
}

fn compare(programs: &Features, tests: &Features) -> Vec<Problem> {
    let both = programs.iter().filter_map(|(package, features)| {
        let more = tests.get(package).filter(|more| *more != features)?;
        let message = format!(
            "`{package}` has the features {} in programs and {} in tests; make the \
             dependency that enables them a normal one",
            shown(features),
            shown(more)
        );
        Some(Problem::new("Cargo.toml", message))
    });
    both.collect()
}

/// Compares a part of the workspace with the whole. Each way to compile a package in the part must be one of the whole.
fn compare_part(part: &Features, whole: &Features) -> Vec<String> {
    let differing = part.iter().filter_map(|(package, features)| {
        let all = whole.get(package);
        if all.is_some_and(|all| features.is_subset(all)) {
            return None;
        }
        Some(format!(
            "`{package}` has the features {} in `cargo xtask up` and {} in the whole workspace; add the missing ones",
            shown(features),
            all.map_or_else(|| "none".to_owned(), shown)
        ))
    });
    differing.collect()
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

    #[test]
    fn a_part_is_compiled_as_in_the_whole() {
        fn check(part: &str, whole: &str, expected: &[&str]) {
            let problems = compare_part(&parse(part), &parse(whole));
            assert_eq!(problems.len(), expected.len(), "{problems:?}");
            for (problem, part) in problems.iter().zip(expected) {
                assert!(problem.contains(part), "{problem}");
            }
        }
        check("a v1|x", "a v1|x\na v1|\nb v1|", &[]);
        check("a v1|x\na v1|", "a v1|x (*)\na v1|", &[]);
        check(
            "a v1|",
            "a v1|x",
            &["`a v1` has the features `` in `cargo xtask up` and `x` in"],
        );
        check("a v1|", "b v1|", &["and none in the whole"]);
    }
}
