//! Tests a pool whose functions come and go by the hundred, and what is left in the end.

use std::time::Instant;

use sampan_cluster_tests::pooled::{POOLED, configure, in_pods};
use sampan_cluster_tests::{LeftoverSearch, Namespace, hello, push};

use crate::curl;

/// How many functions are created and deleted.
const FUNCTIONS: usize = 1000;

/// How many are created together, and later deleted together.
const BATCH: usize = 100;

/// Scaled, so that the pool has all objects that it may have. No idle pod reaches the target.
const SETTINGS: &str = "{ replicas: { min: 1, max: 2 }, target: { cpuUtilization: 10000 } }";

/// The objects of the pool, by the names of `kubectl`.
const OF_POOL: [&str; 7] = [
    "deployment.apps/sampan-pool",
    "horizontalpodautoscaler.autoscaling/sampan-pool",
    "poddisruptionbudget.policy/sampan-pool",
    "rolebinding.rbac.authorization.k8s.io/sampan-pool",
    "secret/sampan-pool-key",
    "service/sampan-pool",
    "serviceaccount/sampan-pool",
];

/// A thousand functions are created and deleted in batches that overlap, so that the pool goes on.
/// Each is served before its batch is deleted. After the last one, the namespace has nothing but
/// the settings of its pool: no function, Service or `EndpointSlice`, and no object of the pool. The
/// nodes have nothing of the pool's pod.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_functions_come_and_go_and_nothing_is_left() {
    let namespace = Namespace::create("pooled-churn").await;
    configure(&namespace, SETTINGS);
    let image = push(namespace.cluster(), &hello(), "pooled/churn");
    let image = in_pods(namespace.cluster(), &image);
    let begun = Instant::now();
    for batch in 0..FUNCTIONS / BATCH {
        create(&namespace, batch, &image);
        wait_until_served(&namespace, batch);
        let last = name(batch, BATCH - 1);
        namespace.wait_until_reachable(&last);
        assert!(
            curl(&namespace, &last, "/", &[]).contains("Hello"),
            "{last}"
        );
        if batch > 0 {
            delete(&namespace, batch - 1);
        }
    }
    // What is searched for must be found while it exists, or the search below would prove nothing.
    let found = namespace.contents();
    for object in OF_POOL {
        assert!(found.contains(object), "no {object}: {found:#?}");
    }
    let last = FUNCTIONS / BATCH - 1;
    for kind in ["wasmfunction.sampan.dev", "service"] {
        let object = format!("{kind}/{}", name(last, 0));
        assert!(found.contains(&object), "no {object}: {found:#?}");
    }
    let mut slices = found.iter();
    assert!(slices.any(|object| object.starts_with("endpointslice.")));
    let search = LeftoverSearch::of(&namespace);
    assert!(search.find().count("process") > 0);

    delete(&namespace, last);
    namespace.wait_for_contents(&["wasmpool.sampan.dev/default"]);
    eprintln!(
        "{FUNCTIONS} functions came and went in {:?}",
        begun.elapsed()
    );
    namespace.delete().await;
    search.wait_for_none_of(&["process", "mount", "cgroup", "network namespace", "socket"]);
}

fn name(batch: usize, number: usize) -> String {
    format!("hello-{batch}-{number}")
}

fn create(namespace: &Namespace, batch: usize, image: &str) {
    let resources: Vec<_> = (0..BATCH)
        .map(|number| {
            let name = name(batch, number);
            format!(
                "apiVersion: sampan.dev/v1alpha1\nkind: WasmFunction\n\
                 metadata: {{ name: {name}, labels: {{ batch: '{batch}' }} }}\n\
                 spec:\n  image: '{image}'\n{POOLED}"
            )
        })
        .collect();
    namespace.apply(&resources.join("---\n"));
}

fn wait_until_served(namespace: &Namespace, batch: usize) {
    let selector = format!("batch={batch}");
    let each = "jsonpath={range .items[*]}{.status.placement} \
                {.status.conditions[?(@.type==\"Progressing\")].reason}{\"\\n\"}{end}";
    let words = ["get", "wfn", "-l", &selector, "-o", each];
    namespace.until(&words, |said| {
        let mut lines = said.lines();
        said.lines().count() == BATCH && lines.all(|line| line == "Pooled Complete")
    });
}

fn delete(namespace: &Namespace, batch: usize) {
    let selector = format!("batch={batch}");
    let kubectl = namespace.kubectl();
    kubectl.output(&["delete", "wfn", "-l", &selector, "--wait=false"]);
}
