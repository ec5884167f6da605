//! Finds files of a crate that import each other in a circle, directly or over others.
//!
//! A circle cannot be read file by file, and grows unnoticed. What two files need belongs into a
//! third one that imports neither.

mod imports;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::Problem;
use super::sources::Sources;
use imports::imports;

/// The files that each file imports.
type Graph<'a> = BTreeMap<&'a Path, BTreeSet<&'a Path>>;

/// Files that reach each other by imports.
type Circle<'a> = BTreeSet<&'a Path>;

pub(super) fn check(sources: &Sources) -> Vec<Problem> {
    let mut problems = Vec::new();
    for folder in crates(sources) {
        let graph = graph(sources, &folder.join("src"));
        let circles = circles(&graph).into_iter();
        problems.extend(circles.map(|circle| report(&graph, &circle)));
    }
    problems
}

/// The folders of all crates.
fn crates(sources: &Sources) -> impl Iterator<Item = &Path> {
    sources
        .with_extension("toml")
        .filter(|(path, _)| path.file_name().is_some_and(|name| name == "Cargo.toml"))
        .filter_map(|(path, _)| path.parent())
}

fn graph<'a>(sources: &'a Sources, src: &Path) -> Graph<'a> {
    let files: Vec<_> = sources
        .with_extension("rs")
        .filter_map(|(path, text)| Some((module(path.strip_prefix(src).ok()?), path, text)))
        .collect();
    // In this order lib.rs, not main.rs, is the root of a crate that has both.
    let paths: BTreeMap<&[String], &Path> = files
        .iter()
        .rev()
        .map(|(module, path, _)| (module.as_slice(), *path))
        .collect();
    files
        .iter()
        .map(|(module, path, text)| {
            let imported = imports(module, text);
            let found = imported.iter().filter_map(|import| owner(&paths, import));
            // A module is declared by its parent: that is no import.
            let found = found.filter(|(other, _)| !other.starts_with(module));
            (*path, found.map(|(_, path)| path).collect())
        })
        .collect()
}

/// The module of a file: `task/exit.rs` and `task/exit/mod.rs` are `task::exit`.
fn module(file: &Path) -> Vec<String> {
    let stem = file.with_extension("");
    let mut parts: Vec<String> = stem
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if parts.last().is_some_and(|last| last == "mod")
        || ["lib", "main"].contains(&parts.join("/").as_str())
    {
        parts.pop();
    }
    parts
}

/// The file with an imported item: that of the longest part of its path that is a module.
fn owner<'a, 'b>(
    paths: &BTreeMap<&'b [String], &'a Path>,
    import: &[String],
) -> Option<(&'b [String], &'a Path)> {
    (0..=import.len())
        .rev()
        .find_map(|length| paths.get_key_value(&import[..length]))
        .map(|(module, path)| (*module, *path))
}

/// The largest sets of files that reach each other.
fn circles<'a>(graph: &Graph<'a>) -> Vec<Circle<'a>> {
    let reached: BTreeMap<&Path, BTreeSet<&Path>> = graph
        .keys()
        .map(|file| (*file, reachable(graph, file)))
        .collect();
    let mut circles: Vec<Circle<'a>> = Vec::new();
    for (file, others) in &reached {
        if !others.contains(file) || circles.iter().any(|circle| circle.contains(file)) {
            continue;
        }
        let back = others.iter().filter(|other| reached[*other].contains(file));
        circles.push(back.copied().collect());
    }
    circles
}

fn reachable<'a>(graph: &Graph<'a>, file: &Path) -> BTreeSet<&'a Path> {
    let mut reached = BTreeSet::new();
    let mut left: Vec<&Path> = graph[file].iter().copied().collect();
    while let Some(next) = left.pop() {
        if let Some((next, imported)) = graph.get_key_value(next)
            && reached.insert(*next)
        {
            left.extend(imported);
        }
    }
    reached
}

/// Shows the shortest way around.
fn report<'a>(graph: &Graph<'a>, circle: &Circle<'a>) -> Problem {
    let around = circle.iter().filter_map(|start| way_back(graph, start));
    let shortest = around.min_by_key(Vec::len);
    let shortest = shortest.unwrap_or_else(|| circle.iter().copied().collect());
    let names: Vec<_> = shortest
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    let message = format!(
        "these files import each other in a circle: {}; move what they need of each other into a \
         file that imports none of them",
        names.join(" -> ")
    );
    Problem::new(shortest.first().copied().unwrap_or(Path::new("")), message)
}

/// The shortest way from a file back to itself, with the file at both ends.
fn way_back<'a>(graph: &Graph<'a>, start: &'a Path) -> Option<Vec<&'a Path>> {
    let mut ways = vec![vec![start]];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            for next in graph.get(way.last()?).into_iter().flatten() {
                let onward = [way.as_slice(), &[*next]].concat();
                if *next == start {
                    return Some(onward);
                }
                if seen.insert(*next) {
                    longer.push(onward);
                }
            }
        }
        ways = longer;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: (&str, &str) = ("crates/a/Cargo.toml", "[package]");

    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let all: Vec<_> = [MANIFEST].iter().chain(files).copied().collect();
        let problems = super::check(&Sources::of(&all));
        let shown: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(shown.len(), expected.len(), "{files:?}: {shown:?}");
        for (problem, part) in shown.iter().zip(expected) {
            assert!(problem.contains(part), "{problem}");
        }
    }

    #[test]
    fn files_that_import_each_other_are_a_circle() {
        let lib = ("crates/a/src/lib.rs", "mod one; mod two; mod three;");
        let one = ("crates/a/src/one.rs", "use crate::two::Two;");
        let two = ("crates/a/src/two.rs", "fn two(_: crate::three::Three) {}");
        let three = ("crates/a/src/three/mod.rs", "use super::one::{self, One};");
        let leaf = ("crates/a/src/three/mod.rs", "use super::four::Four;");
        check(&[lib, one, two, leaf], &[]);
        check(
            &[lib, one, two, three],
            &[
                "crates/a/src/one.rs -> crates/a/src/two.rs -> crates/a/src/three/mod.rs -> crates/a/src/one.rs;",
            ],
        );
        let direct = ("crates/a/src/two.rs", "use crate::one;");
        check(
            &[lib, one, direct, leaf],
            &["crates/a/src/one.rs -> crates/a/src/two.rs -> crates/a/src/one.rs;"],
        );
    }

    #[test]
    fn a_parent_does_not_import_what_it_declares() {
        let parent = (
            "crates/a/src/one.rs",
            "mod part; use crate::one::part::Part;",
        );
        let child = ("crates/a/src/one/part.rs", "use super::One;");
        check(&[parent, child], &[]);
        // But a way back over another file is one.
        let parent = ("crates/a/src/one.rs", "mod part; use crate::two::Two;");
        let other = ("crates/a/src/two.rs", "use crate::one::part::Part;");
        check(&[parent, child, other], &["in a circle"]);
    }
}
