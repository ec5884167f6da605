//! Reads what a Rust file imports of its own crate: paths that start with `crate::` or `super::`, in
//! a `use` or anywhere else.
//!
//! This reads tokens and knows no macros. A path of a `use` within a function counts, one that a
//! macro makes does not. Unit tests, which are a module `tests` in the file, are left out.

mod tokens;

use std::collections::BTreeSet;

use tokens::tokens;

/// A path from the root of the crate: modules, and perhaps an item.
type Import = Vec<String>;

/// The imports of the file that is this module.
pub(super) fn imports(module: &[String], text: &str) -> BTreeSet<Import> {
    let tokens = tokens(text);
    let mut reader = Reader {
        tokens: &tokens,
        at: 0,
        module: module.to_vec(),
        imports: BTreeSet::new(),
    };
    reader.read();
    reader.imports
}

struct Reader<'a> {
    tokens: &'a [&'a str],
    at: usize,
    /// The module of the current token, which may be an inline one.
    module: Vec<String>,
    imports: BTreeSet<Import>,
}

impl<'a> Reader<'a> {
    fn token(&self, ahead: usize) -> &'a str {
        self.tokens
            .get(self.at + ahead)
            .copied()
            .unwrap_or_default()
    }

    /// The token before the current one by so many.
    fn before(&self, back: usize) -> &'a str {
        let at = self.at.checked_sub(back);
        at.map_or("", |at| self.tokens[at])
    }

    fn read(&mut self) {
        // How many braces are open, and at which counts an inline module began.
        let mut open = 0_usize;
        let mut inline = Vec::new();
        while self.at < self.tokens.len() {
            match self.token(0) {
                "mod" if self.token(2) == "{" => {
                    let name = self.token(1);
                    self.at += 2;
                    if name == "tests" {
                        self.skip_block();
                        continue;
                    }
                    self.module.push(name.to_owned());
                    inline.push(open);
                    open += 1;
                }
                "{" => open += 1,
                "}" => {
                    open = open.saturating_sub(1);
                    if inline.last() == Some(&open) {
                        inline.pop();
                        self.module.pop();
                    }
                }
                // `impl Trait + use<'a>` is no import.
                "use" if self.token(1) != "<" => {
                    self.at += 1;
                    self.read_tree(&[]);
                    continue;
                }
                "crate" | "super" if self.token(1) == "::" && self.begins_a_path() => {
                    self.read_tree(&[]);
                    continue;
                }
                _ => {}
            }
            self.at += 1;
        }
    }

    /// Whether a path of this crate begins here: not `a::super`, `$crate` or `pub(in crate::a)`.
    fn begins_a_path(&self) -> bool {
        let is_visibility = self.before(1) == "in" && self.before(2) == "(";
        !["::", "$"].contains(&self.before(1)) && !is_visibility
    }

    /// Skips a block, from its opening brace past its closing one.
    fn skip_block(&mut self) {
        let mut open = 0_usize;
        while self.at < self.tokens.len() {
            match self.token(0) {
                "{" => open += 1,
                "}" => open -= 1,
                _ => {}
            }
            self.at += 1;
            if open == 0 {
                return;
            }
        }
    }

    /// Reads a path, or a tree of paths in braces, behind a common beginning.
    fn read_tree(&mut self, beginning: &[&'a str]) {
        let mut path = beginning.to_vec();
        loop {
            let continues = path.len() == beginning.len() || self.before(1) == "::";
            match self.token(0) {
                // The braces of a literal or of a block are not those of a tree.
                "{" if continues => {
                    self.at += 1;
                    while !["}", ""].contains(&self.token(0)) {
                        let before = self.at;
                        self.read_tree(&path);
                        if self.at == before {
                            // A comma, or what is no path.
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                "::" => self.at += 1,
                word if is_word(word) && continues => {
                    path.push(word);
                    self.at += 1;
                }
                _ => break,
            }
        }
        if self.token(0) == "as" {
            self.at += 2;
        }
        if path.len() > beginning.len() || self.token(0) == "*" {
            self.imports.extend(resolved(&self.module, &path));
        }
    }
}

fn is_word(token: &str) -> bool {
    token
        .chars()
        .next()
        .is_some_and(|first| first.is_alphabetic() || first == '_')
}

/// The path from the root of the crate; `None` for one into another crate.
fn resolved(module: &[String], path: &[&str]) -> Option<Import> {
    let supers = path.iter().take_while(|part| **part == "super").count();
    let (mut from, rest) = match *path.first()? {
        "crate" => (Vec::new(), &path[1..]),
        "super" => (
            module[..module.len().checked_sub(supers)?].to_vec(),
            &path[supers..],
        ),
        _ => return None,
    };
    let named = rest.iter().filter(|part| **part != "self");
    from.extend(named.map(|part| (*part).to_owned()));
    Some(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let module = ["a".to_owned(), "b".to_owned()];
        let found: Vec<_> = imports(&module, text)
            .iter()
            .map(|import| import.join("::"))
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn uses_and_paths_of_the_crate_are_imports() {
        check("use crate::c::D;", &["c::D"]);
        check("use super::c;", &["a::c"]);
        check("use super::super::c;", &["c"]);
        check("use super::*;", &["a"]);
        check(
            "pub(crate) use crate::c::{self, D as _, e::{F, G}};",
            &["c", "c::D", "c::e::F", "c::e::G"],
        );
        check("use {crate::c, std::fs};", &["c"]);
        check(
            "fn f(c: &crate::c::D<u8>) -> crate::e::F { super::g(c) }",
            &["a::g", "c::D", "e::F"],
        );
        check("for c in crate::c::all() {}", &["c::all"]);
        check("crate::c::D { e: super::f::<u8>() }", &["a::f", "c::D"]);
    }

    #[test]
    fn other_crates_the_module_itself_and_texts_are_not() {
        check(
            "use std::fs; use ::c::crate_name; use self::c::D; use c::D;",
            &[],
        );
        check(
            "pub(crate) fn f() {} pub(in crate::c) fn g() {} pub(super) mod h;",
            &[],
        );
        check("// use crate::c;\n/* crate::d /* crate::e */ */", &[]);
        check(
            r##"let a = "crate::c"; let b = r#"use "crate::d";"#; let c = '"'; crate::e()"##,
            &["e"],
        );
        check(
            "fn f() -> impl A + use<'a> {} macro_rules! m { () => { $crate::c::D } }",
            &[],
        );
    }

    #[test]
    fn inline_modules_have_their_own_parent_and_unit_tests_are_left_out() {
        check(
            "mod c { use super::D; use super::super::e; fn f() {} } use super::g;",
            &["a::b::D", "a::e", "a::g"],
        );
        check(
            "#[cfg(test)]\nmod tests { use super::*; use crate::c; fn f() { {} } } use crate::d;",
            &["d"],
        );
        check("mod tests; use crate::c;", &["c"]);
    }
}
