//! Lists what a test's namespace has, of every kind.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use crate::{Namespace, TEST_TIMEOUT};

/// What Kubernetes puts into each namespace.
const OF_EACH: [&str; 2] = ["configmap/kube-root-ca.crt", "serviceaccount/default"];

/// The delay between two lists.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

impl Namespace {
    /// The names of all objects in it, as `service/hello`. Events are left out, because they stay
    /// for an hour, and so is what Kubernetes puts into each namespace.
    pub fn contents(&self) -> BTreeSet<String> {
        let kubectl = self.kubectl();
        let kinds = ["api-resources", "--namespaced", "--verbs=list", "-o=name"];
        let kinds = kubectl.output(&kinds);
        let kinds: Vec<&str> = kinds
            .lines()
            // Measures are no objects.
            .filter(|kind| !kind.starts_with("events") && !kind.ends_with(".metrics.k8s.io"))
            .collect();
        let names = kubectl.output(&["get", &kinds.join(","), "-o", "name"]);
        let names = names.lines().filter(|name| !OF_EACH.contains(name));
        names.map(str::to_owned).collect()
    }

    /// Waits until these are all objects in it.
    pub fn wait_for_contents(&self, expected: &[&str]) {
        let expected: BTreeSet<String> = expected.iter().map(|&name| name.to_owned()).collect();
        let begun = Instant::now();
        loop {
            let found = self.contents();
            if found == expected {
                return;
            }
            assert!(
                begun.elapsed() < TEST_TIMEOUT,
                "it has {found:#?}, and not only {expected:?}"
            );
            thread::sleep(POLL_INTERVAL);
        }
    }
}
