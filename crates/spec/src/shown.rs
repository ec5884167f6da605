//! How text that someone else wrote is shown in a message: escaped and cut.
//!
//! Refuses to let a control character or a megabyte through to a terminal.

use std::fmt;

/// A word or value that someone else wrote.
pub(crate) struct Shown<'a>(pub(crate) &'a str);

/// A whole sentence that may repeat what someone else wrote.
pub(crate) struct ShownSentence<'a>(pub(crate) &'a str);

/// Text that has to stay whole, such as a path: escaped only.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        cut(self.0, 80, f)
    }
}

impl fmt::Display for ShownSentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        cut(self.0, 240, f)
    }
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            // `escape_debug` would escape these three as well, which only makes paths and quoted
            // words harder to read.
            '\'' | '"' | '\\' => write!(f, "{character}"),
            _ => write!(f, "{}", character.escape_debug()),
        })
    }
}

/// The first `most` characters, and a mark where more follow.
fn cut(text: &str, most: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match text.char_indices().nth(most) {
        Some((end, _)) => write!(f, "{}...", Escaped(&text[..end])),
        None => write!(f, "{}", Escaped(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::Shown;

    fn check(input: &str, expected: &str) {
        assert_eq!(Shown(input).to_string(), expected, "{input:?}");
    }

    #[test]
    fn escapes_what_a_terminal_would_obey() {
        check("plain", "plain");
        check("it's \"so\"", "it's \"so\"");
        check("\u{1b}[31mred", "\\u{1b}[31mred");
        check("a\nb\0", "a\\nb\\0");
        check("C:\\a", "C:\\a");
        check("right\u{202e}left", "right\\u{202e}left");
        check("größe", "größe");
    }

    #[test]
    fn cuts_long_text() {
        check(&"x".repeat(80), &"x".repeat(80));
        check(&"x".repeat(81), &format!("{}...", "x".repeat(80)));
    }
}
