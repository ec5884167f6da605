//! Deploys functions in a test's namespace and waits for them, as users do.

use std::thread;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use serde_json::Value;

use crate::{Namespace, Node, Pending, TEST_TIMEOUT};

/// The delay between two calls of `kubectl`.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

impl Node {
    /// The part of a function's `spec` that schedules its pods to this node.
    pub fn node_selector(&self) -> String {
        format!(
            "  template: {{ nodeSelector: {{ kubernetes.io/hostname: {} }} }}\n",
            self.name
        )
    }
}

impl Namespace {
    /// Makes a `ConfigMap` of one entry.
    pub fn make_config_map(&self, name: &str, key: &str, value: &str) {
        let entry = format!("--from-literal={key}={value}");
        self.kubectl()
            .output(&["create", "configmap", name, &entry]);
    }

    /// Makes a Secret of one entry.
    pub fn make_secret(&self, name: &str, key: &str, value: &str) {
        let entry = format!("--from-literal={key}={value}");
        self.kubectl()
            .output(&["create", "secret", "generic", name, &entry]);
    }

    /// Makes a function from an image. `more` is the rest of `spec`, in lines of YAML that begin
    /// with two spaces.
    pub fn deploy(&self, name: &str, image: &str, more: &str) {
        self.apply(&format!(
            "apiVersion: sampan.dev/v1alpha1\nkind: WasmFunction\nmetadata: {{ name: {name} }}\nspec:\n  \
             image: '{image}'\n{more}"
        ));
    }

    /// Waits until the function is ready, and until every node forwards connections to it.
    pub fn wait_until_ready(&self, name: &str) {
        let wfn = format!("wfn/{name}");
        self.kubectl()
            .output(&["wait", "--for=condition=Ready", &wfn, "--timeout=120s"]);
        self.wait_until_reachable(name);
    }

    /// Waits until every node forwards connections to a function's Service. kube-proxy follows the
    /// API server with a delay, and refuses connections until it has an endpoint. Connections are
    /// opened, but no request is sent.
    pub fn wait_until_reachable(&self, name: &str) {
        let address = self.service_address(name);
        let connect = format!("exec 3<>/dev/tcp/{address}/80");
        for node in &self.cluster().nodes {
            let begun = Instant::now();
            loop {
                let output = node
                    .inside("timeout")
                    .args(["1", "bash", "-c", &connect])
                    .output()
                    .expect("failed to start timeout");
                if output.status.success() {
                    break;
                }
                let complaint = String::from_utf8_lossy(&output.stderr);
                assert!(
                    begun.elapsed() < TEST_TIMEOUT,
                    "{} never reaches {name} at {address}: {complaint}",
                    node.name
                );
                thread::sleep(POLL_INTERVAL);
            }
        }
    }

    /// The address of a Service inside the cluster.
    pub fn service_address(&self, name: &str) -> String {
        let path = "jsonpath={.spec.clusterIP}";
        self.kubectl().output(&["get", "service", name, "-o", path])
    }

    /// The pods of a function.
    pub fn pods_of<'a>(&'a self, name: &'a str) -> Pending<'a, Vec<Pod>> {
        Box::pin(async move {
            let labels = format!("sampan.dev/function={name}");
            let pods = self.api::<Pod>();
            let pods = pods.list(&ListParams::default().labels(&labels)).await;
            pods.expect("failed to list pods").items
        })
    }

    /// An object as `kubectl get -o json` shows it.
    pub fn json(&self, words: &[&str]) -> Value {
        let mut all = vec!["get", "-o", "json"];
        all.extend(words);
        let said = self.kubectl().output(&all);
        serde_json::from_str(&said).expect("kubectl wrote invalid JSON")
    }

    /// Waits until `kubectl`'s output meets the condition, and returns it.
    pub fn until(&self, words: &[&str], is_so: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let output = self.kubectl().run(words);
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            if output.status.success() && is_so(&said) {
                return said;
            }
            let complaint = String::from_utf8_lossy(&output.stderr);
            assert!(
                begun.elapsed() < TEST_TIMEOUT,
                "kubectl {words:?} never gives the expected output: {said}{complaint}"
            );
            thread::sleep(POLL_INTERVAL);
        }
    }
}
