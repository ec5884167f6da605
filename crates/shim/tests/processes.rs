//! Process namespaces of pods: sharing one, joining another container's, and the confinement of added programs.

mod support;

use containerd_shim::api::{ExecProcessRequest, StartRequest, WaitRequest};
use containerd_shim::protos::protobuf::well_known_types::any::Any;
use containerd_shim::protos::ttrpc::context::Context;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use support::bundle::{Bundle, drain};
use support::network::Network;
use support::{LOOP, Node, Shim, may_run, supervisors, until};

const KIND: &str = "io.kubernetes.cri.container-type";
const OF: &str = "io.kubernetes.cri.sandbox-id";
/// Writes the programs of all processes that it sees, without itself and its children.
const LIST: &str = "for p in /proc/[0-9]*; do \
    [ ${p#/proc/} = $$ ] || /bin/busybox tr '\\0' ' ' < $p/cmdline; echo; done";

/// A pod that runs, and how its containers are made.
struct Pod {
    node: Node,
    network: Network,
    sandbox: Bundle,
    shim: Shim,
    pid: u32,
}

impl Pod {
    async fn start() -> Self {
        let (node, network) = (Node::new().await, Network::new());
        let sandbox = node
            .bundle("pod")
            .annotate(KIND, "sandbox")
            .annotate(OF, "pod")
            .network(network.path())
            .busybox(&["sleep", "7777"])
            .finish();
        let shim = node.start(&sandbox).await;
        let pid = shim.create(&sandbox).await.expect("created").pid;
        shim.start_task("pod").await.expect("started");
        Self {
            node,
            network,
            sandbox,
            shim,
            pid,
        }
    }

    /// A container in the process namespace of a process, or one with its own.
    fn bundle(&self, id: &str, processes: Option<u32>) -> Bundle {
        let own = json!({ "type": "pid" });
        let of = |pid: u32| json!({ "type": "pid", "path": format!("/proc/{pid}/ns/pid") });
        self.node
            .bundle(id)
            .annotate(KIND, "container")
            .annotate(OF, "pod")
            .network(self.network.path())
            .set("/linux/namespaces/0", processes.map_or(own, of))
    }

    /// Runs a container, and returns its first process.
    async fn run(&self, bundle: &Bundle) -> u32 {
        self.node.start(bundle).await;
        self.shim.create(bundle).await.expect("created");
        self.shim.start_task(bundle.id()).await.expect("started")
    }

    /// What a program writes that looks around.
    async fn listed(&self, id: &str, processes: Option<u32>) -> String {
        let bundle = self
            .bundle(id, processes)
            .busybox(&["sh", "-c", LIST])
            .with_pipes()
            .finish();
        let (stdout, _stderr) = (bundle.reader("stdout"), bundle.reader("stderr"));
        self.run(&bundle).await;
        assert_eq!(self.shim.wait(id).await.expect("ended").exit_status, 0);
        self.shim.delete(id).await.expect("deleted");
        drain(stdout)
    }

    async fn remove(&self, id: &str) {
        self.shim.kill(id, 9).await.expect("killed");
        self.shim.wait(id).await.expect("ended");
        self.shim.delete(id).await.expect("deleted");
    }

    async fn end(self) {
        self.remove("pod").await;
        self.shim.shut_down().await;
        drop(self.shim);
        self.node.leaves_nothing().await;
    }
}

#[tokio::test]
async fn containers_share_the_namespace_of_the_sandboxs_program() {
    if !may_run() {
        return;
    }
    let pod = Pod::start().await;
    assert!(pod.node.processes().is_empty(), "a pod has no process");
    let sleeper = pod
        .bundle("sleeper", Some(pod.pid))
        .busybox(&["sleep", "8888"])
        .finish();
    pod.run(&sleeper).await;
    let shared = pod.listed("look-1", Some(pod.pid)).await;
    assert!(shared.starts_with("/bin/busybox sleep 7777"), "{shared}");
    assert!(shared.contains("/bin/busybox sleep 8888"), "{shared}");
    let apart = pod.listed("look-2", None).await;
    assert!(!apart.contains("sleep"), "{apart}");
    // Its neighbours live on.
    pod.remove("sleeper").await;
    let without = pod.listed("look-3", Some(pod.pid)).await;
    assert!(without.contains("sleep 7777"), "{without}");
    assert!(!without.contains("sleep 8888"), "{without}");
    pod.end().await;
}

#[tokio::test]
async fn a_function_and_the_container_that_debugs_it_see_each_other() {
    if !may_run() {
        return;
    }
    let pod = Pod::start().await;
    let shared = pod.bundle("f", Some(pod.pid)).module(LOOP).finish();
    pod.run(&shared).await;
    let listed = pod.listed("look-4", Some(pod.pid)).await;
    assert!(listed.contains("sleep 7777"), "{listed}");
    assert!(listed.contains("__create"), "{listed}");
    pod.remove("f").await;
    // The target has a namespace of its own, as the kubelet's default is.
    let apart = pod.bundle("g", None).module(LOOP).finish();
    let target = pod.run(&apart).await;
    let listed = pod.listed("look-5", Some(target)).await;
    assert!(!listed.contains("sleep 7777"), "{listed}");
    assert!(listed.contains("__create"), "{listed}");
    pod.remove("g").await;
    pod.end().await;
}

#[tokio::test]
async fn a_pod_whose_first_process_ends_has_ended() {
    if !may_run() {
        return;
    }
    let pod = Pod::start().await;
    let sleeper = pod
        .bundle("c", Some(pod.pid))
        .busybox(&["sleep", "8888"])
        .finish();
    let container = pod.run(&sleeper).await.to_string();
    let processes = pod.node.processes().into_iter();
    let mut processes = processes.filter(|pid| *pid != container);
    let first = processes.next();
    let first = first.and_then(|pid| Pid::from_raw(pid.parse().ok()?));
    kill_process(first.expect("the sandbox's program"), Signal::KILL).expect("killed");
    let ended = pod.shim.wait("pod").await.expect("ended");
    assert_eq!(ended.exit_status, 137);
    let ended = pod.shim.wait("c").await.expect("ended");
    assert_eq!(ended.exit_status, 137);
    for id in ["c", "pod"] {
        pod.shim.delete(id).await.expect("deleted");
    }
    pod.shim.shut_down().await;
    drop(pod.shim);
    pod.node.leaves_nothing().await;
}

#[tokio::test]
async fn what_a_killed_supervisor_leaves_of_a_shared_namespace_is_taken_apart() {
    if !may_run() {
        return;
    }
    let pod = Pod::start().await;
    let container = pod
        .bundle("c", Some(pod.pid))
        .busybox(&["sleep", "8888"])
        .finish();
    pod.run(&container).await;
    for supervisor in supervisors(pod.node.name()) {
        let supervisor = Pid::from_raw(supervisor).expect("a process");
        kill_process(supervisor, Signal::KILL).expect("killed");
    }
    for bundle in [&container, &pod.sandbox] {
        let output = pod.node.delete(bundle);
        assert!(output.status.success(), "{output:?}");
    }
    let Pod { node, shim, .. } = pod;
    until("no processes", || node.processes().is_empty()).await;
    drop(shim);
    node.leaves_nothing().await;
}

#[tokio::test]
async fn a_program_that_is_added_has_the_containers_seccomp_profile() {
    if !may_run() {
        return;
    }
    let node = Node::new().await;
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["sethostname"], "action": "SCMP_ACT_ERRNO" }],
    });
    let bundle = node
        .bundle("c")
        .busybox(&["sleep", "8888"])
        .seccomp(profile)
        .finish();
    let shim = node.start(&bundle).await;
    shim.create(&bundle).await.expect("created");
    shim.start_task("c").await.expect("started");
    let all = json!(["CAP_SYS_ADMIN", "CAP_CHOWN"]);
    let few = json!(["CAP_CHOWN"]);
    // The user, whether it may raise its privileges, what it may do, and what is then written.
    let cases = [
        (0, false, &all, "2 1 CapEff:\t0000000000200001\n"),
        (0, false, &few, "2 1 CapEff:\t0000000000000001\n"),
        (0, true, &few, "2 1 CapEff:\t0000000000000001\n"),
        (7, false, &few, "2 1 CapEff:\t0000000000000000\n"),
        (7, true, &few, "2 1 CapEff:\t0000000000000000\n"),
    ];
    for (index, (user, confined, capabilities, expected)) in cases.into_iter().enumerate() {
        let spec = json!({
            "args": ["/bin/busybox", "sh", "-c",
                "/bin/busybox hostname other 2> /dev/null; \
                 [ $(/bin/busybox hostname) = other ] && exit 9; \
                 f=$(/bin/busybox grep Seccomp: /proc/self/status); \
                 n=$(/bin/busybox grep Seccomp_filters: /proc/self/status); \
                 c=$(/bin/busybox grep CapEff: /proc/self/status); \
                 printf '%s %s %s\\n' ${f##*[!0-9]} ${n##*[!0-9]} \"$c\""],
            "cwd": "/",
            "env": ["PATH=/bin"],
            "user": { "uid": user, "gid": user },
            "noNewPrivileges": confined,
            "capabilities": {
                "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
            },
        });
        let said = run_added(&shim, &bundle, &format!("e{index}"), &spec).await;
        assert_eq!(said, (0, expected.to_owned()), "{spec}");
    }
    shim.kill("c", 9).await.expect("killed");
    shim.wait("c").await.expect("ended");
    shim.delete("c").await.expect("deleted");
    shim.shut_down().await;
    node.leaves_nothing().await;
}

/// Runs a program in a container, and returns its code and what it wrote.
async fn run_added(shim: &Shim, bundle: &Bundle, name: &str, spec: &Value) -> (u32, String) {
    let pipe = bundle.make_pipe(name);
    let stdout = bundle.reader(name);
    let add = ExecProcessRequest {
        id: "c".to_owned(),
        exec_id: name.to_owned(),
        stdout: pipe,
        spec: Some(Any {
            type_url: "types.containerd.io/opencontainers/runtime-spec/1/Process".to_owned(),
            value: serde_json::to_vec(spec).expect("JSON"),
            ..Any::default()
        })
        .into(),
        ..ExecProcessRequest::default()
    };
    let start = StartRequest {
        id: "c".to_owned(),
        exec_id: name.to_owned(),
        ..StartRequest::default()
    };
    let wait = WaitRequest {
        id: "c".to_owned(),
        exec_id: name.to_owned(),
        ..WaitRequest::default()
    };
    let (client, context) = (shim.client(), Context::default);
    client.exec(context(), &add).await.expect("added");
    client.start(context(), &start).await.expect("started");
    let ended = client.wait(context(), &wait).await.expect("ended");
    (ended.exit_status, drain(stdout))
}
