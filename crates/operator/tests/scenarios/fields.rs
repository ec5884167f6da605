//! Every field of the resource at its boundaries, with wrong types, empty, in unicode, and huge.

use sampan_crd::ConditionKind;
use serde_json::{Value, json};

use crate::support::cluster::cluster;
use crate::support::fault::Way;
use crate::support::operator::{Operator, Place, message, reason};

/// What becomes of a value.
enum Fate {
    /// The API server does not take it.
    Refused,
    /// It is taken, and the condition Accepted has this reason.
    Told(&'static str),
}

use Fate::{Refused, Told};

fn with(field: &str, value: Value) -> Value {
    let mut spec = json!({ "image": "registry.example/f:1" });
    let mut place = &mut spec;
    for part in field.split('.') {
        place = &mut place[part];
    }
    *place = value;
    spec
}

fn cases() -> Vec<(Value, Fate)> {
    let text = |length: usize| Value::from("x".repeat(length));
    let list = |length: usize| Value::from(vec!["http://a"; length]);
    let mut cases = vec![
        (Value::Null, Refused),
        (json!({}), Refused),
        (json!("text"), Refused),
        (with("unknown", json!(1)), Told("Valid")),
    ];
    let mut case = |field: &str, value: Value, fate: Fate| cases.push((with(field, value), fate));
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
        case("image", wrong, Refused);
    }
    case("image", text(1_024), Told("Valid"));
    for (value, fate) in [
        (json!(0), Told("Valid")),
        (json!(10_000), Told("Valid")),
        (json!(10_001), Refused),
        (json!(-1), Refused),
        (json!("1"), Refused),
        (json!(1.5), Refused),
        (json!(1_u64 << 40), Refused),
        (Value::Null, Refused),
    ] {
        case("replicas", value, fate);
    }
    for (value, fate) in [
        (json!("1Mi"), Told("Valid")),
        (json!("4Gi"), Told("Valid")),
        (json!("5Gi"), Told("Invalid")),
        (json!("1Ki"), Told("Invalid")),
        (json!(1_048_576), Told("Valid")),
        (json!(1), Refused),
        (json!(-1), Refused),
        (json!(true), Refused),
        (json!("much"), Refused),
        (json!(""), Refused),
        (json!("64Mi größe"), Refused),
        (text(1_000), Refused),
    ] {
        case("limits.memory", value, fate);
    }
    for (value, fate) in [
        (json!("1ms"), Told("Valid")),
        (json!("1h"), Told("Valid")),
        (json!("2h"), Told("Invalid")),
        (json!("0s"), Told("Invalid")),
        (json!(30), Refused),
        (json!("soon"), Refused),
    ] {
        case("limits.timeout", value, fate);
    }
    for (value, fate) in [
        (json!(1), Told("Valid")),
        (json!(10_000), Told("Valid")),
        (json!(10_001), Refused),
        (json!(0), Refused),
        (json!("1"), Refused),
        (Value::Null, Told("Valid")),
    ] {
        case("limits.concurrency", value, fate);
    }
    case("limits", json!([]), Refused);
    case("limits", json!({}), Told("Valid"));
    case("outbound.allow", list(500), Told("Valid"));
    case("outbound.allow", list(501), Refused);
    for (value, fate) in [
        ("http://größe.example", Told("Valid")),
        ("ftp://a", Told("Invalid")),
        ("http://*", Told("Invalid")),
        ("", Refused),
        ("a", Refused),
        ("http://a b", Refused),
    ] {
        case("outbound.allow", json!([value]), fate);
    }
    case(
        "outbound.allow",
        json!([format!("http://{}", "x".repeat(400))]),
        Refused,
    );
    case(
        "env",
        json!([{ "name": "SIZE", "value": "größe 🛶" }]),
        Told("Valid"),
    );
    // Kubernetes takes printable ASCII for names.
    case(
        "env",
        json!([{ "name": "GRÖSSE", "value": "1" }]),
        Told("Rejected"),
    );
    case("env", json!([{ "name": "PORT", "value": "1" }]), Refused);
    case("env", json!([{ "name": "A" }, { "name": "A" }]), Refused);
    case("env", json!([{ "value": "1" }]), Refused);
    case(
        "env",
        json!([{ "name": "A", "value": "1", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }]),
        Refused,
    );
    case(
        "env",
        json!([{ "name": "A", "valueFrom": {} }]),
        Told("Rejected"),
    );
    case(
        "env",
        json!([{ "name": "A", "value": "x".repeat(131_072) }]),
        Told("Valid"),
    );
    case(
        "env",
        json!([{ "name": "A", "value": "x".repeat(131_073) }]),
        Refused,
    );
    case("env", json!([{ "name": "a=b" }]), Told("Invalid"));
    case(
        "env",
        Value::from(
            (0..1_001)
                .map(|n| json!({ "name": format!("A{n}") }))
                .collect::<Vec<_>>(),
        ),
        Refused,
    );
    case("args", json!(["a", "", "größe"]), Told("Valid"));
    case("args", json!(["a\u{0}"]), Told("Invalid"));
    case("args", json!([1]), Refused);
    case("args", json!(["x".repeat(131_073)]), Refused);
    case(
        "args",
        Value::from(vec!["x".repeat(100_000); 10]),
        Told("Invalid"),
    );
    case("http", json!("cgi"), Told("Valid"));
    case("http", json!("fast"), Refused);
    case(
        "instances.reuse",
        json!({ "requests": 1, "idle": "1s" }),
        Told("Valid"),
    );
    case("instances.reuse", json!({ "requests": 0 }), Refused);
    case("instances.reuse", json!({ "idle": "0s" }), Told("Invalid"));
    for (value, fate) in [
        ("a.example", Told("Valid")),
        ("*.a.example", Told("Valid")),
        ("", Refused),
        ("A.example", Refused),
        ("a_b", Refused),
        ("a/b", Refused),
        ("größe.example", Refused),
    ] {
        case("ingress.host", json!(value), fate);
    }
    case(
        "ingress.host",
        json!(format!("{}.example", "a".repeat(63))),
        Told("Valid"),
    );
    case(
        "ingress.host",
        json!(format!("{}.example", "a".repeat(64))),
        Refused,
    );
    case("ingress", json!({}), Refused);
    case(
        "ingress",
        json!({ "host": "a.example", "path": "x" }),
        Refused,
    );
    case(
        "ingress",
        json!({ "host": "a.example", "path": "//" }),
        Told("Rejected"),
    );
    case(
        "ingress",
        json!({ "host": "a.example", "tls": { "secretName": "A" } }),
        Refused,
    );
    case(
        "ingress",
        json!({ "host": "a.example", "className": "" }),
        Refused,
    );
    case(
        "imagePullSecrets",
        json!([{ "name": "a" }, { "name": "a" }]),
        Refused,
    );
    case("imagePullSecrets", json!([{}]), Refused);
    for (value, fate) in [
        (json!({}), Told("Valid")),
        (json!({ "port": 1 }), Told("Valid")),
        (json!({ "port": 65535 }), Told("Valid")),
        (json!({ "port": 8080 }), Told("Invalid")),
        (json!({ "port": 0 }), Refused),
        (json!({ "port": 65536 }), Refused),
        (json!({ "port": "http" }), Refused),
        // The API server drops keys that it does not know unless it is asked to be strict, as kubectl asks it.
        (json!({ "ports": 1 }), Told("Valid")),
    ] {
        case("metrics", value, fate);
    }
    case("template.labels", json!({ "größe": "x" }), Told("Rejected"));
    case(
        "template.labels",
        json!({ "sampan.dev/function": "other" }),
        Told("Invalid"),
    );
    case(
        "template.annotations",
        json!({ "sampan.dev/limits": "{}" }),
        Told("Invalid"),
    );
    case(
        "template.sidecars",
        json!([{ "name": "function" }]),
        Told("Invalid"),
    );
    case(
        "template.sidecars",
        json!([{ "name": "Not A Name", "image": "i" }]),
        Told("Rejected"),
    );
    case("template.sidecars", json!([{ "image": "i" }]), Refused);
    case(
        "template.volumeMounts",
        json!([{ "name": "missing", "mountPath": "/x" }]),
        Told("Rejected"),
    );
    case(
        "template.resources",
        json!({ "limits": { "memory": "lots" } }),
        Refused,
    );
    case(
        "template.resources",
        json!({ "limits": { "memory": 1_073_741_824, "cpu": 1 } }),
        Told("Valid"),
    );
    case(
        "template.terminationGracePeriodSeconds",
        json!(0),
        Told("Valid"),
    );
    case(
        "template.terminationGracePeriodSeconds",
        json!(1),
        Told("Valid"),
    );
    case("template.terminationGracePeriodSeconds", json!(-1), Refused);
    case(
        "template.terminationGracePeriodSeconds",
        json!(86_401),
        Refused,
    );
    case("template.imagePullPolicy", json!("Sometimes"), Refused);
    case("template.dnsPolicy", json!("Sometimes"), Told("Rejected"));
    case(
        "template.priorityClassName",
        json!("größe"),
        Told("Rejected"),
    );
    cases
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_27_every_field_is_refused_or_told_of_and_never_ends_the_operator() {
    let place = Place::new(cluster().await, "fields").await;
    let operator = Operator::start(&place.admin, &Way::clear(), &place.namespace, None);
    let cut = |spec: &Value| spec.to_string().chars().take(200).collect::<String>();
    let mut wrong = Vec::new();
    for (number, (spec, fate)) in cases().into_iter().enumerate() {
        let name = format!("f-{number}");
        let made = place.make(&name, spec.clone()).await;
        match (fate, made) {
            (Refused, Err(kube::Error::Api(status))) if matches!(status.code, 400 | 413 | 422) => {}
            (Refused, made) => wrong.push(format!(
                "{}: taken, or failed otherwise: {made:?}",
                cut(&spec)
            )),
            (Told(_), Err(error)) => wrong.push(format!("{}: refused: {error}", cut(&spec))),
            (Told(expected), Ok(())) => {
                let told = place.told(&name).await;
                let (found, said) = (
                    reason(&told, ConditionKind::Accepted),
                    message(&told, ConditionKind::Accepted),
                );
                if found != expected {
                    wrong.push(format!("{}: {found}, not {expected}: {said}", cut(&spec)));
                }
            }
        }
        assert!(operator.is_running(), "it ended at {}", cut(&spec));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    operator.stop().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_27_names_that_no_service_can_have_are_refused() {
    let place = Place::new(cluster().await, "names").await;
    for (name, taken) in [("a", true), ("9a", false), ("a.b", false)] {
        let made = place.make(name, json!({ "image": "i" })).await;
        assert_eq!(made.is_ok(), taken, "{name}: {made:?}");
    }
    let (long, longer) = ("a".repeat(63), "a".repeat(64));
    assert!(place.make(&long, json!({ "image": "i" })).await.is_ok());
    assert!(place.make(&longer, json!({ "image": "i" })).await.is_err());
}
