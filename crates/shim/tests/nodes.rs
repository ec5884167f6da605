//! Nodes of version 2 of control groups that differ from most: with a mount of version 1 beside it, and in a container,
//! as kind's nodes are. They run in the emulated machine of `cargo xtask test vm`.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use containerd_shim::api::StatsRequest;
use containerd_shim::protos::ttrpc::context::Context;
use serde_json::json;
use support::bundle::Bundle;
use support::groups::{ROOT, is_version_2};
use support::modules::LOOP;
use support::{Node, Shim, may_run, until};

const LIMIT: u64 = 64 << 20;

/// Whether this machine has version 2.
fn has_version_2() -> bool {
    let has = is_version_2();
    if !has {
        eprintln!("skipped: this machine has control groups of version 1");
    }
    has
}

fn run(program: &str, arguments: &[&str]) {
    let ended = Command::new(program).args(arguments).status();
    assert!(
        ended.expect("it starts").success(),
        "{program} {arguments:?}"
    );
}

fn limited(node: &Node) -> Bundle {
    let resources = json!({ "memory": { "limit": LIMIT } });
    node.bundle("c").module(LOOP).resources(resources).finish()
}

/// Starts a container, and checks that its group is where it is expected, with its limit.
async fn start(node: &Node, bundle: &Bundle, group: &Path) -> Shim {
    let shim = node.run(bundle).await;
    let limit = fs::read_to_string(group.join("memory.max")).expect("a limit");
    assert_eq!(limit.trim(), LIMIT.to_string());
    let request = StatsRequest {
        id: "c".to_owned(),
        ..StatsRequest::default()
    };
    let stats = shim.client().stats(Context::default(), &request).await;
    let kind = stats.expect("statistics").stats.type_url.clone();
    assert!(kind.ends_with("cgroups.v2.Metrics"), "{kind}");
    shim
}

async fn end(shim: Shim, group: &Path) {
    assert_eq!(shim.stop("c", 9).await, 137);
    shim.shut_down().await;
    assert!(!group.exists(), "{} is left", group.display());
}

/// A hierarchy of version 1, as VPN and accounting tools mount one.
struct StrayMount(PathBuf);

impl StrayMount {
    fn make() -> Self {
        let path = PathBuf::from("/run/stray-cgroup");
        fs::create_dir_all(&path).expect("a folder");
        let target = path.to_str().expect("UTF-8");
        run(
            "mount",
            &["-t", "cgroup", "-o", "net_cls", "cgroup", target],
        );
        Self(path)
    }
}

impl Drop for StrayMount {
    fn drop(&mut self) {
        run("umount", &[self.0.to_str().expect("UTF-8")]);
    }
}

#[tokio::test]
async fn a_mount_of_version_1_beside_version_2_changes_nothing() {
    if !may_run() || !has_version_2() {
        return;
    }
    if std::env::var_os("SAMPAN_TEST_NODE").is_none() {
        eprintln!("skipped: SAMPAN_TEST_NODE does not say that this machine may be changed");
        return;
    }
    let _mount = StrayMount::make();
    let node = Node::new().await;
    let group = Path::new(ROOT).join(node.groups().folder_of("c"));
    let bundle = limited(&node);
    let shim = start(&node, &bundle, &group).await;
    end(shim, &group).await;
    node.leaves_nothing().await;
}

/// A container in which containerd runs, with a namespace of control groups of its own, as Docker makes it for kind.
struct Outer {
    group: PathBuf,
    process: Child,
}

impl Outer {
    /// Its first process keeps the namespaces.
    fn start(group: PathBuf) -> Self {
        let inside = "mount -t tmpfs tmpfs /sys/fs && mkdir /sys/fs/cgroup && \
                      mount -t cgroup2 cgroup /sys/fs/cgroup && mkdir /sys/fs/cgroup/init && \
                      echo $$ > /sys/fs/cgroup/init/cgroup.procs && exec sleep infinity";
        let script = "mkdir -p \"$1\" && echo +memory > \"$1/../cgroup.subtree_control\" && \
                      echo $$ > \"$1/cgroup.procs\" && \
                      exec unshare --cgroup --mount sh -c \"$2\"";
        let process = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(&group)
            .arg(inside)
            .stdin(Stdio::null())
            .spawn()
            .expect("a shell");
        Self { group, process }
    }

    /// Has a command run in it.
    fn enter(&self) -> Vec<String> {
        let script = format!(
            "echo $$ > {}/init/cgroup.procs && exec nsenter --target {} --cgroup --mount -- \"$@\"",
            self.group.display(),
            self.process.id()
        );
        ["sh", "-c", &script, "sh"].map(str::to_owned).to_vec()
    }

    async fn is_ready(&mut self) {
        let processes = self.group.join("init/cgroup.procs");
        let process = &mut self.process;
        until("the outer container runs", || {
            let ended = process.try_wait().expect("a process");
            assert!(ended.is_none(), "the outer container ended: {ended:?}");
            fs::read_to_string(&processes).is_ok_and(|text| !text.is_empty())
        })
        .await;
    }
}

impl Drop for Outer {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn a_node_in_a_container_makes_groups_below_its_own() {
    if !may_run() || !has_version_2() {
        return;
    }
    let node = Node::new().await;
    if node.groups().is_systemd() {
        eprintln!("skipped: the systemd of this machine is not in the container");
        return;
    }
    let outermost = Path::new(ROOT).join(node.groups().slice());
    let mut outer = Outer::start(outermost.join("node"));
    outer.is_ready().await;
    let words = outer.enter();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let node = node.below(&words);
    let group = outer.group.join(node.groups().folder_of("c"));
    let bundle = limited(&node);
    let shim = start(&node, &bundle, &group).await;
    end(shim, &group).await;
    let init = outer.group.join("init/cgroup.procs");
    // The supervisor ends behind its last answer.
    let own = outer.process.id().to_string();
    until("no supervisor", || {
        fs::read_to_string(&init).is_ok_and(|text| text.trim() == own)
    })
    .await;
    let folders = [
        group.parent().expect("a group").to_owned(),
        outer.group.join("init"),
        outer.group.clone(),
    ];
    drop(outer);
    for folder in folders {
        fs::remove_dir(&folder).expect("the group is empty");
    }
    node.leaves_nothing().await;
}
