//! Text that came from elsewhere, as one harmless line.

/// `text` with a space for each control character, line ends among them.
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
