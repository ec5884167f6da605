//! Tests of reading and writing annotations.

use std::time::Duration;

use super::*;
use crate::function::{HttpMode, InstancePolicy};
use crate::{ByteSize, Scheme};

#[test]
fn a_pod_without_annotations_has_the_defaults_and_its_containers_name() {
    let function = parse([("kubernetes.io/other", "x")], "greeter").expect("nothing to refuse");
    assert_eq!(function, Function::bare("greeter".parse().expect("a name")));
}

#[test]
fn every_rule_is_read() {
    let function = parse(
        [
            (FUNCTION, "prime-numbers"),
            (
                LIMITS,
                r#"{"memory":"64Mi","timeout":"10s","concurrency":7}"#,
            ),
            (OUTBOUND, r#"["http://store.default.svc:3000"]"#),
            (CERTIFICATE_AUTHORITIES, r#"["/etc/authorities/ca.crt"]"#),
            (HTTP, "cgi"),
            (INSTANCES, r#"{"reuse":{"requests":5,"idle":"2s"}}"#),
        ],
        "function",
    )
    .expect("all of it is allowed");
    assert_eq!(function.name.as_str(), "prime-numbers");
    assert_eq!(function.limits.memory, ByteSize(64 << 20));
    assert_eq!(function.limits.timeout, Duration::from_secs(10));
    assert_eq!(function.limits.concurrency, 7);
    assert!(
        function
            .outbound
            .permit(Scheme::Http, "store.default.svc", 3000)
            .is_some()
    );
    assert_eq!(
        function.certificate_authorities,
        ["/etc/authorities/ca.crt"]
    );
    assert_eq!(function.http, Some(HttpMode::Cgi));
    let InstancePolicy::Reuse { requests, idle } = function.instances else {
        panic!("{:?}", function.instances);
    };
    assert_eq!((requests.get(), idle), (5, Duration::from_secs(2)));
}

#[test]
fn printed_annotations_are_read_back() {
    fn check(annotations: &[(&str, &str)], printed: &[(&str, &str)]) {
        let function = parse(annotations.iter().copied(), "main").expect("it is allowed");
        let text = print(&function, "main");
        let text: Vec<(&str, &str)> = text
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        assert_eq!(text, printed);
        assert_eq!(parse(text, "main").expect("what was printed"), function);
    }
    check(&[], &[(FUNCTION, "main")]);
    let handler = [(FUNCTION, "main"), ("sampan.dev/http.main", "handler")];
    check(&[("sampan.dev/http", "handler")], &handler);
    let all = [
        (FUNCTION, "prime-numbers"),
        (
            LIMITS,
            r#"{"queue":0,"requestBody":"0","timeout":"1s500ms"}"#,
        ),
        (
            OUTBOUND,
            r#"["http://store:3000","https://*.example.com","http://[fd00::]/8:81"]"#,
        ),
        (
            CERTIFICATE_AUTHORITIES,
            r#"["/etc/authorities/ca.crt","/b, c"]"#,
        ),
        ("sampan.dev/http.main", "cgi"),
        (INSTANCES, r#"{"reuse":{"idle":"2s","requests":5}}"#),
    ];
    let texts = print(&parse(all, "main").expect("it is allowed"), "main");
    assert_eq!(texts.len(), all.len());
    let texts: Vec<(&str, &str)> = texts
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    check(&all, &texts);
    // Every limit at both ends of its range.
    for limit in limits::LIMITS {
        for value in [limit.bound.least, limit.bound.default, limit.bound.most] {
            let mut function = Function::bare("f".parse().expect("a name"));
            limit.write(&mut function.limits, value);
            let text = print(&function, "main");
            let text = text
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str()));
            assert_eq!(
                parse(text, "f").expect(limit.key),
                function,
                "{} {value}",
                limit.key
            );
        }
    }
}

#[test]
fn the_http_mode_may_apply_to_one_container() {
    fn check(annotation: (&str, &str), expected: Option<HttpMode>) {
        let function = parse([annotation], "main").expect("it is allowed");
        assert_eq!(function.http, expected, "{annotation:?}");
    }
    check((HTTP, "cgi"), Some(HttpMode::Cgi));
    check((HTTP, "handler"), Some(HttpMode::Handler));
    check(("sampan.dev/http.main", "cgi"), Some(HttpMode::Cgi));
    check(("sampan.dev/http.other", "cgi"), None);
    let error = parse([("sampan.dev/http.main", "fast")], "main").expect_err("no word of ours");
    assert_eq!(error.key, "sampan.dev/http.main");
    assert!(parse([("sampan.dev/https", "cgi")], "main").is_err());
}

#[test]
fn the_port_of_metrics_is_read_beside_the_rules() {
    fn check(annotations: &[(&str, &str)], expected: Option<u16>) {
        let found = metrics_port(annotations.iter().copied(), "main");
        let expected = expected.and_then(NonZeroU16::new);
        assert_eq!(found, Ok(expected), "{annotations:?}");
        assert!(parse(annotations.iter().copied(), "main").is_ok());
    }
    let own = metrics_key("main");
    let own = own.as_str();
    check(&[(FUNCTION, "f")], None);
    check(&[(METRICS, "9090")], Some(9090));
    check(&[(own, "9091")], Some(9091));
    check(&[(METRICS, "9090"), (own, "9091")], Some(9091));
    check(&[(own, "9091"), (METRICS, "9090")], Some(9091));
    check(
        &[(METRICS, "9090"), ("sampan.dev/metrics.other", "9091")],
        Some(9090),
    );
    check(&[("sampan.dev/metrics.other", "9091")], None);
    assert!(parse([("sampan.dev/metricsx", "9090")], "main").is_err());
    let found = |value| metrics_port([(FUNCTION, "f"), (METRICS, value)], "f");
    for value in ["", "0", "65536", "http", "-1", "9090 "] {
        let error = found(value).expect_err(value);
        assert_eq!(error.key, METRICS, "{error}");
        assert_eq!(parse([(METRICS, value)], "f"), Err(error), "{value}");
    }
}

#[test]
fn invalid_annotations_are_named_by_their_key() {
    fn check(key: &str, value: &str, expected: &[&str]) {
        let error = parse([(key, value)], "function").expect_err(value);
        assert_eq!(error.key, key, "{error}");
        let shown = error.to_string();
        assert!(!shown.contains('\n'), "{shown}");
        for part in expected {
            assert!(shown.contains(part), "{shown} lacks {part}");
        }
    }
    check(
        FUNCTION,
        "No Name",
        &["annotation sampan.dev/function: ", "No Name"],
    );
    check(FUNCTION, "", &["can't be empty"]);
    check(
        LIMITS,
        r#"{"memory":"5Ti"}"#,
        &["limits.memory: 5Ti is more", "1Mi to 4Gi"],
    );
    check(
        LIMITS,
        r#"{"memry":"5Mi"}"#,
        &["unknown key \"memry\"", "did you mean \"memory\""],
    );
    check(LIMITS, "[]", &["annotation sampan.dev/limits: "]);
    check(LIMITS, r#"{"memory""#, &["annotation sampan.dev/limits: "]);
    check(
        OUTBOUND,
        r#"["ftp://x"]"#,
        &["outbound.allow[0]", "ftp://x"],
    );
    check(
        OUTBOUND,
        r#"{"allow":[]}"#,
        &["annotation sampan.dev/outbound: "],
    );
    check(
        CERTIFICATE_AUTHORITIES,
        r#"["/a","etc/ca.crt"]"#,
        &["etc/ca.crt is not absolute", "volume"],
    );
    check(
        CERTIFICATE_AUTHORITIES,
        r#"[""]"#,
        &["outbound.certificateAuthorities[0]", "empty"],
    );
    check(HTTP, "fast", &["unknown word \"fast\"", "cgi"]);
    check(
        INSTANCES,
        r#"{"reuse":{"requests":0}}"#,
        &["instances.reuse.requests"],
    );
    check("sampan.dev/limit", "{}", &["unknown", "sampan.dev/limits"]);
}
