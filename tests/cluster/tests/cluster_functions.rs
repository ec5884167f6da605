//! Tests functions as resources when everything works: deployment, outbound rules, scaling and
//! updates.

use sampan_cluster_tests::{Load, Namespace, Shell, guest, hello, push, staged};
use sampan_tests::FUNCTIONS;
use serde_json::Value;

/// The namespace of the nine functions of `cargo xtask cluster up`.
const NINE: &str = "default";

#[tokio::test]
async fn the_nine_functions_answer_by_their_services_names() {
    let namespace = Namespace::create("nine").await;
    let shell = Shell::start(&namespace, None).await;
    for function in FUNCTIONS {
        let host = format!("{}.{NINE}", function.name);
        function.check(&shell.get(&host, function.path).await);
    }
    let refused = shell
        .get(&format!("prime-numbers.{NINE}"), "/?n=none")
        .await;
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(refused.text().contains('n'), "{refused:?}");
    // The inserted rows are in the database.
    let rows = shell
        .get(&format!("users.{NINE}"), "/prest/public/users")
        .await;
    let rows: Vec<Value> = serde_json::from_slice(&rows.body).expect("the rows are JSON");
    assert!(rows.len() >= 3, "{rows:?}");
    assert!(rows[0]["username"].is_string(), "{rows:?}");
    namespace.delete().await;
}

#[tokio::test]
async fn without_its_rule_a_function_makes_no_calls() {
    let namespace = Namespace::create("rules").await;
    let image = push(
        namespace.cluster(),
        &staged("fuzzysearch/function.yaml"),
        "rules/fuzzysearch",
    );
    let env =
        format!("  env: [{{ name: TEXT_URL, value: 'http://text.{NINE}.svc/hamlet.txt' }}]\n");
    namespace.deploy("denied", &image, &env);
    let allowed = format!("{env}  outbound: {{ allow: ['http://text.{NINE}.svc'] }}\n");
    namespace.deploy("allowed", &image, &allowed);
    namespace.wait_until_ready("denied");
    namespace.wait_until_ready("allowed");
    let shell = Shell::start(&namespace, None).await;
    let denied = shell.get("denied", "/?search=Hamlet").await;
    assert_eq!(denied.status, 502, "{denied:?}");
    let allowed = shell.get("allowed", "/?search=Hamlet").await;
    assert_eq!(allowed.status, 200, "{allowed:?}");
    namespace.delete().await;
}

#[tokio::test]
async fn a_function_trusts_the_authority_that_is_mounted_for_it() {
    let namespace = Namespace::create("authority").await;
    let image = push(namespace.cluster(), &guest("probe"), "authority/probe");
    let server = "https://kubernetes.default.svc";
    let authority = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";
    let trusting = format!(
        "  outbound: {{ allow: ['{server}'], certificateAuthorities: ['{authority}'] }}\n  \
         template: {{ automountServiceAccountToken: true }}\n"
    );
    namespace.deploy("trusting", &image, &trusting);
    let stranger = format!("  outbound: {{ allow: ['{server}'] }}\n");
    namespace.deploy("stranger", &image, &stranger);
    namespace.wait_until_ready("trusting");
    namespace.wait_until_ready("stranger");
    let shell = Shell::start(&namespace, None).await;
    let path = format!("/request?to={server}/healthz");
    let answer = shell.get("trusting", &path).await;
    // A status of the API server, whether or not it answers strangers.
    let is_status = answer
        .text()
        .starts_with(|first: char| first.is_ascii_digit());
    assert!(is_status, "{answer:?}");
    let refused = shell.get("stranger", &path).await;
    assert_eq!(refused.text(), "ErrorCode::TlsCertificateError");
    // Only the log says why.
    let parts = [
        "an outbound call failed",
        "host=kubernetes.default.svc port=443",
        "UnknownIssuer",
        "outbound.certificateAuthorities adds one",
    ];
    let logs = ["logs", "-l", "app.kubernetes.io/name=stranger", "--tail=-1"];
    namespace.until(&logs, |said| parts.iter().all(|part| said.contains(part)));
    namespace.delete().await;
}

#[tokio::test]
async fn a_function_is_scaled_up_to_nothing_and_back() {
    let namespace = Namespace::create("scale").await;
    let image = push(namespace.cluster(), &hello(), "scale/hello");
    namespace.deploy("hello", &image, "  replicas: 1\n");
    namespace.wait_until_ready("hello");
    let kubectl = namespace.kubectl();
    let shell = Shell::start(&namespace, None).await;
    for replicas in ["5", "0", "1"] {
        let option = format!("--replicas={replicas}");
        kubectl.output(&["scale", "wfn", "hello", &option]);
        let ready = format!("--for=jsonpath={{.status.readyReplicas}}={replicas}");
        kubectl.output(&["wait", "wfn/hello", &ready, "--timeout=120s"]);
        if replicas == "0" {
            shell.get_until("hello", "/", Result::is_err).await;
        } else {
            namespace.wait_until_reachable("hello");
            assert_eq!(shell.get("hello", "/").await.status, 200);
        }
    }
    let columns = kubectl.output(&["get", "wfn", "hello"]);
    assert!(columns.contains("READY"), "{columns}");
    namespace.delete().await;
}

#[tokio::test]
async fn a_new_version_takes_over_without_a_failed_request() {
    let namespace = Namespace::create("rolling").await;
    let old = push(namespace.cluster(), &hello(), "rolling/hello");
    let new = push(
        namespace.cluster(),
        &staged("prime-numbers/function.yaml"),
        "rolling/primes",
    );
    namespace.deploy("rolling", &old, "  replicas: 2\n");
    namespace.wait_until_ready("rolling");
    let shell = Shell::start(&namespace, None).await;
    let load = Load::start(&shell, "rolling", "/?n=10").await;
    namespace.deploy("rolling", &new, "  replicas: 2\n");
    let kubectl = namespace.kubectl();
    let done = "--for=jsonpath={.status.conditions[?(@.type==\"Progressing\")].reason}=Complete";
    kubectl.output(&[
        "wait",
        "wfn/rolling",
        "--for=jsonpath={.status.observedGeneration}=2",
        "--timeout=120s",
    ]);
    kubectl.output(&["wait", "wfn/rolling", done, "--timeout=120s"]);
    shell
        .get_until("rolling", "/?n=10", |answer| {
            let answer = answer.as_ref();
            answer.is_ok_and(|answer| answer.text().contains("2, 3, 5, 7"))
        })
        .await;
    load.wait_for_requests().await;
    let outcome = load.stop().await;
    assert_eq!(outcome.bad, 0, "{outcome:?}");
    assert!(outcome.good > 10, "{outcome:?}");
    assert!(namespace.pods_of("rolling").await.len() >= 2);
    namespace.delete().await;
}
