//! Tests of reading `function.yaml`: valid files, rejected files, and error positions.

use std::time::Duration;

use sampan_spec::{
    ByteSize, Function, FunctionFile, FunctionName, HttpMode, InstancePolicy, Limits,
    OutboundRules, parse,
};

const WHOLE: &str = r#"
name: fuzzysearch
file: out/fuzzysearch.wasm
description: Finds the lines of a text that resemble a phrase.
example: "/?search=Hamlet"
env: [{ name: TEXT_URL, value: "http://127.0.0.1:8091/hamlet.txt" }, { name: N, value: 1.50 }]
args: [--verbose, 3, ""]
http: cgi
limits: { memory: 64Mi, totalMemory: 2Gi, timeout: 10s, processorTime: 5s, concurrency: 7, queue: 8, requestBody: 1Mi,
  requestHeaders: 16Ki, output: 32Ki, outboundConnections: 9, artifact: 32Mi, compileTime: 60s,
  compileMemory: 1Gi }
outbound: { allow: ["http://127.0.0.1:8091", "https://*.example.com"], certificateAuthorities: [ca.crt] }
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
    assert_eq!(function.http, Some(HttpMode::Cgi));
    let Limits {
        memory,
        total_memory,
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
        total_memory,
        request_body,
        request_headers,
        output,
        artifact,
        compile_memory,
    ];
    let expected = [
        64 << 20,
        2 << 30,
        1 << 20,
        16 << 10,
        32 << 10,
        32 << 20,
        1 << 30,
    ];
    assert_eq!(sizes, expected.map(ByteSize));
    assert_eq!(
        [timeout, processor_time, compile_time],
        [10, 5, 60].map(Duration::from_secs)
    );
    assert_eq!([concurrency, queue, outbound_connections], [7, 8, 9]);
    let rules: Vec<String> = function.outbound.iter().map(ToString::to_string).collect();
    assert_eq!(rules, ["http://127.0.0.1:8091", "https://*.example.com"]);
    assert_eq!(function.certificate_authorities, ["ca.crt"]);
    assert_eq!(
        function.instances,
        InstancePolicy::Reuse {
            requests: 50.try_into().expect("it is valid"),
            idle: Duration::from_secs(90)
        }
    );
}

#[test]
fn omitted_keys_have_their_default() {
    let mut bare = Function::bare(
        "prime-numbers"
            .parse::<FunctionName>()
            .expect("it is valid"),
    );
    assert_eq!(bare.file, None);
    assert_eq!(bare.limits, Limits::default());
    assert_eq!(bare.outbound, OutboundRules::default());
    assert!(bare.certificate_authorities.is_empty());
    assert_eq!((bare.instances, bare.http), (InstancePolicy::Fresh, None));

    // A file without keys is a bare function with the .wasm of its name.
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

/// Checks the whole error of a file, or that there is none.
fn check(text: &str, expected: Option<&str>) {
    let error = Function::parse(text, "f", "name")
        .err()
        .map(|error| error.to_string());
    assert_eq!(error.as_deref(), expected, "{text:?}");
}

#[test]
fn unknown_keys_are_rejected_with_the_allowed_ones() {
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
    let limits = "memory totalMemory timeout processorTime concurrency queue requestBody requestHeaders output \
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
        "allow certificateAuthorities",
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
fn errors_have_a_position_and_a_message() {
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
