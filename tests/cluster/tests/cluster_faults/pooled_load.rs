//! Tests nine pooled functions under a load at a fixed rate, while all that serves them is replaced, and at last killed.

use std::fs;
use std::net::SocketAddr;

use k8s_openapi::api::apps::v1::Deployment;
use sampan_cluster_tests::pooled::{
    self, POOL, configure, in_pods, wait_until_gone, wait_until_placed,
};
use sampan_cluster_tests::{
    Cluster, Kill, Load, Namespace, OpenLoad, Shell, Target, guest, push, signal, until,
};

use crate::NODES_LOCK;

/// The function that leaves the pool and returns.
const SWINGING: &str = "swinging";

/// The function that gets a new version.
const UPDATED: &str = "updated";

/// All functions of the load.
const FUNCTIONS: [&str; 9] = [
    SWINGING, UPDATED, "steady-1", "steady-2", "steady-3", "steady-4", "steady-5", "steady-6",
    "steady-7",
];

/// The requests of the load in a second, to all functions together.
const RATE: u32 = 200;

/// The fewest requests of the load: those of a minute.
const LEAST: u64 = 60 * RATE as u64;

/// The pods of the pool. Of two, one goes on when the other is killed.
const PODS: usize = 2;

/// The path of the load: its answer has the function's environment.
const PATH: &str = "/variables";

/// The function's part of the load is less than `moveBack`. A single client of `TURNS` is more than
/// `moveOut`.
const SWINGS: &str = "  placement: Auto
  auto: { moveOut: 200m, moveBack: 100m, window: 10s, quiet: 20s }
";

/// A request that turns in a loop this many times, for some 25 milliseconds.
const TURNS: &str = "/turns?50000000";

/// Nine functions of one pool with two pods get 200 requests a second, also while others are not
/// answered. Meanwhile the pool rolls out, the operator is killed, a function gets a new version, a
/// function with `Auto` leaves the pool and returns, and every containerd restarts. Each request
/// gets the status 200 and the body of its own function, and no connection is refused. At last the
/// process of one of the pool's pods is killed. Then at most those requests are lost that were in
/// flight, and connections are refused only after that.
#[tokio::test(flavor = "multi_thread")]
async fn nine_pooled_functions_lose_no_request_to_changes_and_only_those_in_flight_to_a_kill() {
    let _lock = NODES_LOCK.lock().await;
    let namespace = Namespace::create("pooled-load").await;
    let cluster = namespace.cluster().clone();
    configure(&namespace, &format!("{{ replicas: {{ min: {PODS} }} }}"));
    let image = push(&cluster, &guest("probe"), "pooled-load/probe");
    for name in FUNCTIONS {
        deploy(&namespace, name, &image, 1);
    }
    for name in FUNCTIONS {
        wait_until_placed(&namespace, name, "Pooled");
        namespace.wait_until_reachable(name);
    }
    pooled::wait_until_ready(&namespace, PODS);
    let shell = Shell::start(&namespace, None).await;
    let targets = FUNCTIONS.map(|name| target(&namespace, name)).to_vec();
    let mut load = OpenLoad::start(&cluster.nodes[0], targets, RATE);
    load.wait_for_answers().await;

    load.enter("the pool rolls out");
    roll_out(&namespace);
    load.wait_for_answers().await;
    load.enter("the operator is killed");
    kill_operator(&cluster);
    load.wait_for_answers().await;
    load.enter("a function gets a new version, which the new operator applies");
    deploy(&namespace, UPDATED, &another_version(&cluster), 2);
    wait_until_placed(&namespace, UPDATED, "Pooled");
    load.wait_for_answers().await;
    load.enter("a function leaves the pool under its own load");
    let own = Load::start(&shell, SWINGING, TURNS).await;
    wait_until_placed(&namespace, SWINGING, "Pod");
    // It leaves the pool when it has drained there.
    let port = ["get", "wfn", SWINGING, "-o", "jsonpath={.status.poolPort}"];
    namespace.until(&port, str::is_empty);
    let own = own.stop().await;
    load.wait_for_answers().await;
    load.enter("that function returns to the pool, because it is quiet");
    wait_until_placed(&namespace, SWINGING, "Pooled");
    wait_until_gone::<Deployment>(&namespace, SWINGING).await;
    wait_until_no_pod_of(&namespace, SWINGING);
    load.wait_for_answers().await;
    for node in 1..=cluster.nodes.len() {
        let kill = node % 2 == 1;
        load.enter(&format!(
            "containerd of node {node} restarts, by a kill: {kill}"
        ));
        cluster.restart_containerd(node, kill);
        load.wait_for_answers().await;
    }
    load.wait_for_total(LEAST).await;
    load.enter("a pod of the pool is killed");
    let kill = kill_a_pod(&namespace, &load).await;
    load.wait_for_answers().await;

    let report = load.stop();
    report.check(Some(&kill));
    let (in_flight, lost) = report.in_flight(&kill);
    eprintln!(
        "{} requests; {lost} of {in_flight} in flight at the kill were lost",
        report.exchanges.len()
    );
    assert_eq!(own.bad, 0, "{own:?}");
    let answer = shell.get(UPDATED, PATH).await;
    assert!(answer.text().contains("(\"VERSION\", \"2\")"), "{answer:?}");
    namespace.delete().await;
}

/// Deploys a version of a function with its name in its environment.
fn deploy(namespace: &Namespace, name: &str, image: &str, version: u32) {
    let placement = match name {
        SWINGING => SWINGS,
        _ => pooled::POOLED,
    };
    let env = format!(
        "  env: [{{ name: FUNCTION, value: {name} }}, {{ name: VERSION, value: '{version}' }}]\n"
    );
    let image = in_pods(namespace.cluster(), image);
    namespace.deploy(name, &image, &format!("{placement}{env}"));
}

fn target(namespace: &Namespace, name: &str) -> Target {
    let address = namespace.service_address(name).parse();
    Target {
        name: name.to_owned(),
        address: SocketAddr::new(address.expect("a Service has an address"), 80),
        path: PATH,
        expected: format!("(\"FUNCTION\", {name:?})"),
    }
}

/// The same component with another digest, so that the pool pulls and compiles it.
fn another_version(cluster: &Cluster) -> String {
    /// A custom section, which means nothing: its kind, its size, and its name with a length.
    const SECTION: &[u8] = b"\x00\x08\x07version";
    let probe = fs::read(guest("probe")).expect("failed to read a component");
    let folder = tempfile::tempdir().expect("failed to make a folder");
    let file = folder.path().join("probe.wasm");
    fs::write(&file, [&probe, SECTION].concat()).expect("failed to write a component");
    push(cluster, &file, "pooled-load/another")
}

/// Replaces the pods of the pool, and waits until the former ones are gone.
fn roll_out(namespace: &Namespace) {
    let kubectl = namespace.kubectl();
    let deployment = format!("deployment/{POOL}");
    kubectl.output(&["rollout", "restart", &deployment]);
    kubectl.output(&["rollout", "status", &deployment, "--timeout=300s"]);
    let pods = ["get", "pods", "-l", "sampan.dev/pool", "-o", "name"];
    namespace.until(&pods, |said| said.lines().count() == PODS);
}

fn kill_operator(cluster: &Cluster) {
    let system = cluster.kubectl().within("sampan-system");
    let operator = ["pod", "-l", "app.kubernetes.io/component=operator"];
    system.output(&[&["delete", "--grace-period=0", "--force"][..], &operator].concat());
    let available = ["rollout", "status", "deployment/sampan-operator"];
    system.output(&[&available[..], &["--timeout=120s"]].concat());
}

fn wait_until_no_pod_of(namespace: &Namespace, name: &str) {
    let selector = format!("sampan.dev/function={name}");
    let pods = ["get", "pods", "-l", &selector, "-o", "name"];
    namespace.until(&pods, |said| said.trim().is_empty());
}

/// Kills the process of one of the pool's pods, and waits until its container runs again.
async fn kill_a_pod(namespace: &Namespace, load: &OpenLoad) -> Kill {
    let pod = pooled::pods(namespace).await.remove(0);
    let process = pod.server();
    let sent = load.elapsed();
    signal(&process.to_string(), "-KILL");
    until("the process of the pool is gone", || {
        !pod.processes().contains(&process)
    })
    .await;
    let gone = load.elapsed();
    namespace.wait_for_restart(&pod.name).await;
    Kill { sent, gone }
}
