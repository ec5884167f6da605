//! Strips the markup of a play in Markdown.
//!
//! Line numbers stay the same. It supports the markup that plays use, and is no full parser.

/// `markdown` without headings' hashes, emphasis, escapes and trailing blanks.
pub(crate) fn strip(markdown: &str) -> String {
    let mut text = String::with_capacity(markdown.len());
    for line in markdown.lines() {
        strip_line(line, &mut text);
        text.push('\n');
    }
    text
}

fn strip_line(line: &str, text: &mut String) {
    let mut characters = without_heading(line.trim_end()).chars();
    while let Some(character) = characters.next() {
        match character {
            '*' | '_' => {}
            // The next character is literal. Two backslashes are one, and so is one at the end.
            '\\' => text.push(characters.next().unwrap_or('\\')),
            other => text.push(other),
        }
    }
}

fn without_heading(line: &str) -> &str {
    let title = line.trim_start_matches('#');
    match (line.len() - title.len(), title.strip_prefix(' ')) {
        (1..=6, Some(title)) => title,
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_go_and_words_stay() {
        fn check(markdown: &str, expected: &str) {
            assert_eq!(strip(markdown), expected, "{markdown:?}");
        }
        check("", "");
        check("# Hamlet", "Hamlet\n");
        check("### SCENE I. Elsinore.", "SCENE I. Elsinore.\n");
        check("#no heading", "#no heading\n");
        check("**BERNARDO**  \nWho's there?", "BERNARDO\nWho's there?\n");
        check("_Enter HORATIO_\n\n", "Enter HORATIO\n\n");
        check("_\\[Aside]_  ", "[Aside]\n");
        check("it was,'\\--", "it was,'--\n");
        check("a \\* b \\\\ c\\", "a * b \\ c\\\n");
        check("one\r\ntwo", "one\ntwo\n");
    }
}
