//! Tests of the chart with the real helm: rendered objects, rejected values, and minimal
//! permissions.
//!
//! helm is one of the tools of a cluster, so these run with the tests of the cluster:
//! `SAMPAN_TOOLS` names the folder with it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const IMAGES: [&str; 3] = [
    "--set=operator.image=r.example/operator:1",
    "--set=installer.image=r.example/node-installer:1",
    "--set=pool.image=r.example/pool:1",
];

fn helm(words: &[&str]) -> Output {
    let tools = std::env::var_os("SAMPAN_TOOLS").map(PathBuf::from).expect(
        "SAMPAN_TOOLS must name the folder with `helm`: `cargo xtask test cluster` builds it",
    );
    let home = tempfile::tempdir().expect("a temporary folder");
    Command::new(tools.join("helm"))
        .args(words)
        // Isolates the test from the user's helm.
        .env("HELM_CACHE_HOME", home.path())
        .env("HELM_CONFIG_HOME", home.path())
        .env("HELM_DATA_HOME", home.path())
        .output()
        .expect("helm starts")
}

fn chart() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/chart/sampan");
    root.display().to_string()
}

fn template(values: &[&str]) -> Result<String, String> {
    let chart = chart();
    let mut words = vec!["template", "sampan", &chart, "--namespace=sampan-system"];
    words.extend(IMAGES);
    words.extend(values);
    let output = helm(&words);
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).expect("a text"))
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// The object of a kind with this suffix of its name.
fn object(rendered: &str, kind: &str, name: &str) -> String {
    let found = rendered.split("\n---\n").find(|document| {
        let has = |line: &str| document.lines().any(|found| found == line);
        let named = document.lines().any(|line| {
            line.strip_prefix("  name: ")
                .is_some_and(|found| found.ends_with(name))
        });
        has(&format!("kind: {kind}")) && named
    });
    found
        .unwrap_or_else(|| panic!("no {kind} {name} in {rendered}"))
        .to_owned()
}

#[test]
fn the_chart_passes_helm_lint() {
    let chart = chart();
    let mut words = vec!["lint", "--strict", &chart];
    words.extend(IMAGES);
    let output = helm(&words);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn all_objects_of_an_installation_are_rendered() {
    let rendered = template(&[]).expect("rendered");
    for (kind, name) in [
        ("CustomResourceDefinition", "wasmfunctions.sampan.dev"),
        ("CustomResourceDefinition", "wasmpools.sampan.dev"),
        ("RuntimeClass", "sampan"),
        ("ClusterRole", "sampan-operator"),
        ("ClusterRole", "sampan-pool"),
        ("Role", "sampan-operator-leader"),
        ("Deployment", "sampan-operator"),
        ("PodDisruptionBudget", "sampan-operator"),
        ("DaemonSet", "sampan-node-installer"),
        ("Job", "sampan-node-installer-removal"),
    ] {
        object(&rendered, kind, name);
    }
    for name in ["wasmfunctions.sampan.dev", "wasmpools.sampan.dev"] {
        let definition = object(&rendered, "CustomResourceDefinition", name);
        assert!(
            definition.contains("helm.sh/resource-policy: keep"),
            "{name}"
        );
    }
    let class = object(&rendered, "RuntimeClass", "sampan");
    assert!(class.contains("handler: sampan"), "{class}");
    assert!(class.contains("sampan.dev/runtime: \"true\""), "{class}");
}

#[test]
fn values_change_the_rendered_objects() {
    let check = |values: &[&str], kind: &str, name: &str, expected: &[&str]| {
        let rendered = template(values).expect("rendered");
        let object = object(&rendered, kind, name);
        for part in expected {
            assert!(object.contains(part), "{values:?} lacks {part}: {object}");
        }
    };
    let installer = "sampan-node-installer";
    check(
        &[],
        "DaemonSet",
        installer,
        &[
            "/etc/containerd/config.toml",
            "systemctl restart containerd",
        ],
    );
    check(
        &["--set=installer.flavour=k3s"],
        "DaemonSet",
        installer,
        &[
            "/var/lib/rancher/k3s/agent/etc/containerd/config-v3.toml.tmpl",
            "restart k3s",
            "value: \"true\"",
        ],
    );
    check(
        &[
            "--set=installer.containerd.config=/x/$(NODE_NAME).toml",
            "--set=installer.containerd.restart=sh /x",
        ],
        "DaemonSet",
        installer,
        &["/x/$(NODE_NAME).toml", "value: \"sh /x\""],
    );
    check(
        &["--set=operator.namespace=team"],
        "Role",
        "sampan-operator",
        &["namespace: team"],
    );
    check(
        &["--set=runtimeClass.nodeSelector.pool=wasm"],
        "RuntimeClass",
        "sampan",
        &["pool: wasm"],
    );
    check(
        &["--set=operator.resync=1m"],
        "Deployment",
        "sampan-operator",
        &["--resync=1m"],
    );
    check(
        &[
            "--set=pool.replicas=2",
            "--set=pool.plainHttpRegistries={one.example:5000,two.example}",
            "--set=pool.imagePullPolicy=Never",
        ],
        "Deployment",
        "sampan-operator",
        &[
            "--pool-image=r.example/pool:1",
            "--pool-replicas=2",
            "\"--pool-plain-http-registry=one.example:5000\"",
            "\"--pool-plain-http-registry=two.example\"",
            "--pool-image-pull-policy=Never",
            "--pool-resources={\\\"limits\\\":{\\\"memory\\\":\\\"4Gi\\\"}",
            "--pool-ready-timeout=2m",
            "--pool-state-size=512Mi",
            "--pool-cache-size=10Gi",
        ],
    );
    check(
        &["--set=operator.namespace=team"],
        "ClusterRole",
        "sampan-pool",
        &["secrets"],
    );
    let off = [
        "--set=installer.enabled=false",
        "--set=crd.install=false",
        "--set=operator.replicas=1",
    ];
    let without_pools = template(&["--set=pool.enabled=false", "--set=pool.image="]);
    let without_pools = without_pools.expect("rendered");
    assert!(!without_pools.contains("--pool-"), "{without_pools}");
    // Pools that run go on, and their pods read with this role.
    object(&without_pools, "ClusterRole", "sampan-pool");
    for other in [
        "--set=pool.clusterRole=false",
        "--set=operator.enabled=false",
    ] {
        let rendered = template(&[other]).expect("rendered");
        assert!(!rendered.contains("\n  name: sampan-pool\n"), "{other}");
    }
    let rendered = template(&off).expect("rendered");
    for kind in [
        "DaemonSet",
        "CustomResourceDefinition",
        "PodDisruptionBudget",
        "Job",
    ] {
        assert!(!rendered.contains(&format!("kind: {kind}\n")), "{kind}");
    }
}

#[test]
fn dashboards_become_config_maps_where_they_are_asked_for() {
    let none = template(&[]).expect("rendered");
    assert!(!none.contains("kind: ConfigMap\n"), "{none}");
    let enabled = "--set=dashboards.enabled=true";
    let check = |values: &[&str], expected: &[&str]| {
        let rendered = template(values).expect("rendered");
        for name in ["pools", "operator"] {
            let map = object(&rendered, "ConfigMap", &format!("sampan-dashboard-{name}"));
            for part in expected {
                assert!(map.contains(part), "{values:?} lacks {part}: {map}");
            }
            let head = format!("\n  sampan-{name}.json: |-\n");
            let (_, data) = map.split_once(&head).expect("the file's name");
            let rendered: serde_json::Value = serde_json::from_str(data).expect("JSON");
            let file = format!("{}/dashboards/{name}.json", chart());
            let file = std::fs::read_to_string(file).expect("the dashboard");
            let file: serde_json::Value = serde_json::from_str(&file).expect("JSON");
            assert_eq!(rendered, file, "{name}");
        }
    };
    check(
        &[enabled],
        &[
            "\n    grafana_dashboard: \"1\"\n",
            "\n  namespace: sampan-system\n",
        ],
    );
    check(
        &[
            enabled,
            "--set=dashboards.namespace=monitoring",
            "--set-string=dashboards.labels.team=a",
        ],
        &["\n    team: a\n", "\n  namespace: monitoring\n"],
    );
}

#[test]
fn wrong_values_are_rejected_by_name() {
    let check = |value: &str, expected: &str| {
        let error = template(&[value]).expect_err(value);
        assert!(error.contains(expected), "{value}: {error}");
    };
    check("--set=operator.image=", "operator.image is empty");
    check("--set=installer.image=", "installer.image is empty");
    check("--set=pool.image=", "pool.image is empty");
    check("--set=pool.replicas=0", "replicas");
    check(
        "--set=pool.plainHttpRegistries={a/b}",
        "plainHttpRegistries",
    );
    check("--set=operator.replica=1", "replica");
    check("--set=operator.replicas=0", "replicas");
    check("--set=operator.resync=10", "resync");
    check("--set=installer.flavour=crio", "flavour");
    check("--set=installer.label=a b", "label");
    check("--set=dashboards.enable=true", "enable");
    check("--set=dashboards.namespace=A", "namespace");
}

#[test]
fn only_the_installer_has_access_to_the_node() {
    let rendered = template(&[]).expect("rendered");
    for (kind, name) in [
        ("Deployment", "sampan-operator"),
        ("Job", "sampan-node-installer-removal"),
    ] {
        let object = object(&rendered, kind, name);
        for part in [
            "runAsNonRoot: true",
            "type: RuntimeDefault",
            "allowPrivilegeEscalation: false",
            "readOnlyRootFilesystem: true",
        ] {
            assert!(object.contains(part), "{name} lacks {part}");
        }
        for part in ["hostPath", "hostPID", "privileged"] {
            assert!(!object.contains(part), "{name} has {part}");
        }
    }
    for document in rendered.split("\n---\n") {
        if document.contains("\nrules:") {
            assert!(
                !document.contains("'*'") && !document.contains("- \"*\""),
                "{document}"
            );
        }
    }
}
