//! Tests of hostile files: each is rejected with one line, and costs no more than reading it.

use std::fmt::Write;

use sampan_spec::{FileError, Function, MAX_FILE_BYTES, parse};

fn refused(text: &str) -> FileError {
    let error = parse(text, "f").expect_err("the file is hostile");
    check_shape(&error);
    error
}

/// Checks that the error is one short line without control characters.
fn check_shape(error: &FileError) {
    for line in [Some(error.to_string()), error.help().map(str::to_owned)]
        .into_iter()
        .flatten()
    {
        assert!(!line.chars().any(char::is_control), "{line:?}");
        assert!(line.len() < 1_000, "{} bytes: {:.100}...", line.len(), line);
    }
}

#[test]
fn large_files_are_not_even_read() {
    let padded = |length: usize| format!("name: a{}", " ".repeat(length - 7));
    assert!(parse(&padded(MAX_FILE_BYTES - 1), "f").is_ok());
    assert!(parse(&padded(MAX_FILE_BYTES), "f").is_ok());
    let error = refused(&padded(MAX_FILE_BYTES + 1));
    assert_eq!(
        error.to_string(),
        "f: the file has 262145 bytes, the most is 262144"
    );
    refused(&"a: b\n".repeat(1 << 20));
}

#[test]
fn anchors_are_refused_before_they_multiply() {
    let mut bomb = String::from("args: &a0 [x, x]\n");
    for level in 1..32 {
        let below = level - 1;
        writeln!(bomb, "k{level}: &a{level} [*a{below}, *a{below}]").expect("it is a string");
    }
    for text in [
        bomb.as_str(),
        "name: &a b",
        "args: [&a b, *a]",
        "args: &a [*a]",
        "args: [*nobody]",
        "limits: &l {memory: 1Mi}",
    ] {
        let error = refused(text);
        assert_eq!(
            error.message, "anchors (&) and aliases (*) are not allowed",
            "{text:.80}"
        );
        assert_eq!(error.line(), Some(1));
    }
    assert_eq!(
        refused("limits: {<<: {memory: 1Mi}}").message,
        "merge keys (<<) are not allowed"
    );
}

#[test]
fn nesting_ends_early() {
    for depth in [9, 100, 10_000, 100_000] {
        for open in ["[", "{a: ", "- ", "? "] {
            refused(&format!("args: {}", open.repeat(depth)));
            refused(&open.repeat(depth));
        }
        let lines = (0..depth.min(700)).map(|level| {
            " ".repeat(level)
                + "k:
"
        });
        let block = lines.collect::<String>();
        refused(&block);
    }
}

#[test]
fn many_small_things_end_too() {
    for item in [
        "- a\n",
        "a: b\n",
        "- - a\n",
        "? a\n",
        "# c\n- [",
        "--- \n",
        "%YAML 1.2\n",
        "'",
        "\"",
        "|\n",
        ">\n",
        "\t",
    ] {
        let text = item.repeat((MAX_FILE_BYTES - 16) / item.len());
        let outcome = parse(&text, "f");
        if let Err(error) = outcome {
            check_shape(&error);
        }
    }
    refused(&format!("args:\n{}", "- a\n".repeat(60_000)));
    refused(&format!("{}: a", "k".repeat(MAX_FILE_BYTES - 8)));
    let long = format!("name: {}", "n".repeat(MAX_FILE_BYTES - 8));
    check_shape(&Function::parse(&long, "f", "name").expect_err("it is refused"));
}

#[test]
fn one_document_without_tags() {
    let error = refused("name: a\n---\nname: b\n");
    assert_eq!(
        error.to_string(),
        "f:2:1: the file has more than one document"
    );
    for text in [
        "name: !Env HOME",
        "!include x: y",
        "!!python/object:os.system x",
        "limits: !<tag:x> {}",
    ] {
        refused(text);
    }
}

#[test]
fn the_origin_is_foreign_text_too() {
    let error = parse("a: b", "evil\u{1b}[2J\nname").expect_err("it is refused");
    check_shape(&error);
    let error = Function::parse("name: A", "evil\u{1b}[2J\nname", "a").expect_err("it is refused");
    check_shape(&error);
}

#[test]
fn no_mutation_panics() {
    const SEED: &str = "name: a\nenv: [{ name: B, value: \"c\" }]\nlimits: { memory: 64Mi, timeout: 1m30s,\n  \
                        queue: 5 }\noutbound:\n  allow: [\"http://[::1]:80\", 'https://*.example.com']\n\
                        instances: { reuse: { requests: 5 } }\ndescription: |\n  größe\n";
    const SPLICES: [&str; 16] = [
        "&a ", "*a", "!!", "<<: ", "---\n", "[", "}", ": ", "\u{feff}", "\0", "\"", "'", "|\n",
        "😀", "~", "%",
    ];
    // The same walk in every run.
    let mut walk = fastrand::Rng::with_seed(1);
    let mut random = |below: usize| walk.usize(..below);
    for _ in 0..20_000 {
        let mut characters: Vec<char> = SEED.chars().collect();
        for _ in 0..=random(4) {
            if characters.is_empty() {
                break;
            }
            let at = random(characters.len());
            match random(4) {
                0 => drop(characters.remove(at)),
                1 => characters.truncate(at.max(1)),
                2 => drop(characters.splice(at..at, SPLICES[random(SPLICES.len())].chars())),
                _ => characters.swap(at, 0),
            }
        }
        let text: String = characters.into_iter().collect();
        if let Err(error) = Function::parse(&text, "f", "name") {
            check_shape(&error);
        }
    }
}
