//! Checks every Rust file: it opens with its purpose, it is short, and its name is specific.

use std::path::Path;

use super::Problem;
use super::sources::Sources;

/// The most lines of a file. Aim for 150; past this, split it by noun.
const MAX_LINES: usize = 400;

/// Names of files and folders that say nothing about the content.
const EMPTY_NAMES: [&str; 8] = [
    "util", "utils", "common", "helper", "helpers", "imp", "misc", "shared",
];

pub(super) fn check(sources: &Sources) -> Vec<Problem> {
    let files = sources.with_extension("rs");
    files
        .flat_map(|(path, text)| check_file(path, text))
        .collect()
}

fn check_file(path: &Path, text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    let first = text
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    if !first.starts_with("//!") {
        let message = "the file must open with `//!`: what it does, and what it leaves out";
        problems.push(Problem::new(path, message).at(1));
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        let message = format!("the file has {lines} lines; split it below {MAX_LINES}");
        problems.push(Problem::new(path, message));
    }
    let empty = path.iter().find_map(|part| {
        let name = Path::new(part).file_stem()?.to_str()?;
        EMPTY_NAMES.iter().find(|&&empty| empty == name)
    });
    if let Some(name) = empty {
        let message = format!("the name `{name}` says nothing; name the file by its content");
        problems.push(Problem::new(path, message));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_opens_with_its_purpose_and_is_short_and_named() {
        fn check(path: &str, text: &str, expected: &[&str]) {
            let problems = check_file(Path::new(path), text);
            assert_eq!(problems.len(), expected.len(), "{path}: {problems:?}");
            for (problem, part) in problems.iter().zip(expected) {
                assert!(problem.to_string().contains(part), "{problem}");
            }
        }
        let long = |lines: usize| format!("//! A.\n{}", "\n".repeat(lines - 1));
        check("src/a.rs", "//! A.\n", &[]);
        check("src/a.rs", "\n//! A.\nfn a() {}\n", &[]);
        check(
            "src/a.rs",
            "use b;\n//! A.\n",
            &["src/a.rs:1: the file must open"],
        );
        check("src/a.rs", "", &["must open"]);
        check("src/a.rs", &long(400), &[]);
        check("src/a.rs", &long(401), &["has 401 lines"]);
        check("src/utils.rs", "//! A.", &["`utils`"]);
        check("tests/common/mod.rs", "//! A.", &["`common`"]);
        check("src/import.rs", "//! A.", &[]);
    }
}
