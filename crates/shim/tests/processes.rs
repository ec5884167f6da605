//! Process namespaces of pods: sharing one, joining another container's, and the confinement of added programs.

mod support;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use support::bundle::{Bundle, drain};
use support::modules::LOOP;
use support::pod::{Pod, own_processes, processes_of};
use support::{Node, Shim, may_run, supervisors, until};

/// Writes the programs of all processes that it sees, without itself and its children.
const LIST: &str = "for p in /proc/[0-9]*; do \
    [ ${p#/proc/} = $$ ] || /bin/busybox tr '\\0' ' ' < $p/cmdline; echo; done";

/// What a program writes that looks around in this process namespace.
async fn listed(pod: &Pod, id: &str, processes: &Value) -> String {
    let bundle = pod.container(id, processes).busybox(&["sh", "-c", LIST]);
    let bundle = bundle.with_pipes().finish();
    let (stdout, _stderr) = (bundle.reader("stdout"), bundle.reader("stderr"));
    pod.run(&bundle).await;
    assert_eq!(pod.shim.ended(id).await, 0);
    drain(stdout)
}

#[tokio::test]
async fn containers_share_the_namespace_of_the_sandboxs_program() {
    if !may_run() {
        return;
    }
    let pod = Pod::new().await;
    assert!(pod.node.processes().is_empty(), "a pod has no process");
    let sleeper = pod
        .container("sleeper", &processes_of(pod.pid))
        .busybox(&["sleep", "8888"])
        .finish();
    pod.run(&sleeper).await;
    let shared = listed(&pod, "look-1", &processes_of(pod.pid)).await;
    assert!(shared.starts_with("/bin/busybox sleep 7777"), "{shared}");
    assert!(shared.contains("/bin/busybox sleep 8888"), "{shared}");
    let apart = listed(&pod, "look-2", &own_processes()).await;
    assert!(!apart.contains("sleep"), "{apart}");
    // Its neighbours live on.
    pod.stop("sleeper").await;
    let without = listed(&pod, "look-3", &processes_of(pod.pid)).await;
    assert!(without.contains("sleep 7777"), "{without}");
    assert!(!without.contains("sleep 8888"), "{without}");
    pod.end().await;
}

#[tokio::test]
async fn a_function_and_the_container_that_debugs_it_see_each_other() {
    if !may_run() {
        return;
    }
    let pod = Pod::new().await;
    let shared = pod
        .container("f", &processes_of(pod.pid))
        .module(LOOP)
        .finish();
    pod.run(&shared).await;
    let seen = listed(&pod, "look-4", &processes_of(pod.pid)).await;
    assert!(seen.contains("sleep 7777"), "{seen}");
    assert!(seen.contains("__create"), "{seen}");
    pod.stop("f").await;
    // The target has a namespace of its own, as the kubelet's default is.
    let apart = pod.container("g", &own_processes()).module(LOOP).finish();
    let target = pod.run(&apart).await;
    let seen = listed(&pod, "look-5", &processes_of(target)).await;
    assert!(!seen.contains("sleep 7777"), "{seen}");
    assert!(seen.contains("__create"), "{seen}");
    pod.stop("g").await;
    pod.end().await;
}

#[tokio::test]
async fn a_pod_whose_first_process_ends_has_ended() {
    if !may_run() {
        return;
    }
    let pod = Pod::new().await;
    let sleeper = pod
        .container("c", &processes_of(pod.pid))
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
    let pod = Pod::new().await;
    let container = pod
        .container("c", &processes_of(pod.pid))
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
    let shim = node.run(&bundle).await;
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
    shim.stop("c", 9).await;
    shim.shut_down().await;
    node.leaves_nothing().await;
}

/// Runs a program in a container, and returns its code and what it wrote.
async fn run_added(shim: &Shim, bundle: &Bundle, name: &str, spec: &Value) -> (u32, String) {
    let pipe = bundle.make_pipe(name);
    let stdout = bundle.reader(name);
    shim.add("c", name, [pipe.as_str(), ""], spec)
        .await
        .expect("added");
    shim.start_added("c", name).await.expect("started");
    let ended = shim.wait_added("c", name).await.expect("ended");
    (ended.exit_status, drain(stdout))
}
