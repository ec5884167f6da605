//! Terminal colours, and whether to use them.
//!
//! Only output for a user at an interactive terminal is coloured.

use std::env;
use std::io::IsTerminal;

/// Text styles of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    colored: bool,
}

impl Style {
    /// No colours.
    #[cfg(test)]
    pub(crate) const PLAIN: Self = Self { colored: false };

    /// The style for a stream of this process.
    pub(crate) fn of(stream: &impl IsTerminal) -> Self {
        let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        Self {
            // https://no-color.org: present and not empty, with any value.
            colored: is_interactive(stream) && !set("NO_COLOR"),
        }
    }

    /// Headings and names.
    pub(crate) fn strong(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// Less important text.
    pub(crate) fn faint(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// Failures.
    pub(crate) fn bad(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    /// Advice.
    pub(crate) fn advice(self, text: &str) -> String {
        self.paint("36", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colored {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Whether the stream is a terminal that can move its cursor.
pub(crate) fn is_interactive(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && env::var_os("TERM").is_none_or(|value| value != "dumb")
}

#[cfg(test)]
mod tests {
    use super::Style;

    #[test]
    fn only_coloured_styles_have_escapes() {
        let colored = Style { colored: true };
        assert_eq!(colored.bad("error"), "\x1b[1;31merror\x1b[0m");
        assert_eq!(Style::PLAIN.bad("error"), "error");
    }
}
