//! Checks that unsafe code is only in the files that ARCHITECTURE.md lists, and that each of them
//! has some.
//!
//! The document has a block
//!
//! ````text
//! ```unsafe
//! path/of/a/file.rs
//! ```
//! ````
//!
//! A lint checks that each use has its reason.

use std::collections::BTreeSet;
use std::path::Path;

use super::sources::Sources;
use super::{ARCHITECTURE, Problem};
use crate::markdown;

/// The keyword with what follows it, split so that this file does not match.
const USES: [&str; 6] = [
    concat!("unsafe", " {"),
    concat!("unsafe", " fn"),
    concat!("unsafe", " impl"),
    concat!("unsafe", " extern"),
    concat!("unsafe", " trait"),
    concat!("#[unsafe", "("),
];

pub(super) fn check(architecture: Option<&str>, sources: &Sources) -> Vec<Problem> {
    let Some(block) = architecture.and_then(|text| markdown::block(text, "unsafe")) else {
        let message = "the file must have a block ```unsafe with the files that have unsafe code";
        return vec![Problem::new(ARCHITECTURE, message)];
    };
    let listed = block.iter().map(|line| line.text.trim());
    let listed: BTreeSet<&Path> = listed
        .filter(|line| !line.is_empty())
        .map(Path::new)
        .collect();
    let mut problems = Vec::new();
    let mut found = BTreeSet::new();
    for (path, text) in sources.with_extension("rs") {
        let Some(line) = first_use(text) else {
            continue;
        };
        found.insert(path);
        if !listed.contains(path) {
            let message = format!("unsafe code in a file that {ARCHITECTURE} does not list");
            problems.push(Problem::new(path, message).at(line));
        }
    }
    let idle = listed.difference(&found);
    problems.extend(idle.map(|path| {
        let message = format!("{} is listed and has no unsafe code", path.display());
        Problem::new(ARCHITECTURE, message)
    }));
    problems
}

/// The line number of the first use outside of comments, counted from 1.
fn first_use(text: &str) -> Option<usize> {
    let is_use = |line: &str| {
        let code = line.split("//").next().unwrap_or_default();
        USES.iter().any(|unsafe_use| code.contains(unsafe_use))
    };
    text.lines().position(is_use).map(|index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_and_the_code_agree() {
        fn check(listed: &str, code: &str, expected: &[&str]) {
            let architecture = format!("```unsafe\n{listed}\n```");
            let sources = Sources::of(&[("src/a.rs", code)]);
            let problems = super::check(Some(&architecture), &sources);
            let shown: Vec<_> = problems.iter().map(ToString::to_string).collect();
            assert_eq!(shown.len(), expected.len(), "{shown:?}");
            for (problem, part) in shown.iter().zip(expected) {
                assert!(problem.contains(part), "{problem}");
            }
        }
        let block = concat!("fn a() {\n    unsafe", " { b() }\n}");
        check("src/a.rs", block, &[]);
        check("", block, &["src/a.rs:2:"]);
        check("src/a.rs", "fn a() {}", &["src/a.rs is listed"]);
        check("", concat!("// never unsafe", " { }"), &[]);
        check("", concat!("#[unsafe", "(no_mangle)]"), &["src/a.rs:1:"]);
    }
}
