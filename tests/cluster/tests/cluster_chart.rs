//! Tests the chart with the real helm, on a cluster without Sampan.
//!
//! The installer brings the runtime to the node, rolls back a configuration that containerd
//! rejects, and leaves nothing after an uninstall.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sampan_cluster_tests::{
    Cluster, Namespace, Node, OwnCluster, TEST_TIMEOUT, hello, push, xtask,
};
use sampan_tests::program;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The namespace of the release.
const SYSTEM: &str = "sampan-system";

/// The prefix of the images' names.
const PREFIX: &str = "sampan.test/chart";

/// The delay between two looks at a file.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Restarts containerd on this node, in place of systemd. A file requests a restart, because a
/// process that the installer starts itself would end with its pod.
struct Supervisor {
    asked: PathBuf,
    ends: Arc<AtomicBool>,
    restarts: Arc<AtomicUsize>,
    /// Whether containerd stays stopped while the drop-in exists.
    broken: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Supervisor {
    fn start(cluster: &Cluster, folder: &Path, drop_in: &Path) -> Supervisor {
        let mut supervisor = Supervisor {
            asked: folder.join("restart"),
            ends: Arc::default(),
            restarts: Arc::default(),
            broken: Arc::default(),
            thread: None,
        };
        let (asked, drop_in) = (supervisor.asked.clone(), drop_in.to_owned());
        let (ends, broken) = (Arc::clone(&supervisor.ends), Arc::clone(&supervisor.broken));
        let (restarts, cluster) = (Arc::clone(&supervisor.restarts), cluster.clone());
        supervisor.thread = Some(thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                if asked.exists() {
                    if broken.load(Ordering::Relaxed) && drop_in.exists() {
                        end_containerd(&cluster);
                    } else {
                        cluster.restart_containerd(1, false);
                    }
                    restarts.fetch_add(1, Ordering::Relaxed);
                    fs::remove_file(&asked).expect("the file can be removed");
                }
                thread::sleep(POLL_INTERVAL);
            }
        }));
        supervisor
    }

    /// The installer's restart command.
    fn command(&self) -> String {
        let asked = self.asked.display();
        format!("touch {asked}; while [ -e {asked} ]; do sleep 0.05; done")
    }

    fn restarts(&self) -> usize {
        self.restarts.load(Ordering::Relaxed)
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            eprintln!("the supervisor of containerd failed");
        }
    }
}

/// Kills containerd without starting it again.
fn end_containerd(cluster: &Cluster) {
    let process = cluster.process_of("containerd-1");
    let killed = Command::new("kill").arg(process).status();
    assert!(killed.expect("failed to start kill").success());
}

/// A release, with folders of its own.
struct Release {
    folder: TempDir,
    cluster: Cluster,
    values: Mutex<Value>,
}

impl Release {
    fn helm(&self, words: &[&str]) -> Output {
        let own = self.folder.path().join("helm");
        let mut helm = self.cluster.tool("helm");
        helm.args(words)
            .args(["--namespace", SYSTEM])
            .env("HELM_CACHE_HOME", &own)
            .env("HELM_CONFIG_HOME", &own)
            .env("HELM_DATA_HOME", &own);
        helm.output().expect("failed to start helm")
    }

    /// Installs the chart, or upgrades it.
    fn apply(&self, timeout: u32, more: &[&str]) {
        let mut values = self.values.lock().expect("no test has failed");
        values["installer"]["patience"] = timeout.into();
        let file = self.folder.path().join("values.json");
        fs::write(&file, values.to_string()).expect("failed to write a file");
        let chart = find(&self.folder.path().join("dist"), "sampan-", ".tgz");
        let (file, chart) = (file.display().to_string(), chart.display().to_string());
        let mut words = vec!["upgrade", "--install", "sampan", &chart, "--values", &file];
        words.extend(["--create-namespace", "--timeout", "180s"]);
        words.extend(more);
        let output = self.helm(&words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "helm {words:?}: {said}");
    }

    /// Waits until the log of the installer's newest pod has the words.
    fn wait_for_installer(&self, words: &str) -> String {
        let kubectl = self.cluster.kubectl().within(SYSTEM);
        let begun = Instant::now();
        loop {
            let selector = "--selector=app.kubernetes.io/component=node-installer";
            // containerd is away at times.
            let output = kubectl.run(&["logs", selector, "--tail=-1"]);
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            if said.contains(words) {
                return said;
            }
            let complaint = String::from_utf8_lossy(&output.stderr);
            assert!(
                begun.elapsed() < TEST_TIMEOUT,
                "the installer never logs `{words}`: {said}{complaint}"
            );
            thread::sleep(POLL_INTERVAL);
        }
    }
}

/// The file of a folder with this prefix and this suffix in its name.
fn find(folder: &Path, begin: &str, end: &str) -> PathBuf {
    let mut files = fs::read_dir(folder).expect("failed to list a folder");
    let found = files.find_map(|file| {
        let file = file.expect("failed to list a folder");
        let name = file.file_name().to_string_lossy().into_owned();
        (name.starts_with(begin) && name.ends_with(end)).then(|| file.path())
    });
    found.unwrap_or_else(|| panic!("{} has no {begin}...{end}", folder.display()))
}

/// Makes the release artifacts with `cargo xtask dist`.
fn dist(cluster: &Cluster, folder: &Path) {
    let mut command = xtask();
    command
        .args(["dist", "--no-build", "--prefix", PREFIX, "--folder"])
        .arg(folder)
        .env("SAMPAN_TOOLS", &cluster.tools);
    let output = command.output().expect("xtask is built with all programs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "dist: {said}");
}

/// The configuration that containerd has after merging its files.
fn dump(cluster: &Cluster, config: &Path) -> String {
    let mut containerd = cluster.tool("containerd");
    containerd.arg("--config").arg(config);
    let output = containerd.args(["config", "dump"]).output();
    let output = output.expect("failed to start containerd");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("containerd wrote invalid UTF-8")
}

/// Whether the node has the label, and whether it offers the runtime to the kubelet.
fn node_has(cluster: &Cluster, node: &Node) -> (bool, bool) {
    let said = cluster
        .kubectl()
        .output(&["get", "node", &node.name, "-o", "json"]);
    let node: Value = serde_json::from_str(&said).expect("kubectl wrote invalid JSON");
    let handlers = node["status"]["runtimeHandlers"].as_array();
    let mut handlers = handlers.into_iter().flatten();
    (
        node["metadata"]["labels"]["sampan.dev/runtime"] == "true",
        handlers.any(|handler| handler["name"] == "sampan"),
    )
}

fn wait_for_node(cluster: &Cluster, node: &Node, expected: (bool, bool)) {
    let begun = Instant::now();
    while node_has(cluster, node) != expected {
        assert!(
            begun.elapsed() < TEST_TIMEOUT,
            "the node is not {expected:?} but {:?}",
            node_has(cluster, node)
        );
        thread::sleep(POLL_INTERVAL);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chart_installs_rolls_back_and_uninstalls_without_leftovers() {
    let own = OwnCluster::bare("chart");
    let cluster = own.cluster.clone();
    let node = &cluster.nodes[0];
    let state = node.kubelet_root.parent().unwrap().to_owned();
    let config = state.join("containerd.toml");
    let drop_in = state.join("conf.d/50-sampan.toml");
    let (text, before) = (
        fs::read_to_string(&config).unwrap(),
        dump(&cluster, &config),
    );
    assert!(!before.contains("sampan.v1"), "{before}");

    let sampan = |words: &[&str]| {
        let mut command = Command::new(program("sampan"));
        command.args(words).env("KUBECONFIG", &cluster.kubeconfig);
        command.output().expect("failed to start sampan")
    };
    // Before an installation, the command reports what is missing.
    let early = sampan(&["list"]);
    assert_eq!(early.status.code(), Some(43), "{early:?}");

    let folder = tempfile::tempdir().unwrap();
    let dist_folder = folder.path().join("dist");
    dist(&cluster, &dist_folder);
    for image in ["sampan-operator-", "sampan-node-installer-"] {
        let archive = find(&dist_folder, image, ".oci.tar");
        own.command(&["load", &archive.display().to_string()]);
    }
    let shims = folder.path().join("opt/sampan/bin");
    let supervisor = Supervisor::start(&cluster, folder.path(), &drop_in);
    let values = json!({
        "operator": { "imagePullPolicy": "Never", "replicas": 1 },
        "installer": {
            "imagePullPolicy": "Never",
            "enter": "containerd",
            "shimFolder": shims,
            "containerd": {
                "config": config,
                "dropIn": drop_in,
                "socket": node.containerd,
                "program": cluster.tools.join("containerd"),
                "restart": supervisor.command(),
            },
        },
    });
    let release = Release {
        folder,
        cluster: cluster.clone(),
        values: Mutex::new(values),
    };

    // containerd does not come back: everything is restored.
    supervisor.broken.store(true, Ordering::Relaxed);
    release.apply(10, &[]);
    release.wait_for_installer("everything has been taken back");
    assert_eq!(fs::read_to_string(&config).unwrap(), text);
    assert_eq!(dump(&cluster, &config), before);
    assert_eq!(node_has(&cluster, node), (false, false));
    assert_eq!(supervisor.restarts(), 2);

    // containerd comes back: functions run.
    supervisor.broken.store(false, Ordering::Relaxed);
    release.apply(120, &["--wait"]);
    assert_eq!(node_has(&cluster, node), (true, true));
    assert_eq!(supervisor.restarts(), 3);
    let changed = dump(&cluster, &config);
    assert!(changed.contains(&shims.display().to_string()), "{changed}");
    let namespace = Namespace::within(cluster.clone(), "chart").await;
    let image = push(&cluster, &hello(), "chart/hello");
    namespace.deploy("hello", &image, "  replicas: 1\n");
    namespace.wait_until_ready("hello");
    let invoke = || {
        let output = sampan(&["invoke", "hello", "--namespace", namespace.name()]);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "Hello!\n");
    };
    invoke();

    // Another file has broken the configuration: the installer reports it and changes nothing.
    let bad = state.join("conf.d/60-other.toml");
    fs::write(&bad, "this is = no TOML [\n").unwrap();
    let kubectl = cluster.kubectl().within(SYSTEM);
    let selector = "--selector=app.kubernetes.io/component=node-installer";
    kubectl.output(&["delete", "pods", selector]);
    release.wait_for_installer("60-other.toml");
    assert_eq!(supervisor.restarts(), 3);
    invoke();
    fs::remove_file(&bad).unwrap();
    kubectl.output(&["delete", "pods", selector]);
    release.wait_for_installer("has the runtime already");
    kubectl.output(&[
        "rollout",
        "status",
        "daemonset/sampan-node-installer",
        "--timeout=120s",
    ]);
    assert_eq!(supervisor.restarts(), 3);

    // After an uninstall, only the custom resource definitions stay, and with it the users'
    // functions.
    namespace.delete().await;
    let output = release.helm(&["uninstall", "sampan", "--wait", "--timeout", "180s"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(supervisor.restarts(), 4);
    assert_eq!(fs::read_to_string(&config).unwrap(), text);
    assert_eq!(dump(&cluster, &config), before);
    assert!(!shims.exists() && !drop_in.exists());
    wait_for_node(&cluster, node, (false, false));
    let kubectl = cluster.kubectl();
    let crds = kubectl.output(&["get", "crd", "-o", "name"]);
    for name in ["wasmfunctions.sampan.dev", "wasmpools.sampan.dev"] {
        assert!(crds.contains(name), "{crds}");
    }
    let left = kubectl.output(&[
        "get",
        "runtimeclass,clusterrole,clusterrolebinding,deployment,daemonset,job",
        "-A",
        "-o",
        "name",
    ]);
    assert!(!left.contains("sampan"), "{left}");
    drop(supervisor);
    drop(own);
}
