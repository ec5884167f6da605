//! Functions as resources of a test's namespace, made and waited for as people do it.

use std::thread;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use serde_json::Value;

use crate::{Namespace, Node, PATIENCE, Pending};

/// Nothing tells of what `kubectl` prints.
const GLANCE: Duration = Duration::from_millis(100);

impl Node {
    /// The part of a function's `spec` that sends its pods to this node.
    pub fn only_there(&self) -> String {
        format!(
            "  template: {{ nodeSelector: {{ kubernetes.io/hostname: {} }} }}\n",
            self.name
        )
    }
}

impl Namespace {
    /// Makes a ConfigMap of one entry.
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

    /// Makes a function of an image. `more` is the rest of `spec`, in lines of YAML that begin with two spaces.
    pub fn deploy(&self, name: &str, image: &str, more: &str) {
        self.apply(&format!(
            "apiVersion: sampan.dev/v1alpha1\nkind: WasmFunction\nmetadata: {{ name: {name} }}\nspec:\n  \
             image: '{image}'\n{more}"
        ));
    }

    /// Waits as a person would, and until every node sends on what is for the function.
    pub fn wait_until_ready(&self, name: &str) {
        let wfn = format!("wfn/{name}");
        self.kubectl()
            .output(&["wait", "--for=condition=Ready", &wfn, "--timeout=120s"]);
        self.wait_until_reachable(name);
    }

    /// Waits until every node sends on what is for a function's Service: kube-proxy follows the API server at its own
    /// pace, and refuses connections until it knows of a pod. Connections are opened, and nothing is asked.
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
                    begun.elapsed() < PATIENCE,
                    "{} never reaches {name} at {address}: {complaint}",
                    node.name
                );
                thread::sleep(GLANCE);
            }
        }
    }

    /// The address of a Service within the cluster.
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
        serde_json::from_str(&said).expect("kubectl wrote no JSON")
    }

    /// Waits until what `kubectl` prints is as it should be, and returns it.
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
                begun.elapsed() < PATIENCE,
                "kubectl {words:?} never says what it should: {said}{complaint}"
            );
            thread::sleep(GLANCE);
        }
    }
}
