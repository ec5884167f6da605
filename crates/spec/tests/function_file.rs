//! `function.yaml` from text to function: what is taken, what is refused, and where that is said.

use std::time::Duration;

use sampan_spec::{
    ByteSize, Function, FunctionFile, FunctionName, HttpMode, InstancePolicy, Limits,
    MAX_ENVIRONMENT, MAX_OUTBOUND_RULES, OutboundRules, parse,
};

const WHOLE: &str = r#"
name: fuzzysearch
file: out/fuzzysearch.wasm
description: Finds the lines of a text that resemble a phrase.
example: "/?search=Hamlet"
env: [{ name: TEXT_URL, value: "http://127.0.0.1:8091/hamlet.txt" }, { name: N, value: 1.50 }]
args: [--verbose, 3, ""]
http: cgi
limits: { memory: 64Mi, timeout: 10s, processorTime: 5s, concurrency: 7, queue: 8, requestBody: 1Mi,
  requestHeaders: 16Ki, output: 32Ki, outboundConnections: 9, artifact: 32Mi, compileTime: 60s,
  compileMemory: 1Gi }
outbound: { allow: ["http://127.0.0.1:8091", "https://*.example.com"] }
instances: { reuse: { requests: 50, idle: 1m30s } }
"#;

#[test]
fn every_key_arrives_in_the_function() {
    let function = Function::parse(WHOLE, "function.yaml", "folder").expect("it is valid");
    assert_eq!(function.name.as_str(), "fuzzysearch");
    assert_eq!(function.file.as_deref(), Some("out/fuzzysearch.wasm"));
    assert!(
        function
            .description
            .expect("it is valid")
            .starts_with("Finds the lines")
    );
    assert_eq!(function.example.as_deref(), Some("/?search=Hamlet"));
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        function.environment,
        [
            variable("TEXT_URL", "http://127.0.0.1:8091/hamlet.txt"),
            variable("N", "1.50")
        ]
    );
    assert_eq!(function.arguments, ["--verbose", "3", ""]);
    assert_eq!(function.http, HttpMode::Cgi);
    let Limits {
        memory,
        timeout,
        processor_time,
        concurrency,
        queue,
        request_body,
        request_headers,
        output,
        outbound_connections,
        artifact,
        compile_time,
        compile_memory,
    } = function.limits;
    let sizes = [
        memory,
        request_body,
        request_headers,
        output,
        artifact,
        compile_memory,
    ];
    let expected = [64 << 20, 1 << 20, 16 << 10, 32 << 10, 32 << 20, 1 << 30];
    assert_eq!(sizes, expected.map(ByteSize));
    assert_eq!(
        [timeout, processor_time, compile_time],
        [10, 5, 60].map(Duration::from_secs)
    );
    assert_eq!([concurrency, queue, outbound_connections], [7, 8, 9]);
    let rules: Vec<String> = function.outbound.iter().map(ToString::to_string).collect();
    assert_eq!(rules, ["http://127.0.0.1:8091", "https://*.example.com"]);
    assert_eq!(
        function.instances,
        InstancePolicy::Reuse {
            requests: 50.try_into().expect("it is valid"),
            idle: Duration::from_secs(90)
        }
    );
}

#[test]
fn what_is_left_out_is_the_default() {
    let mut bare = Function::bare(
        "prime-numbers"
            .parse::<FunctionName>()
            .expect("it is valid"),
    );
    assert_eq!(bare.file, None);
    assert_eq!(bare.limits, Limits::default());
    assert_eq!(bare.outbound, OutboundRules::default());
    assert_eq!(
        (bare.instances, bare.http),
        (InstancePolicy::Fresh, HttpMode::Handler)
    );

    // A file without keys is a bare function that lies where its name says.
    bare.file = Some("prime-numbers.wasm".to_owned());
    for text in [
        "",
        "\n",
        "# nothing\n",
        "---\n",
        "{}",
        "~",
        "env:\nargs:\nlimits:\noutbound:\n",
        "env: []\nlimits: {}\noutbound: { allow: }\ninstances: { reuse: }\n",
        "\u{feff}{}",
    ] {
        let function = Function::parse(text, "f", "Prime_Numbers");
        assert_eq!(function.as_ref(), Ok(&bare), "{text:?}");
    }
    assert_eq!(parse("", "f"), Ok(FunctionFile::default()));
}

/// The whole complaint about a file, or nothing.
fn check(text: &str, expected: Option<&str>) {
    let complaint = Function::parse(text, "f", "name")
        .err()
        .map(|error| error.to_string());
    assert_eq!(complaint.as_deref(), expected, "{text:?}");
}

#[test]
fn unknown_keys_are_refused_with_what_is_allowed() {
    fn check(text: &str, place: (u64, u64), key: &str, near: Option<&str>, allowed: &str) {
        let error = parse(text, "function.yaml").expect_err(text);
        assert_eq!(error.message, format!("unknown key \"{key}\""), "{text}");
        assert_eq!(
            (error.line(), error.column()),
            (Some(place.0), Some(place.1)),
            "{text}"
        );
        assert_eq!(error.allowed.join(" "), allowed, "{text}");
        let help = error.help().expect("an unknown key has a help");
        match near {
            Some(near) => assert!(
                help.starts_with(&format!("did you mean \"{near}\"?")),
                "{help}"
            ),
            None => assert!(help.starts_with("keys here: "), "{help}"),
        }
    }
    let top = "name file description example env args http limits outbound instances";
    let limits = "memory timeout processorTime concurrency queue requestBody requestHeaders output \
                  outboundConnections artifact compileTime compileMemory";
    check("memory: 64Mi", (1, 1), "memory", None, top);
    check("name: a\nlimit: {}", (2, 1), "limit", Some("limits"), top);
    check("Name: a", (1, 1), "Name", Some("name"), top);
    check("apiVersion: v1", (1, 1), "apiVersion", None, top);
    check(
        "limits:\n  memry: 5",
        (2, 3),
        "memry",
        Some("memory"),
        limits,
    );
    check(
        "limits: { request_body: 5 }",
        (1, 11),
        "request_body",
        Some("requestBody"),
        limits,
    );
    check("limits: { größe: 5 }", (1, 11), "größe", None, limits);
    check(
        "env: [{name: A, valu: B}]",
        (1, 17),
        "valu",
        Some("value"),
        "name value",
    );
    check(
        "env: [{name: A, valueFrom: {}}]",
        (1, 17),
        "valueFrom",
        None,
        "name value",
    );
    check(
        "outbound: { alow: [] }",
        (1, 13),
        "alow",
        Some("allow"),
        "allow",
    );
    check(
        "instances: { reuse: { request: 5 } }",
        (1, 23),
        "request",
        Some("requests"),
        "requests idle",
    );
    check(
        "instances: { fresh: true }",
        (1, 14),
        "fresh",
        None,
        "reuse",
    );
    check("\"\\u001b[31m\": 1", (1, 1), "\\u{1b}[31m", None, top);
}

#[test]
fn complaints_say_where_and_what() {
    check(
        "limits:\n  memory: 5Ti",
        Some("f:2:11: limits.memory: 5Ti is more than the most allowed, 4Gi"),
    );
    check(
        "description: größer\nlimits: { timeout: 0s }",
        Some("f:2:20: limits.timeout: 0s is less than the least allowed, 1ms"),
    );
    check("http: fast", Some("f:1:7: unknown word \"fast\""));
    check(
        "name: a\nname: b",
        Some("f:2:1: the key \"name\" is there twice"),
    );
    check(
        "limits: {queue: 1, queue: 2}",
        Some("f:1:20: the key \"queue\" is there twice"),
    );
    check(
        "name: Big",
        Some(
            "f:1:7: name: \"Big\" can't be a function's name: \
        only a-z, 0-9 and hyphens, with a letter or digit at both ends",
        ),
    );
    check(
        "name: ''",
        Some("f:1:7: name: a function's name can't be empty"),
    );
    check(
        "env: [{name: A}]",
        Some("f:1:8: the key \"value\" is missing"),
    );
    check(
        "env: [{value: A}]",
        Some("f:1:8: the key \"name\" is missing"),
    );
    check(
        "env: [{name: A, value: ~}]",
        Some("f:1:24: a value is missing"),
    );
    check(
        "outbound: {allow: [http://a, '*']}",
        Some("f:1:30: outbound.allow[1]: \"*\": a rule can't allow every host"),
    );
}

#[test]
fn credentials_are_not_repeated() {
    check(
        "outbound: {allow: ['http://me:secret@a']}",
        Some("f:1:20: outbound.allow[0]: a rule has no user name or password"),
    );
}

#[test]
fn without_a_name_the_folder_has_to_be_one() {
    let error = Function::parse("", "f", "_my_folder").expect_err("it is refused");
    assert!(
        error
            .to_string()
            .starts_with("f: name: \"_my_folder\" can't be"),
        "{error}"
    );
    assert!(
        error.help().is_some_and(|help| help.contains("name: NAME")),
        "{error:?}"
    );
    assert!(Function::parse("name: ok", "f", "_my_folder").is_ok());
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
fn the_environment_is_what_a_program_can_be_given() {
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
}
