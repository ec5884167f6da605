//! Tests of values in `function.yaml` without a bound: files, texts, variables, lists.

use sampan_spec::{Function, MAX_CERTIFICATE_AUTHORITIES, MAX_ENVIRONMENT, MAX_OUTBOUND_RULES};

/// Checks the whole error of a file, or that there is none.
fn check(text: &str, expected: Option<&str>) {
    let error = Function::parse(text, "f", "name")
        .err()
        .map(|error| error.to_string());
    assert_eq!(error.as_deref(), expected, "{text:?}");
}

#[test]
fn the_file_lies_beside_its_description() {
    let written = |file: &str| format!("file: {file}");
    for file in [
        "a.wasm",
        "out/a.wasm",
        "../target/release/a.wasm",
        "größe.wasm",
        "'a b.wasm'",
    ] {
        check(&written(file), None);
    }
    check(
        "file: /tmp/a.wasm",
        Some("f:1:7: file: /tmp/a.wasm is absolute"),
    );
    check(
        "file: 'C:\\a.wasm'",
        Some("f:1:7: file: C:\\a.wasm is absolute"),
    );
    check("file: ''", Some("f:1:7: file: it is empty"));
    check(
        "file: \"a\\0b\"",
        Some("f:1:7: file: \"a\\0b\" has a control character"),
    );
    check(
        "file: \"a\\nb\"",
        Some("f:1:7: file: \"a\\nb\" has a control character"),
    );
}

#[test]
fn authorities_are_files_anywhere() {
    let written = |file: &str| format!("outbound: {{ certificateAuthorities: [{file}] }}");
    for file in ["ca.crt", "../ca.crt", "/etc/ca.crt", "'a b.crt'"] {
        check(&written(file), None);
    }
    check(
        &written("a, ''"),
        Some("f:1:41: outbound.certificateAuthorities[1]: it is empty"),
    );
    check(
        &written("\"a\\0b\""),
        Some("f:1:38: outbound.certificateAuthorities[0]: \"a\\0b\" has a control character"),
    );
}

#[test]
fn texts_have_an_end_and_obey_no_terminal() {
    let long = |length: usize| format!("description: {}", "ä".repeat(length));
    check(&long(4_095), None);
    check(&long(4_096), None);
    check(
        &long(4_097),
        Some("f:1:14: description: it has 4097 characters, the most is 4096"),
    );
    check("description: |\n  two\n  lines", None);
    check("description: \"tab\\there\"", None);
    check(
        "description: \"\\e[31mred\"",
        Some("f:1:14: description: \"\\u{1b}[31mred\" has a control character"),
    );
    for example in ["/", "/?n=100", "/a/b?c=%20"] {
        check(&format!("example: {example}"), None);
    }
    for example in ["n=100", "http://a/", "''", "/a b", "'/#a'", "/größe"] {
        let shown = example.trim_matches('\'');
        let expected = format!("f:1:10: example: {shown} is not a path with a query");
        check(&format!("example: {example}"), Some(&expected));
    }
}

#[test]
fn the_environment_is_limited_to_valid_variables() {
    let one = |name: &str| format!("env: [{{name: {name}, value: ''}}]");
    for name in ["A", "a.b-c", "'1'", "GRÖSSE", "'with space'"] {
        check(&one(name), None);
    }
    for (name, shown) in [
        ("''", ""),
        ("A=B", "A=B"),
        ("\"A\\0\"", "A\\0"),
        ("\"A\\n\"", "A\\n"),
    ] {
        let expected = format!("f:1:14: env[0].name: \"{shown}\" can't be the name of a variable");
        check(&one(name), Some(&expected));
    }
    check(
        "env:\n- {name: A, value: 1}\n- {name: B, value: 2}\n- {name: A, value: 3}",
        Some("f:4:10: env[2].name: A is set twice"),
    );
    check(
        "env: [{name: A, value: \"b\\0\"}]",
        Some("f:1:24: env[0].value: it has a NUL character"),
    );
    check("env: [{name: A, value: \"a=b\\n\\t😀\"}]", None);
    check(
        "args: [a, \"b\\0\"]",
        Some("f:1:11: args[1]: it has a NUL character"),
    );
    check("args: [-1, 2.50, true, 'a b', '']", None);
}

#[test]
fn lists_have_an_end() {
    fn check(head: &str, item: fn(usize) -> String, most: usize, field: &str) {
        let text = |items: usize| {
            (0..items).fold(format!("{head}\n"), |text, index| {
                text + "  - " + &item(index) + "\n"
            })
        };
        for allowed in [most - 1, most] {
            assert_eq!(
                Function::parse(&text(allowed), "f", "name").err(),
                None,
                "{head}"
            );
        }
        let error = Function::parse(&text(most + 1), "f", "name").expect_err("it is refused");
        let said = format!("{field}: there are {}, the most is {most}", most + 1);
        assert_eq!(error.message, said);
        assert!(error.line() > Some(most as u64), "{error}");
    }
    check(
        "env:",
        |index| format!("{{name: A{index}, value: b}}"),
        MAX_ENVIRONMENT,
        "env",
    );
    check("args:", |index| index.to_string(), MAX_ENVIRONMENT, "args");
    check(
        "outbound:\n  allow:",
        |index| format!("http://a{index}"),
        MAX_OUTBOUND_RULES,
        "outbound.allow",
    );
    check(
        "outbound:\n  certificateAuthorities:",
        |index| format!("/ca{index}.crt"),
        MAX_CERTIFICATE_AUTHORITIES,
        "outbound.certificateAuthorities",
    );
}
