//! Takes the marks off a play in Markdown. Lines stay where they are, so that a line's number means
//! the same before and after. It knows the marks that plays use, and is no Markdown parser.

/// `markdown` without headings' hashes, emphasis, escapes and the blanks at the ends of lines.
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
            // What follows is meant literally, as are two backslashes and one at the end.
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
