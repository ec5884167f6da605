//! Makes foreign text safe for one line of output.

/// Replaces each control character of `text`, line ends included, by a space.
pub(crate) fn one_line(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect()
}
