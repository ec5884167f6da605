//! Escapes foreign text for a terminal: file names, import names and compilers' messages.
//!
//! No control character passes.

use std::fmt::Write as _;

/// Joins the text to one line and escapes control characters.
pub(crate) fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    escape(&lines.collect::<Vec<_>>().join(" "))
}

/// Keeps the lines of the text and escapes other control characters.
pub(crate) fn lines(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for line in text.lines() {
        shown.push_str(&escape(line));
        shown.push('\n');
    }
    shown
}

fn escape(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            // Harmless; escaping them would make paths and quoted words harder to read.
            '\'' | '"' | '\\' => shown.push(character),
            // Writing to a string cannot fail.
            _ => drop(write!(shown, "{}", character.escape_debug())),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::{lines, one_line};

    #[test]
    fn lines_are_joined_and_controls_escaped() {
        let check = |text: &str, expected: &str| assert_eq!(one_line(text), expected);
        check("plain", "plain");
        check("it's \"so\" C:\\a", "it's \"so\" C:\\a");
        check("first\n   second\n\nthird\n", "first second third");
        check("\u{1b}[31mred\u{7}", "\\u{1b}[31mred\\u{7}");
        check("right\u{202e}left", "right\\u{202e}left");
        check("größe", "größe");
        check("", "");
    }

    #[test]
    fn lines_are_kept_where_they_belong() {
        assert_eq!(lines("a {\n  b\u{1b}\n}"), "a {\n  b\\u{1b}\n}\n");
    }
}
