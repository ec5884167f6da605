//! Tests the fields of a `WasmFunction` by their effects outside of its pod.

mod pod;

use std::fs;

use sampan_cluster_tests::{Namespace, PrivateRegistry, Shell, guest, hello, push};

/// The port of the private registry. No other program on that node uses it.
const PRIVATE: u16 = 5055;

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_pulled_with_the_secret_that_is_named() {
    let namespace = Namespace::create("pull").await;
    let cluster = namespace.cluster().clone();
    let node = &cluster.nodes[0];
    let registry = PrivateRegistry::start(&cluster, node, PRIVATE);
    // The namespace's name is unique, so the node cannot have the image.
    let image = registry.push(&hello(), namespace.name());
    let here = node.node_selector();
    namespace.deploy("hello", &image, &here);
    let reason = "jsonpath={.status.conditions[?(@.type==\"Ready\")]['reason','message']}";
    let said = namespace.until(&["get", "wfn/hello", "-o", reason], |said| {
        said.contains("ImagePullFailed") && !said.contains("Back-off")
    });
    assert!(
        said.contains("401") || said.contains("authorization"),
        "{said}"
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), registry.credentials()).unwrap();
    let credentials = format!("--from-file=.dockerconfigjson={}", file.path().display());
    namespace.kubectl().output(&[
        "create",
        "secret",
        "generic",
        "registry",
        "--type=kubernetes.io/dockerconfigjson",
        &credentials,
    ]);
    let secret = format!("{here}  imagePullSecrets: [{{ name: registry }}]\n");
    namespace.deploy("hello", &image, &secret);
    namespace.wait_until_ready("hello");
    let shell = Shell::start(&namespace, None).await;
    assert_eq!(shell.get("hello", "/").await.text(), "Hello!\n");
    namespace.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_come_from_values_maps_and_secrets() {
    let namespace = Namespace::create("env").await;
    let image = push(namespace.cluster(), &guest("probe"), "env/probe");
    let env = r#"
  env:
    - { name: PLAIN, value: 'a value, with $(signs)' }
    - { name: EMPTY, value: '' }
    - { name: UMLAUT, value: 'Grüße' }
    - { name: FROM_MAP, valueFrom: { configMapKeyRef: { name: settings, key: colour } } }
    - { name: FROM_SECRET, valueFrom: { secretKeyRef: { name: secrets, key: token } } }
    - { name: FROM_POD, valueFrom: { fieldRef: { fieldPath: "metadata.labels['app.kubernetes.io/name']" } } }
    - { name: ABSENT, valueFrom: { configMapKeyRef: { name: settings, key: none, optional: true } } }
  template: { envFrom: [{ prefix: ALL_, configMapRef: { name: settings } }] }
"#;
    namespace.deploy("probe", &image, env);
    // A missing source is reported by its name.
    let reason = "jsonpath={.status.conditions[?(@.type==\"Ready\")]['reason','message']}";
    namespace.until(&["get", "wfn/probe", "-o", reason], |said| {
        said.contains("ConfigurationMissing") && said.contains("settings")
    });
    namespace.make_config_map("settings", "colour", "red");
    namespace.make_secret("secrets", "token", "known to few");
    namespace.wait_until_ready("probe");
    let shell = Shell::start(&namespace, None).await;
    let answer = shell.get("probe", "/variables").await;
    let text = answer.text();
    for (name, value) in [
        ("PLAIN", "a value, with $(signs)"),
        ("EMPTY", ""),
        ("UMLAUT", "Grüße"),
        ("FROM_MAP", "red"),
        ("FROM_SECRET", "known to few"),
        ("FROM_POD", "probe"),
        ("ALL_colour", "red"),
    ] {
        let pair = format!("({name:?}, {value:?})");
        assert!(text.contains(&pair), "no {pair} in {text}");
    }
    for name in ["ABSENT", "PROBE_SERVICE_HOST"] {
        assert!(!text.contains(name), "{name} in {text}");
    }
    namespace.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_see_the_limits() {
    let namespace = Namespace::create("limits").await;
    let image = push(namespace.cluster(), &guest("probe"), "limits/probe");
    let small = "  limits: { memory: 4Mi, timeout: 1s }\n";
    namespace.deploy("small", &image, small);
    let narrow = "  limits: { timeout: 20s, concurrency: 1, queue: 0 }\n";
    namespace.deploy("narrow", &image, narrow);
    namespace.deploy("plain", &image, "");
    for name in ["small", "narrow", "plain"] {
        namespace.wait_until_ready(name);
    }
    let shell = Shell::start(&namespace, None).await;
    for (path, status) in [
        ("/", 200),
        ("/sleep?10", 200),
        // Time: waiting, and computing.
        ("/never", 504),
        ("/spin", 504),
        ("/panic", 500),
    ] {
        assert_eq!(shell.get("small", path).await.status, status, "{path}");
    }
    // Memory: how many mebibytes a guest gets beyond its own.
    let got = |answer: &sampan_tests::Answer| answer.text().parse::<u64>().expect("a number");
    let small = got(&shell.get("small", "/grow").await);
    let plain = got(&shell.get("plain", "/grow").await);
    assert!(small < 5 && plain > 100 && plain < 129, "{small} {plain}");
    // One request at a time and no queue: the second is rejected with `Retry-After`.
    let other = Shell::start(&namespace, None).await;
    let held = other.try_get("narrow", 80, "/never");
    let refused = async {
        loop {
            let answer = shell.get("narrow", "/").await;
            if answer.status == 503 {
                return answer;
            }
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    };
    let (held, refused) = tokio::join!(held, refused);
    assert!(refused.headers.contains_key("retry-after"), "{refused:?}");
    assert_eq!(held.expect("it was answered").status, 504);
    assert_eq!(shell.get("narrow", "/").await.status, 200);
    namespace.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_reach_only_what_the_rules_allow() {
    let namespace = Namespace::create("outbound").await;
    let cluster = namespace.cluster().clone();
    let image = push(&cluster, &guest("probe"), "outbound/probe");
    let own = namespace.name().to_owned();
    let allowed = format!("http://target.{own}.svc");
    namespace.deploy("target", &image, "  replicas: 1\n");
    namespace.deploy("none", &image, "");
    let some = format!("  outbound: {{ allow: ['{allowed}', 'http://*.elsewhere.test'] }}\n");
    namespace.deploy("some", &image, &some);
    for name in ["target", "none", "some"] {
        namespace.wait_until_ready(name);
    }
    let api = format!("{}:6443", cluster.nodes[0].address);
    let shell = Shell::start(&namespace, None).await;
    let check = async |name: &str, target: &str, words: &str| {
        let answer = shell.get(name, &format!("/call?{target}")).await;
        let text = answer.text();
        assert!(text.contains(words), "{name} calls {target}: {text}");
    };
    let denied = "HttpRequestDenied";
    check("none", &format!("target.{own}.svc/"), denied).await;
    check("some", &format!("target.{own}.svc/"), "200").await;
    // Another port, another name of the target, and addresses that every pod can reach are denied.
    check("some", &format!("target.{own}.svc:81/"), denied).await;
    check("some", &format!("target.{own}.svc.cluster.local/"), denied).await;
    check("some", "target/", denied).await;
    check("some", "127.0.0.1:8080/", denied).await;
    check("some", "169.254.169.254/", denied).await;
    check("some", &format!("{api}/"), denied).await;
    namespace.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_served_only_where_they_are_configured() {
    let namespace = Namespace::create("metrics").await;
    let image = push(namespace.cluster(), &guest("probe"), "metrics/probe");
    namespace.deploy("served", &image, "  metrics: {}\n");
    namespace.deploy("elsewhere", &image, "  metrics: { port: 9191 }\n");
    namespace.deploy("silent", &image, "");
    for name in ["served", "elsewhere", "silent"] {
        namespace.wait_until_ready(name);
    }
    let shell = Shell::start(&namespace, None).await;
    let address = async |name: &str| {
        let pods = namespace.pods_of(name).await;
        let status = pods[0].status.clone().expect("a status");
        status.pod_ip.expect("an address")
    };
    for path in ["/", "/", "/panic"] {
        shell.get("served", path).await;
    }
    let served = address("served").await;
    let metrics = shell.get_at(&served, 9090, "/metrics").await;
    let text = metrics.text();
    for line in [
        r#"function_requests_total{function="served",code="200"} 2"#,
        r#"function_requests_total{function="served",code="500"} 1"#,
        r#"function_requests_in_progress{function="served"} 0"#,
    ] {
        assert!(text.contains(line), "no {line} in {text}");
    }
    assert_eq!(shell.get_at(&served, 9090, "/healthz").await.text(), "ok\n");
    assert_eq!(
        shell.get_at(&served, 9090, "/readyz").await.text(),
        "ready\n"
    );
    // The function's own port is another one, and answers every path.
    assert_eq!(
        shell.get_at(&served, 8080, "/metrics").await.text(),
        "probe"
    );
    let elsewhere = address("elsewhere").await;
    let health = shell.get_at(&elsewhere, 9191, "/healthz").await;
    assert_eq!(health.text(), "ok\n");
    assert!(shell.try_get(&elsewhere, 9090, "/healthz").await.is_err());
    let silent = address("silent").await;
    assert!(shell.try_get(&silent, 9090, "/healthz").await.is_err());
    let pod = namespace.json(&["pods", "-l", "sampan.dev/function=served"]);
    let pod = &pod["items"][0];
    assert_eq!(pod["metadata"]["annotations"]["prometheus.io/port"], "9090");
    assert_eq!(pod["spec"]["containers"][0]["ports"][1]["name"], "metrics");
    namespace.delete().await;
}
