//! Tests of every field of the resource: boundaries, wrong types, empty, Unicode, and huge values.

use sampan_crd::ConditionKind;
use serde_json::{Value, json};

use crate::support::cluster::cluster;
use crate::support::fault::FaultInjector;
use crate::support::operator::{Operator, TestNamespace, message, reason};

/// The expected result of a value.
enum Outcome {
    /// The API server rejects it.
    Rejected,
    /// It is stored, and the condition Accepted has this reason.
    Stored(&'static str),
}

use Outcome::{Rejected, Stored};

fn with(field: &str, value: Value) -> Value {
    let mut spec = json!({ "image": "registry.example/f:1" });
    let mut target = &mut spec;
    for part in field.split('.') {
        target = &mut target[part];
    }
    *target = value;
    spec
}

fn cases() -> Vec<(Value, Outcome)> {
    let text = |length: usize| Value::from("x".repeat(length));
    let list = |length: usize| Value::from(vec!["http://a"; length]);
    let mut cases = vec![
        (Value::Null, Rejected),
        (json!({}), Rejected),
        (json!("text"), Rejected),
        (with("unknown", json!(1)), Stored("Valid")),
    ];
    let mut case =
        |field: &str, value: Value, outcome: Outcome| cases.push((with(field, value), outcome));
    for wrong in [
        Value::Null,
        json!(1),
        json!([]),
        json!(""),
        json!("a b"),
        json!("größe"),
        json!("a\u{0}b"),
        text(1_025),
        text(1 << 20),
    ] {
        case("image", wrong, Rejected);
    }
    case("image", text(1_024), Stored("Valid"));
    for (value, outcome) in [
        (json!(0), Stored("Valid")),
        (json!(10_000), Stored("Valid")),
        (json!(10_001), Rejected),
        (json!(-1), Rejected),
        (json!("1"), Rejected),
        (json!(1.5), Rejected),
        (json!(1_u64 << 40), Rejected),
        (Value::Null, Rejected),
    ] {
        case("replicas", value, outcome);
    }
    for (value, outcome) in [
        (json!("1Mi"), Stored("Valid")),
        (json!("4Gi"), Stored("Valid")),
        (json!("5Gi"), Stored("Invalid")),
        (json!("1Ki"), Stored("Invalid")),
        (json!(1_048_576), Stored("Valid")),
        (json!(1), Rejected),
        (json!(-1), Rejected),
        (json!(true), Rejected),
        (json!("much"), Rejected),
        (json!(""), Rejected),
        (json!("64Mi größe"), Rejected),
        (text(1_000), Rejected),
    ] {
        case("limits.memory", value, outcome);
    }
    for (value, outcome) in [
        (json!("1ms"), Stored("Valid")),
        (json!("1h"), Stored("Valid")),
        (json!("2h"), Stored("Invalid")),
        (json!("0s"), Stored("Invalid")),
        (json!(30), Rejected),
        (json!("soon"), Rejected),
    ] {
        case("limits.timeout", value, outcome);
    }
    for (value, outcome) in [
        (json!(1), Stored("Valid")),
        (json!(10_000), Stored("Valid")),
        (json!(10_001), Rejected),
        (json!(0), Rejected),
        (json!("1"), Rejected),
        (Value::Null, Stored("Valid")),
    ] {
        case("limits.concurrency", value, outcome);
    }
    case("limits", json!([]), Rejected);
    case("limits", json!({}), Stored("Valid"));
    case("outbound.allow", list(500), Stored("Valid"));
    case("outbound.allow", list(501), Rejected);
    for (value, outcome) in [
        ("http://größe.example", Stored("Valid")),
        ("ftp://a", Stored("Invalid")),
        ("http://*", Stored("Invalid")),
        ("", Rejected),
        ("a", Rejected),
        ("http://a b", Rejected),
    ] {
        case("outbound.allow", json!([value]), outcome);
    }
    case(
        "outbound.allow",
        json!([format!("http://{}", "x".repeat(400))]),
        Rejected,
    );
    for (value, outcome) in [
        ("/etc/authorities/ca.crt", Stored("Valid")),
        ("/größe/ca.crt", Stored("Valid")),
        ("ca.crt", Rejected),
        ("", Rejected),
    ] {
        case("outbound.certificateAuthorities", json!([value]), outcome);
    }
    case(
        "env",
        json!([{ "name": "SIZE", "value": "größe 🛶" }]),
        Stored("Valid"),
    );
    // Kubernetes allows printable ASCII in names.
    case(
        "env",
        json!([{ "name": "GRÖSSE", "value": "1" }]),
        Stored("Rejected"),
    );
    case("env", json!([{ "name": "PORT", "value": "1" }]), Rejected);
    case("env", json!([{ "name": "A" }, { "name": "A" }]), Rejected);
    case("env", json!([{ "value": "1" }]), Rejected);
    case(
        "env",
        json!([{ "name": "A", "value": "1", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }]),
        Rejected,
    );
    case(
        "env",
        json!([{ "name": "A", "valueFrom": {} }]),
        Stored("Rejected"),
    );
    case(
        "env",
        json!([{ "name": "A", "value": "x".repeat(131_072) }]),
        Stored("Valid"),
    );
    case(
        "env",
        json!([{ "name": "A", "value": "x".repeat(131_073) }]),
        Rejected,
    );
    case("env", json!([{ "name": "a=b" }]), Stored("Invalid"));
    case(
        "env",
        Value::from(
            (0..1_001)
                .map(|n| json!({ "name": format!("A{n}") }))
                .collect::<Vec<_>>(),
        ),
        Rejected,
    );
    case("args", json!(["a", "", "größe"]), Stored("Valid"));
    case("args", json!(["a\u{0}"]), Stored("Invalid"));
    case("args", json!([1]), Rejected);
    case("args", json!(["x".repeat(131_073)]), Rejected);
    case(
        "args",
        Value::from(vec!["x".repeat(100_000); 10]),
        Stored("Invalid"),
    );
    case("http", json!("cgi"), Stored("Valid"));
    case("http", json!("fast"), Rejected);
    case(
        "instances.reuse",
        json!({ "requests": 1, "idle": "1s" }),
        Stored("Valid"),
    );
    case("instances.reuse", json!({ "requests": 0 }), Rejected);
    case(
        "instances.reuse",
        json!({ "idle": "0s" }),
        Stored("Invalid"),
    );
    for (value, outcome) in [
        ("a.example", Stored("Valid")),
        ("*.a.example", Stored("Valid")),
        ("", Rejected),
        ("A.example", Rejected),
        ("a_b", Rejected),
        ("a/b", Rejected),
        ("größe.example", Rejected),
    ] {
        case("ingress.host", json!(value), outcome);
    }
    case(
        "ingress.host",
        json!(format!("{}.example", "a".repeat(63))),
        Stored("Valid"),
    );
    case(
        "ingress.host",
        json!(format!("{}.example", "a".repeat(64))),
        Rejected,
    );
    case("ingress", json!({}), Rejected);
    case(
        "ingress",
        json!({ "host": "a.example", "path": "x" }),
        Rejected,
    );
    case(
        "ingress",
        json!({ "host": "a.example", "path": "//" }),
        Stored("Rejected"),
    );
    case(
        "ingress",
        json!({ "host": "a.example", "tls": { "secretName": "A" } }),
        Rejected,
    );
    case(
        "ingress",
        json!({ "host": "a.example", "className": "" }),
        Rejected,
    );
    case(
        "imagePullSecrets",
        json!([{ "name": "a" }, { "name": "a" }]),
        Rejected,
    );
    case("imagePullSecrets", json!([{}]), Rejected);
    for (value, outcome) in [
        (json!({}), Stored("Valid")),
        (json!({ "port": 1 }), Stored("Valid")),
        (json!({ "port": 65535 }), Stored("Valid")),
        (json!({ "port": 8080 }), Stored("Invalid")),
        (json!({ "port": 0 }), Rejected),
        (json!({ "port": 65536 }), Rejected),
        (json!({ "port": "http" }), Rejected),
        // The API server drops unknown keys unless it is asked to be strict, as kubectl does.
        (json!({ "ports": 1 }), Stored("Valid")),
    ] {
        case("metrics", value, outcome);
    }
    case(
        "template.labels",
        json!({ "größe": "x" }),
        Stored("Rejected"),
    );
    case(
        "template.labels",
        json!({ "sampan.dev/function": "other" }),
        Stored("Invalid"),
    );
    case(
        "template.annotations",
        json!({ "sampan.dev/limits": "{}" }),
        Stored("Invalid"),
    );
    case(
        "template.sidecars",
        json!([{ "name": "function" }]),
        Stored("Invalid"),
    );
    case(
        "template.sidecars",
        json!([{ "name": "Not A Name", "image": "i" }]),
        Stored("Rejected"),
    );
    case("template.sidecars", json!([{ "image": "i" }]), Rejected);
    case(
        "template.volumeMounts",
        json!([{ "name": "missing", "mountPath": "/x" }]),
        Stored("Rejected"),
    );
    case(
        "template.resources",
        json!({ "limits": { "memory": "lots" } }),
        Rejected,
    );
    case(
        "template.resources",
        json!({ "limits": { "memory": 1_073_741_824, "cpu": 1 } }),
        Stored("Valid"),
    );
    case(
        "template.terminationGracePeriodSeconds",
        json!(0),
        Stored("Valid"),
    );
    case(
        "template.terminationGracePeriodSeconds",
        json!(1),
        Stored("Valid"),
    );
    case(
        "template.terminationGracePeriodSeconds",
        json!(-1),
        Rejected,
    );
    case(
        "template.terminationGracePeriodSeconds",
        json!(86_401),
        Rejected,
    );
    case("template.imagePullPolicy", json!("Sometimes"), Rejected);
    case("template.dnsPolicy", json!("Sometimes"), Stored("Rejected"));
    case(
        "template.priorityClassName",
        json!("größe"),
        Stored("Rejected"),
    );
    cases
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_27_every_field_is_rejected_or_reported_and_the_operator_keeps_running() {
    let namespace = TestNamespace::new(cluster().await, "fields").await;
    let operator = Operator::start(
        &namespace.admin,
        &FaultInjector::clear(),
        &namespace.name,
        None,
    );
    let cut = |spec: &Value| spec.to_string().chars().take(200).collect::<String>();
    let mut wrong = Vec::new();
    for (number, (spec, outcome)) in cases().into_iter().enumerate() {
        let name = format!("f-{number}");
        let made = namespace.make(&name, spec.clone()).await;
        match (outcome, made) {
            (Rejected, Err(kube::Error::Api(status))) if matches!(status.code, 400 | 413 | 422) => {
            }
            (Rejected, made) => wrong.push(format!(
                "{}: accepted, or failed otherwise: {made:?}",
                cut(&spec)
            )),
            (Stored(_), Err(error)) => wrong.push(format!("{}: rejected: {error}", cut(&spec))),
            (Stored(expected), Ok(())) => {
                let function = namespace.wait_for_status(&name).await;
                let (found, text) = (
                    reason(&function, ConditionKind::Accepted),
                    message(&function, ConditionKind::Accepted),
                );
                if found != expected {
                    wrong.push(format!("{}: {found}, not {expected}: {text}", cut(&spec)));
                }
            }
        }
        assert!(operator.is_running(), "it ended at {}", cut(&spec));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    operator.stop().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_27_invalid_service_names_are_rejected() {
    let namespace = TestNamespace::new(cluster().await, "names").await;
    for (name, accepted) in [("a", true), ("9a", false), ("a.b", false)] {
        let made = namespace.make(name, json!({ "image": "i" })).await;
        assert_eq!(made.is_ok(), accepted, "{name}: {made:?}");
    }
    let (long, longer) = ("a".repeat(63), "a".repeat(64));
    assert!(namespace.make(&long, json!({ "image": "i" })).await.is_ok());
    assert!(
        namespace
            .make(&longer, json!({ "image": "i" }))
            .await
            .is_err()
    );
}
