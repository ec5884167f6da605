//! Reads fenced blocks and links from Markdown. It covers this repository's documents and is no
//! full parser.

/// A line of a text, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) number: usize,
    pub(crate) text: &'a str,
}

/// The lines of the first block that opens with three backticks and the name.
pub(crate) fn block<'a>(text: &'a str, name: &str) -> Option<Vec<Line<'a>>> {
    let opening = format!("```{name}");
    let mut lines = lines(text).skip_while(|line| line.text.trim_end() != opening);
    lines.next()?;
    Some(lines.take_while(|line| !is_fence(line.text)).collect())
}

/// The targets of all links outside of code, with the lines they are on.
pub(crate) fn links(text: &str) -> Vec<Line<'_>> {
    let mut links = Vec::new();
    for line in outside_of_fences(text) {
        for piece in outside_of_code(line.text) {
            let targets = piece
                .split("](")
                .skip(1)
                .filter_map(|rest| rest.split(')').next());
            let targets = targets.filter_map(|target| target.split_whitespace().next());
            links.extend(targets.map(|text| Line { text, ..line }));
        }
    }
    links
}

/// The anchors of the headings, as forges derive them from the text.
pub(crate) fn anchors(text: &str) -> Vec<String> {
    let headings = outside_of_fences(text).filter_map(|line| {
        let title = line.text.trim_start_matches('#');
        let is_heading = title.len() < line.text.len() && title.starts_with(' ');
        is_heading.then(|| anchor(title.trim()))
    });
    headings.collect()
}

fn anchor(title: &str) -> String {
    let kept = title
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase)
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    text.lines().enumerate().map(|(index, text)| Line {
        number: index + 1,
        text,
    })
}

fn outside_of_fences(text: &str) -> impl Iterator<Item = Line<'_>> {
    let mut inside = false;
    lines(text).filter(move |line| {
        let fence = is_fence(line.text);
        inside ^= fence;
        !fence && !inside
    })
}

fn outside_of_code(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').step_by(2)
}

fn is_fence(line: &str) -> bool {
    line.trim_start().starts_with("```")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_found_by_its_name() {
        fn check(text: &str, expected: Option<&[(usize, &str)]>) {
            let found = block(text, "arrows");
            let found = found.map(|lines| {
                lines
                    .iter()
                    .map(|line| (line.number, line.text))
                    .collect::<Vec<_>>()
            });
            assert_eq!(found.as_deref(), expected, "{text}");
        }
        check(
            "a\n```arrows\nb -> c\n\n```\nd",
            Some(&[(3, "b -> c"), (4, "")]),
        );
        check("```rust\nlet a;\n```\n```arrows\n```", Some(&[]));
        check("```arrows of ours\na\n```", None);
        check("", None);
    }

    #[test]
    fn links_are_found_outside_of_code() {
        fn check(text: &str, expected: &[(usize, &str)]) {
            let found = links(text);
            let found: Vec<_> = found.iter().map(|line| (line.number, line.text)).collect();
            assert_eq!(found, expected, "{text}");
        }
        check(
            "see [a](b.md) and\n[c](d#e \"title\")",
            &[(1, "b.md"), (2, "d#e")],
        );
        check("`[a](b)` ![c](d.png)", &[(1, "d.png")]);
        check("```\n[a](b)\n```\n[c](d)", &[(4, "d")]);
        check("a [b] (c)", &[]);
    }

    #[test]
    fn headings_are_linked_as_forges_do() {
        let text = "# A first function\n```\n# no heading\n```\n## `sampan up`: 2 ways\n#tag";
        assert_eq!(anchors(text), ["a-first-function", "sampan-up-2-ways"]);
    }
}
