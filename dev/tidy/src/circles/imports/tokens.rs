//! Splits Rust source into words, `::` and single characters, without comments and literal texts.

/// The tokens of a source text. A malformed one gives tokens of no meaning, and never fails: the
/// compiler reports it.
pub(super) fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (length, is_token) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), false)
        } else if rest.starts_with("/*") {
            (comment(rest), false)
        } else if let Some(length) = string(rest) {
            (length, false)
        } else if first == '\'' {
            (character(rest), false)
        } else if is_part_of_word(first) {
            let length = rest.find(|next| !is_part_of_word(next));
            (length.unwrap_or(rest.len()), true)
        } else if rest.starts_with("::") {
            (2, true)
        } else {
            (first.len_utf8(), !first.is_whitespace())
        };
        if is_token {
            tokens.push(&rest[..length]);
        }
        rest = &rest[length..];
    }
    tokens
}

fn is_part_of_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The length of a comment, which may have others in it.
fn comment(text: &str) -> usize {
    let mut open = 0_usize;
    let mut at = 0;
    while let Some(next) = text[at..].find(['/', '*']) {
        at += next;
        if text[at..].starts_with("/*") {
            open += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            open -= 1;
            at += 2;
        } else {
            at += 1;
        }
        if open == 0 {
            return at;
        }
    }
    text.len()
}

/// The length of a string literal of any kind, if the text begins with one.
fn string(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""]
        .into_iter()
        .find(|prefix| text.starts_with(prefix))?;
    let body = &text[prefix.len()..];
    if !prefix.ends_with('r') {
        return Some(prefix.len() + quoted(body, '"')?);
    }
    let hashes = body.len() - body.trim_start_matches('#').len();
    let inside = body[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = inside.find(&end).map_or(inside.len(), |at| at + end.len());
    Some(prefix.len() + hashes + 1 + length)
}

/// The length of a character literal, or of the mark of a lifetime.
fn character(text: &str) -> usize {
    let mut characters = text.chars().skip(1);
    match (characters.next(), characters.next()) {
        (Some('\\'), _) | (Some(_), Some('\'')) => quoted(text, '\'').unwrap_or(text.len()),
        _ => 1,
    }
}

/// The length of a text in quotes, if it begins with one; a backslash protects the next character.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut is_protected = false;
    for (at, character) in text.strip_prefix(quote)?.char_indices() {
        if is_protected {
            is_protected = false;
        } else if character == '\\' {
            is_protected = true;
        } else if character == quote {
            return Some(at + 2 * quote.len_utf8());
        }
    }
    Some(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_no_tokens() {
        fn check(text: &str, expected: &[&str]) {
            assert_eq!(tokens(text), expected, "{text}");
        }
        check("use a::b_1;", &["use", "a", "::", "b_1", ";"]);
        check("a // b\nc", &["a", "c"]);
        check("a /* b /* c */ d */ e", &["a", "e"]);
        check(r#"a("b \" c", d)"#, &["a", "(", ",", "d", ")"]);
        check(r##"r#"a "b" "# c"##, &["c"]);
        check(r#"b"a" br"b\" c"d" e"#, &["e"]);
        check(r"'a' '\'' '\u{1b}' b'c' 'é' d", &["b", "d"]);
        check("&'a str, 'static", &["&", "a", "str", ",", "static"]);
        check("r#type é", &["r", "#", "type", "é"]);
        check("\"open", &[]);
        check("/* open", &[]);
    }
}
