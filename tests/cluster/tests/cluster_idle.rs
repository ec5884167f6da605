//! Tests unchanged functions: the operator reconciles them periodically, and writes nothing.

use std::collections::BTreeMap;

use sampan_cluster_tests::{Namespace, Shell, hello, push};

/// How many further resync periods the test waits for.
const PERIODS: u64 = 3;

/// The resource versions of everything that belongs to a function, by kind and name.
fn versions(namespace: &Namespace) -> BTreeMap<String, String> {
    let kinds = "wfn,deployment,replicaset,pod,service,ingress,endpointslice,event";
    let items = namespace.json(&[kinds]);
    let items = items["items"].as_array().expect("a list").iter();
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    items
        .map(|item| {
            let name = text(&item["metadata"]["name"]);
            let name = format!("{} {name}", text(&item["kind"]));
            (name, text(&item["metadata"]["resourceVersion"]))
        })
        .collect()
}

/// The sum of a metric's values with matching labels.
fn sum(text: &str, name: &str, is_meant: impl Fn(&str) -> bool) -> u64 {
    let lines = text.lines().filter_map(|line| line.strip_prefix(name));
    let values = lines
        .filter(|line| line.starts_with(['{', ' ']) && is_meant(line))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "what is counted is whole, and never less than nothing"
    )]
    values.map(|value| value as u64).sum()
}

/// The metrics of all operator pods, concatenated.
async fn operators(shell: &Shell<'_>) -> String {
    let kubectl = sampan_cluster_tests::Cluster::find().kubectl();
    let addresses = kubectl.within("sampan-system").output(&[
        "get",
        "pods",
        "-l",
        "app.kubernetes.io/component=operator",
        "-o",
        "jsonpath={.items[*].status.podIP}",
    ]);
    let mut all = String::new();
    for address in addresses.split_whitespace() {
        all += shell.get_at(address, 9090, "/metrics").await.text();
    }
    assert!(!all.is_empty(), "no operator serves metrics");
    all
}

/// The counts of reconciles and of writes of all operators.
async fn reconciles_and_writes(shell: &Shell<'_>) -> (u64, u64) {
    let text = operators(shell).await;
    let reconciles = sum(&text, "sampan_operator_reconciles_total", |_| true);
    // The leader renews its lease all the time by PUT, which is used for nothing else.
    let writes = sum(&text, "sampan_operator_api_requests_total", |labels| {
        ["PATCH", "POST", "DELETE"]
            .iter()
            .any(|method| labels.contains(&format!("method=\"{method}\"")))
    });
    assert!(reconciles > 0 && writes > 0, "nothing is counted: {text}");
    (reconciles, writes)
}

/// The API server's count of writes to the operator's resources.
fn written(namespace: &Namespace) -> u64 {
    let text = namespace.kubectl().output(&["get", "--raw", "/metrics"]);
    let has = |labels: &str, name: &str, values: &[&str]| {
        let mut pairs = values.iter().map(|value| format!("{name}=\"{value}\""));
        pairs.any(|pair| labels.contains(&pair))
    };
    sum(&text, "apiserver_request_total", |labels| {
        has(labels, "verb", &["APPLY", "PATCH", "POST", "PUT", "DELETE"])
            && has(
                labels,
                "resource",
                &["wasmfunctions", "deployments", "services", "ingresses"],
            )
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_function_causes_no_write() {
    let namespace = Namespace::create("idle").await;
    let image = push(namespace.cluster(), &hello(), "idle/hello");
    let more = r"
  replicas: 2
  env: [{ name: EMPTY, value: '' }]
  limits: { memory: 64Mi, timeout: 10s }
  outbound: { allow: ['http://store.example:3000'] }
  ingress: { className: nginx, host: idle.sampan.test, path: /idle, tls: { secretName: idle-tls } }
  template:
    resources: { limits: { memory: 1024Mi, cpu: 1 }, requests: { cpu: 1000m } }
    volumes: [{ name: v, emptyDir: { sizeLimit: 1024Ki } }]
";
    namespace.deploy("all", &image, &more.replace("1000m", "10m"));
    namespace.deploy("small", &image, "");
    // One that will never run, and one with a rejected `spec`.
    namespace.deploy(
        "homeless",
        &image,
        "  template: { nodeSelector: { is: nowhere } }\n",
    );
    namespace.deploy("wrong", &image, "  limits: { memory: 9Ti }\n");
    namespace.wait_until_ready("all");
    namespace.wait_until_ready("small");
    let reason = "jsonpath={.items[*].status.conditions[?(@.status==\"False\")].reason}";
    namespace.until(&["get", "wfn", "-o", reason], |said| {
        said.contains("Unschedulable") && said.contains("Invalid")
    });
    let done = "jsonpath={.status.conditions[?(@.type==\"Progressing\")].reason}";
    for name in ["wfn/all", "wfn/small"] {
        namespace.until(&["get", name, "-o", done], |said| said == "Complete");
    }
    let shell = Shell::start(&namespace, None).await;
    // First the last changes settle: a period without a write.
    let functions = namespace
        .kubectl()
        .output(&["get", "wfn", "-A", "-o", "name"]);
    let functions = u64::try_from(functions.lines().count()).unwrap();
    let (mut reconciles, mut writes) = reconciles_and_writes(&shell).await;
    let mut before = (writes, versions(&namespace), written(&namespace));
    let mut quiet = 0;
    let begun = std::time::Instant::now();
    while quiet < PERIODS {
        assert!(
            begun.elapsed() < 2 * sampan_cluster_tests::TEST_TIMEOUT,
            "there is always something written: {before:?}"
        );
        let (seen, written_now) = reconciles_and_writes(&shell).await;
        if seen < reconciles + functions {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            continue;
        }
        // Every function has been reconciled since.
        (reconciles, writes) = (seen, written_now);
        let now = (writes, versions(&namespace), written(&namespace));
        // Changes may settle before the first quiet period; afterwards nothing may change.
        assert!(quiet == 0 || now == before, "{before:#?}\n{now:#?}");
        quiet = if now == before { quiet + 1 } else { 0 };
        before = now;
    }
    namespace.delete().await;
}
