//! Escapes and truncates foreign text for messages.
//!
//! No control character passes, and no long text.

use std::fmt;

/// A foreign word or value: escaped and truncated.
pub(crate) struct Shown<'a>(pub(crate) &'a str);

/// A sentence that may contain foreign text: escaped and truncated.
pub(crate) struct ShownSentence<'a>(pub(crate) &'a str);

/// Text that must stay whole, such as a path: escaped only.
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
            // `escape_debug` would escape these three as well, which would only make paths and
            // quoted words harder to read.
            '\'' | '"' | '\\' => write!(f, "{character}"),
            _ => write!(f, "{}", character.escape_debug()),
        })
    }
}

/// The first `most` characters, and a mark if more follow.
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
    fn escapes_control_characters() {
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
