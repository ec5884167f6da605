//! Finds what pods leave on their nodes, by the names that only they have.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Namespace, Node, TEST_TIMEOUT};

/// How deep folders are searched. Deeper files are inside of images and containers.
const DEPTH: usize = 4;

/// The delay between two searches. The kubelet cleans some things up once a minute.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// The names of a namespace's pods on their nodes: identifiers of pods and containers, network
/// namespaces and shims' sockets.
#[derive(Debug)]
pub struct LeftoverSearch {
    names: BTreeSet<String>,
    nodes: Vec<Node>,
}

/// What was found of the pods, by kind.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Leftovers(BTreeMap<&'static str, BTreeSet<String>>);

impl Leftovers {
    /// The count of a kind.
    pub fn count(&self, kind: &str) -> usize {
        self.0.get(kind).map_or(0, BTreeSet::len)
    }

    fn add(&mut self, kind: &'static str, what: String) {
        self.0.entry(kind).or_default().insert(what);
    }
}

impl LeftoverSearch {
    /// Reads the names of all pods of a namespace, all of which must run.
    pub fn of(namespace: &Namespace) -> LeftoverSearch {
        LeftoverSearch::of_pods(namespace, |_| true)
    }

    /// Reads the names of a namespace's pods with Sampan's runtime, all of which must run.
    pub fn of_functions(namespace: &Namespace) -> LeftoverSearch {
        LeftoverSearch::of_pods(namespace, |pod| pod["spec"]["runtimeClassName"] == "sampan")
    }

    fn of_pods(namespace: &Namespace, is_meant: impl Fn(&Value) -> bool) -> LeftoverSearch {
        let cluster = namespace.cluster();
        let mut names = BTreeSet::new();
        let pods = namespace.json(&["pods"]);
        let pods = pods["items"].as_array().expect("a list of pods");
        for pod in pods.iter().filter(|pod| is_meant(pod)) {
            let text = |value: &Value| value.as_str().expect("a pod that runs").to_owned();
            names.insert(text(&pod["metadata"]["uid"]));
            let node = cluster.node(&text(&pod["spec"]["nodeName"]));
            let pod = text(&pod["metadata"]["name"]);
            for container in cluster.containers(node, namespace.name(), Some(&pod)) {
                if let Some(specification) = node.specification(&container) {
                    names.extend(network_of(&specification));
                }
                let socket = node.shim_socket(&container);
                names.extend(socket.as_deref().and_then(last));
                names.insert(container);
            }
        }
        LeftoverSearch {
            names,
            nodes: cluster.nodes.clone(),
        }
    }

    /// Finds everything that carries one of the names now.
    pub fn find(&self) -> Leftovers {
        let mut found = Leftovers::default();
        self.find_processes(&mut found);
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("there is no /proc");
        for line in mounts.lines().filter(|line| self.is_named(line)) {
            found.add("mount", line.to_owned());
        }
        self.find_files("cgroup", Path::new("/sys/fs/cgroup"), 8, &mut found);
        self.find_files("file", Path::new("/var/lib/cni"), DEPTH, &mut found);
        self.find_files("file", Path::new("/var/log/containers"), 1, &mut found);
        self.find_files("file", Path::new("/var/log/pods"), 1, &mut found);
        for node in &self.nodes {
            let run = node.containerd.parent().expect("a folder of sockets");
            let state = node.kubelet_root.parent().expect("the node's folder");
            self.find_files("file", run, DEPTH, &mut found);
            self.find_files("file", state, DEPTH, &mut found);
            self.find_rules(node, &mut found);
        }
        found
    }

    /// Waits until nothing is left.
    pub fn wait_for_none(&self) {
        self.wait_until_gone(|_| true);
    }

    /// Waits until nothing of these kinds is left.
    pub fn wait_for_none_of(&self, kinds: &[&str]) {
        self.wait_until_gone(|kind| kinds.contains(&kind));
    }

    fn wait_until_gone(&self, is_meant: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        loop {
            let mut found = self.find();
            found.0.retain(|kind, _| is_meant(kind));
            if found == Leftovers::default() {
                return;
            }
            assert!(begun.elapsed() < TEST_TIMEOUT, "left behind: {found:#?}");
            thread::sleep(POLL_INTERVAL);
        }
    }

    fn is_named(&self, text: &str) -> bool {
        self.names.iter().any(|name| text.contains(name.as_str()))
    }

    fn find_processes(&self, found: &mut Leftovers) {
        let processes = fs::read_dir("/proc").expect("there is no /proc").flatten();
        let own = std::process::id().to_string();
        for process in processes {
            let number = process.file_name().to_string_lossy().into_owned();
            if number.parse::<u32>().is_err() || number == own {
                continue;
            }
            // Processes may end during the search.
            let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
            let words = String::from_utf8_lossy(&words).replace('\0', " ");
            let groups = fs::read_to_string(process.path().join("cgroup")).unwrap_or_default();
            if self.is_named(&words) || self.is_named(&groups) {
                found.add("process", format!("{number}: {words}"));
            }
        }
    }

    /// Searches the files and folders below one: by their own names, and by the content of leases
    /// of addresses.
    fn find_files(&self, kind: &'static str, folder: &Path, depth: usize, found: &mut Leftovers) {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if is_gone(&error) => return,
            Err(error) => panic!("{}: {error}", folder.display()),
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let Ok(metadata) = fs::symlink_metadata(&path) else {
                continue;
            };
            let name = entry.file_name().to_string_lossy().into_owned();
            if self.is_named(&name) {
                let kind = match folder.file_name().and_then(|name| name.to_str()) {
                    Some("netns") => "network namespace",
                    Some("s") => "socket",
                    _ => kind,
                };
                found.add(kind, path.display().to_string());
                continue;
            }
            if metadata.is_dir() && depth > 1 {
                self.find_files(kind, &path, depth - 1, found);
            } else if metadata.is_file() && path.parent().is_some_and(is_leases) {
                let text = fs::read_to_string(&path).unwrap_or_default();
                if self.is_named(&text) {
                    found.add("lease", path.display().to_string());
                }
            }
        }
    }

    fn find_rules(&self, node: &Node, found: &mut Leftovers) {
        let output = node.inside("iptables-save").output();
        let output = output.expect("failed to start iptables-save");
        assert!(output.status.success(), "iptables-save: {output:?}");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        for line in said.lines().filter(|line| self.is_named(line)) {
            found.add("rule", format!("{}: {line}", node.name));
        }
    }
}

/// A network has a folder of leases below the folder of all leases.
fn is_leases(folder: &Path) -> bool {
    folder
        .parent()
        .is_some_and(|above| above.ends_with("leases"))
}

/// The name of a container's network namespace.
fn network_of(specification: &Value) -> Option<String> {
    let namespaces = specification["linux"]["namespaces"].as_array()?;
    let mut networks = namespaces
        .iter()
        .filter(|namespace| namespace["type"] == "network");
    last(networks.next()?["path"].as_str()?).filter(|name| name.starts_with("cni-"))
}

fn last(path: &str) -> Option<String> {
    let name = Path::new(path).file_name()?;
    Some(name.to_string_lossy().into_owned())
}

/// Files may disappear during the search.
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    ) || error.raw_os_error() == Some(NO_DEVICE)
}

/// The error of reading a control group that has just been removed.
const NO_DEVICE: i32 = 19;
