//! Compares the arrows between the crates with ARCHITECTURE.md, in both directions.
//!
//! The document has a block
//!
//! ````text
//! ```arrows
//! # A comment. Names are those of packages.
//! sampan-spec ->
//! sampan-engine -> sampan-spec
//! sampan-runner -> sampan-engine, sampan-spec
//! sampan-engine -/> hyper, kube
//! ```
//! ````
//!
//! Each package of the workspace has one line with `->` and all packages of the workspace that it
//! uses, except those that only its tests use. A line with `-/>` names packages, also of
//! registries, that the package must not depend on, not even indirectly.

use std::collections::{BTreeMap, BTreeSet};

use sampan_checkout::metadata::{Metadata, Package};

use super::{ARCHITECTURE, Problem};
use crate::markdown::{self, Line};

/// The packages that each package uses, by name.
type Arrows<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

#[derive(Debug, PartialEq, Eq)]
enum Rule<'a> {
    Uses(&'a str, BTreeSet<&'a str>),
    Never(&'a str, Vec<&'a str>),
}

pub(super) fn check(architecture: Option<&str>, workspace: &Metadata) -> Vec<Problem> {
    let Some(block) = architecture.and_then(|text| markdown::block(text, "arrows")) else {
        let message =
            "the file must have a block ```arrows with lines `package -> package, package`";
        return vec![Problem::new(ARCHITECTURE, message)];
    };
    let mut problems = Vec::new();
    let mut drawn = Arrows::new();
    for line in block {
        match parse(line.text) {
            None => {}
            Some(Ok(Rule::Uses(user, used))) => {
                let before = drawn.insert(user, used);
                let again = before.map(|_| format!("`{user}` has another line"));
                problems.extend(again.map(|message| problem(line, message)));
            }
            Some(Ok(Rule::Never(user, never))) => {
                let broken = never.iter().filter_map(|used| path(workspace, user, used));
                problems.extend(broken.map(|path| problem(line, format!("{path} is forbidden"))));
            }
            Some(Err(message)) => problems.push(problem(line, message.to_owned())),
        }
    }
    let differences = compare(&drawn, &arrows(workspace)).into_iter();
    problems.extend(differences.map(|message| Problem::new(ARCHITECTURE, message)));
    problems
}

fn problem(line: Line<'_>, message: String) -> Problem {
    Problem::new(ARCHITECTURE, message).at(line.number)
}

/// `None` for a line without a rule.
fn parse(line: &str) -> Option<Result<Rule<'_>, &'static str>> {
    let line = line.split('#').next().unwrap_or_default().trim();
    if line.is_empty() {
        return None;
    }
    let rule = if let Some((user, used)) = line.split_once("-/>") {
        Ok(Rule::Never(user.trim(), list(used).collect()))
    } else if let Some((user, used)) = line.split_once("->") {
        Ok(Rule::Uses(user.trim(), list(used).collect()))
    } else {
        Err("this is neither `a -> b, c` nor `a -/> b, c`")
    };
    Some(rule)
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
}

fn arrows(workspace: &Metadata) -> Arrows<'_> {
    let members: BTreeSet<_> = workspace
        .members()
        .map(|package| package.name.as_str())
        .collect();
    workspace
        .members()
        .map(|package| (package.name.as_str(), uses(package, &members)))
        .collect()
}

fn uses<'a>(package: &'a Package, members: &BTreeSet<&str>) -> BTreeSet<&'a str> {
    let ours = package
        .dependencies
        .iter()
        .filter(|used| used.path.is_some() && !used.is_for_tests());
    ours.map(|used| used.name.as_str())
        .filter(|name| members.contains(name))
        .collect()
}

fn compare(drawn: &Arrows<'_>, real: &Arrows<'_>) -> Vec<String> {
    let mut messages = Vec::new();
    for (user, used) in real {
        let Some(shown) = drawn.get(user) else {
            messages.push(format!("the arrows of `{user}` are missing"));
            continue;
        };
        let extra = used
            .difference(shown)
            .map(|used| format!("the arrow `{user} -> {used}` is missing"));
        let gone = shown
            .difference(used)
            .map(|used| format!("the arrow `{user} -> {used}` is outdated"));
        messages.extend(extra.chain(gone));
    }
    let unknown = drawn.keys().filter(|user| !real.contains_key(*user));
    messages.extend(unknown.map(|user| format!("there is no package `{user}`")));
    messages
}

/// The shortest path from a package of the workspace to another package, if there is one.
fn path(workspace: &Metadata, from: &str, to: &str) -> Option<String> {
    let graph = workspace.graph();
    let names: BTreeMap<_, _> = workspace
        .packages
        .iter()
        .map(|package| (package.id.as_str(), package.name.as_str()))
        .collect();
    let start = workspace.members().find(|package| package.name == from)?;
    let mut reached = BTreeSet::from([start.id.as_str()]);
    let mut ways = vec![vec![start.id.as_str()]];
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            let last = way.last()?;
            if way.len() > 1 && names.get(last) == Some(&to) {
                let way: Vec<_> = way.iter().filter_map(|id| names.get(id).copied()).collect();
                return Some(format!("`{}`", way.join(" -> ")));
            }
            for next in graph.get(last).into_iter().flatten() {
                if reached.insert(next) {
                    longer.push([way.as_slice(), &[*next]].concat());
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

    #[test]
    fn a_line_is_an_arrow_a_ban_or_nothing() {
        fn check(line: &str, expected: Option<&Result<Rule<'_>, ()>>) {
            assert_eq!(
                parse(line).map(|rule| rule.map_err(drop)).as_ref(),
                expected,
                "{line}"
            );
        }
        check("# all", None);
        check("", None);
        check("a ->", Some(&Ok(Rule::Uses("a", BTreeSet::new()))));
        check(
            "a -> b, c # both",
            Some(&Ok(Rule::Uses("a", BTreeSet::from(["b", "c"])))),
        );
        check("a -/> kube", Some(&Ok(Rule::Never("a", vec!["kube"]))));
        check("a uses b", Some(&Err(())));
    }

    #[test]
    fn differences_are_reported_both_ways() {
        fn check(drawn: &[(&'static str, &[&'static str])], expected: &[&str]) {
            let drawn = drawn
                .iter()
                .map(|(user, used)| (*user, used.iter().copied().collect()))
                .collect();
            let real = Arrows::from([("a", BTreeSet::from(["b"])), ("b", BTreeSet::new())]);
            assert_eq!(compare(&drawn, &real), expected);
        }
        check(&[("a", &["b"]), ("b", &[])], &[]);
        check(
            &[("a", &[]), ("b", &[])],
            &["the arrow `a -> b` is missing"],
        );
        check(
            &[("a", &["b"]), ("b", &["a"])],
            &["the arrow `b -> a` is outdated"],
        );
        check(&[("a", &["b"])], &["the arrows of `b` are missing"]);
        check(
            &[("a", &["b"]), ("b", &[]), ("c", &[])],
            &["there is no package `c`"],
        );
    }
}
