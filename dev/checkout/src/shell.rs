//! Quotes words for a shell.

/// Quotes a word for a POSIX shell.
pub fn shell_quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
