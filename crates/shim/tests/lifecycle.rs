//! The order of calls: what may be repeated, what is refused, and ordinary programs beside functions.

mod support;

use serde_json::json;
use support::added::any;
use support::bundle::drain;
use support::modules::LOOP;
use support::pod::{KIND, SANDBOX};
use support::unanswered::Departure;
use support::{Node, code, create_request, may_run, message};

use containerd_shim::api::{
    CloseIORequest, DeleteRequest, KillRequest, PauseRequest, PidsRequest, ResumeRequest,
    StartRequest, StatsRequest, StatsResponse, Status, UpdateTaskRequest,
};
use containerd_shim::protos::cgroups::metrics::Metrics;
use containerd_shim::protos::cgroups_v2::metrics::Metrics as Metrics2;
use containerd_shim::protos::protobuf::Message as _;
use containerd_shim::protos::ttrpc::Code;
use containerd_shim::protos::ttrpc::context::Context;

/// The memory that a container may use, with either version of control groups.
fn memory_limit(stats: &StatsResponse) -> u64 {
    let bytes = &stats.stats.value;
    if stats.stats.type_url.contains("v1") {
        let metrics = Metrics::parse_from_bytes(bytes).expect("metrics");
        metrics.memory.usage.limit
    } else {
        let metrics = Metrics2::parse_from_bytes(bytes).expect("metrics");
        metrics.memory.usage_limit
    }
}

#[tokio::test]
async fn scenario_20_calls_may_be_repeated_and_come_at_the_wrong_time() {
    if !may_run() {
        return;
    }
    let node = Node::new().await;
    let bundle = node.bundle("c").module(LOOP).finish();
    let shim = node.start(&bundle).await;
    assert_eq!(code(&shim.start_task("c").await), Some(Code::NOT_FOUND));
    assert_eq!(code(&shim.kill("c", 9).await), Some(Code::NOT_FOUND));
    assert_eq!(code(&shim.delete("c").await), Some(Code::NOT_FOUND));
    assert_eq!(code(&shim.wait("c").await), Some(Code::NOT_FOUND));
    shim.create(&bundle).await.expect("created");
    assert_eq!(
        code(&shim.create(&bundle).await),
        Some(Code::ALREADY_EXISTS)
    );
    let state = shim.state("c").await.expect("a state");
    assert_eq!(state.status.enum_value(), Ok(Status::CREATED));
    shim.start_task("c").await.expect("started");
    let again = shim.start_task("c").await;
    assert_eq!(code(&again), Some(Code::FAILED_PRECONDITION));
    assert_eq!(
        code(&shim.delete("c").await),
        Some(Code::FAILED_PRECONDITION)
    );
    let odd = shim.kill("c", 1000).await;
    assert_eq!(code(&odd), Some(Code::INVALID_ARGUMENT));
    shim.kill("c", 9).await.expect("killed");
    assert_eq!(shim.wait("c").await.expect("ended").exit_status, 137);
    assert_eq!(shim.wait("c").await.expect("still ended").exit_status, 137);
    assert_eq!(code(&shim.kill("c", 9).await), Some(Code::NOT_FOUND));
    let state = shim.state("c").await.expect("a state");
    assert_eq!(state.status.enum_value(), Ok(Status::STOPPED));
    assert_eq!(state.exit_status, 137);
    assert_eq!(shim.delete("c").await.expect("deleted").exit_status, 137);
    assert_eq!(code(&shim.delete("c").await), Some(Code::NOT_FOUND));
    shim.shut_down().await;
    node.leaves_nothing().await;
}

#[tokio::test]
async fn what_was_never_started_is_deleted() {
    if !may_run() {
        return;
    }
    let node = Node::new().await;
    let bundle = node.bundle("c").module(LOOP).finish();
    let shim = node.start(&bundle).await;
    shim.create(&bundle).await.expect("created");
    assert_eq!(shim.delete("c").await.expect("deleted").exit_status, 137);
    shim.shut_down().await;
    node.leaves_nothing().await;
}

/// containerd was ended while it made the task, did not find it afterwards, and has removed its bundle.
#[tokio::test]
async fn scenario_15_a_task_that_nobody_knows_of_keeps_no_supervisor() {
    if !may_run() {
        return;
    }
    let node = Node::new().await;
    let bundle = node.bundle("c").module(LOOP).finish();
    let shim = node.start(&bundle).await;
    shim.create(&bundle).await.expect("created");
    std::fs::remove_dir_all(bundle.path()).expect("the bundle is removed");
    shim.shut_down().await;
    drop(shim);
    node.leaves_nothing().await;
}

#[tokio::test]
async fn scenario_15_a_call_whose_answer_is_not_awaited_runs_to_its_end() {
    if !may_run() {
        return;
    }
    for departure in [Departure::Close, Departure::Deadline] {
        let node = Node::new().await;
        let bundle = node.bundle("c").module(LOOP).finish();
        let shim = node.start(&bundle).await;
        let mut connections = vec![shim.send("Create", &create_request(&bundle), departure)];
        shim.until_status("c", Some(Status::CREATED)).await;
        let start = StartRequest {
            id: "c".to_owned(),
            ..StartRequest::default()
        };
        connections.push(shim.send("Start", &start, departure));
        shim.until_status("c", Some(Status::RUNNING)).await;
        shim.kill("c", 9).await.expect("killed");
        assert_eq!(shim.wait("c").await.expect("ended").exit_status, 137);
        let delete = DeleteRequest {
            id: "c".to_owned(),
            ..DeleteRequest::default()
        };
        connections.push(shim.send("Delete", &delete, departure));
        shim.until_status("c", None).await;
        drop(connections);
        shim.shut_down().await;
        node.leaves_nothing().await;
    }
}

#[tokio::test]
async fn an_ordinary_program_runs_with_its_streams_and_others_beside_it() {
    if !may_run() {
        return;
    }
    let node = Node::new().await;
    let bundle = node
        .bundle("elf")
        .busybox(&[
            "sh",
            "-c",
            "echo out; echo err >&2; exec /bin/busybox sleep 1000",
        ])
        .with_pipes()
        .finish();
    let (stdout, stderr) = (bundle.reader("stdout"), bundle.reader("stderr"));
    let shim = node.run(&bundle).await;
    let process = |args: &[&str]| json!({ "args": args, "cwd": "/", "env": ["PATH=/bin"], "user": { "uid": 0, "gid": 0 } });
    let no_streams = ["", ""];
    let seven = process(&["/bin/busybox", "sh", "-c", "exit 7"]);
    let added = shim.add("elf", "seven", no_streams, &seven).await;
    added.expect("added");
    let twice = shim.add("elf", "seven", no_streams, &seven).await;
    assert_eq!(code(&twice), Some(Code::ALREADY_EXISTS));
    shim.start_added("elf", "seven").await.expect("started");
    let ended = shim.wait_added("elf", "seven").await.expect("ended");
    assert_eq!(ended.exit_status, 7);
    let missing = process(&["/bin/none"]);
    let added = shim.add("elf", "missing", no_streams, &missing).await;
    added.expect("added");
    let error = message(shim.start_added("elf", "missing").await);
    assert!(error.contains("/bin/none"), "{error}");

    let pids = PidsRequest {
        id: "elf".to_owned(),
        ..PidsRequest::default()
    };
    // What could not be run is reaped behind the answer.
    let begun = std::time::Instant::now();
    loop {
        let found = shim.client().pids(Context::default(), &pids).await;
        let found = found.expect("processes");
        if found.processes.len() == 1 {
            break;
        }
        assert!(begun.elapsed() < support::WAIT_TIMEOUT, "{found:?}");
        tokio::task::yield_now().await;
    }

    shim.kill("elf", 9).await.expect("killed");
    assert_eq!(shim.wait("elf").await.expect("ended").exit_status, 137);
    assert_eq!(drain(stdout), "out\n");
    assert_eq!(drain(stderr), "err\n");
    shim.delete("elf").await.expect("deleted");
    shim.shut_down().await;
    node.leaves_nothing().await;
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    if !may_run() {
        return;
    }
    let node = Node::new().await;
    let bundle = node
        .bundle("none")
        .set("/process/args", json!(["/bin/none"]))
        .finish();
    let shim = node.start(&bundle).await;
    let error = message(shim.create(&bundle).await);
    assert!(error.contains("/bin/none"), "{error}");
    shim.shut_down().await;
    node.leaves_nothing().await;
}

#[tokio::test]
async fn nothing_is_run_inside_a_function() {
    if !may_run() {
        return;
    }
    let node = Node::new().await;
    let bundle = node.bundle("c").module(LOOP).finish();
    let shim = node.run(&bundle).await;
    let process = json!({ "args": ["sh"], "cwd": "/" });
    let refused = shim.add("c", "e", ["", ""], &process).await;
    assert_eq!(code(&refused), Some(Code::UNIMPLEMENTED));
    let kill = KillRequest {
        id: "c".to_owned(),
        signal: 9,
        all: true,
        ..KillRequest::default()
    };
    shim.client()
        .kill(Context::default(), &kill)
        .await
        .expect("killed");
    shim.ended("c").await;
    shim.shut_down().await;
    node.leaves_nothing().await;
}

#[tokio::test]
async fn a_container_is_measured_paused_and_given_other_limits() {
    if !may_run() {
        return;
    }
    let node = Node::new().await;
    let bundle = node.bundle("c").module(LOOP).finish();
    let shim = node.run(&bundle).await;
    let client = shim.client();
    let context = Context::default;
    let id = || "c".to_owned();
    let request = StatsRequest {
        id: id(),
        ..StatsRequest::default()
    };
    let stats = client.stats(context(), &request).await.expect("stats");
    assert!(stats.stats.type_url.ends_with("Metrics"), "{stats:?}");
    if stats.stats.type_url.contains("v1") {
        let metrics = Metrics::parse_from_bytes(&stats.stats.value).expect("metrics");
        assert!(metrics.memory.usage.usage > 0, "{metrics:?}");
        assert!(metrics.cpu.usage.total > 0, "{metrics:?}");
    }
    // containerd takes more than that for no limit, and reports to the kubelet what is left of less.
    let unlimited = 1 << 62;
    assert!(memory_limit(&stats) > unlimited, "{stats:?}");
    let pause = PauseRequest {
        id: id(),
        ..PauseRequest::default()
    };
    client.pause(context(), &pause).await.expect("paused");
    let state = shim.state("c").await.expect("a state");
    assert_eq!(state.status.enum_value(), Ok(Status::PAUSED));
    let resume = ResumeRequest {
        id: id(),
        ..ResumeRequest::default()
    };
    client.resume(context(), &resume).await.expect("resumed");
    let update = UpdateTaskRequest {
        id: id(),
        resources: Some(any(
            "LinuxResources",
            &json!({ "memory": { "limit": 256 << 20 } }),
        ))
        .into(),
        ..UpdateTaskRequest::default()
    };
    client.update(context(), &update).await.expect("updated");
    let stats = client.stats(context(), &request).await.expect("stats");
    assert_eq!(memory_limit(&stats), 256 << 20);
    let close = CloseIORequest {
        id: id(),
        stdin: true,
        ..CloseIORequest::default()
    };
    client.close_io(context(), &close).await.expect("closed");
    shim.stop("c", 9).await;
    shim.shut_down().await;
    node.leaves_nothing().await;
}

#[tokio::test]
async fn a_pod_has_one_supervisor_and_no_process_of_its_own() {
    if !may_run() {
        return;
    }
    let node = Node::new().await;
    let network = support::network::Network::new();
    let pod = node
        .bundle("pod")
        .annotate(KIND, "sandbox")
        .annotate(SANDBOX, "pod")
        .network(network.path())
        .hostname("a-pod")
        .finish();
    let shim = node.start(&pod).await;
    let created = shim.create(&pod).await.expect("created");
    assert_eq!(shim.start_task("pod").await.expect("started"), created.pid);
    assert!(node.processes().is_empty());
    let own = format!("/proc/{}/ns", created.pid);
    let container = node
        .bundle("c")
        .annotate(KIND, "container")
        .annotate(SANDBOX, "pod")
        .busybox(&[
            "sh",
            "-c",
            "/bin/busybox ls -l /proc/self/ns; /bin/busybox hostname",
        ])
        .set(
            "/linux/namespaces",
            json!([
                { "type": "pid" }, { "type": "mount" },
                { "type": "ipc", "path": format!("{own}/ipc") },
                { "type": "uts", "path": format!("{own}/uts") },
                { "type": "network", "path": format!("{own}/net") },
            ]),
        )
        .with_pipes()
        .finish();
    let (stdout, _stderr) = (container.reader("stdout"), container.reader("stderr"));
    let second = node.start(&container).await;
    assert_eq!(second.address, shim.address);
    shim.run(&container).await;
    assert_eq!(shim.wait("c").await.expect("ended").exit_status, 0);
    let text = drain(stdout);
    assert!(text.ends_with("a-pod\n"), "{text}");
    let expected = std::fs::read_link(network.path()).expect("a namespace");
    assert!(text.contains(&expected.display().to_string()), "{text}");
    for kind in ["ipc", "uts"] {
        let nodes = std::fs::read_link(format!("{own}/{kind}")).expect("a namespace");
        assert!(!text.contains(&nodes.display().to_string()), "{text}");
    }
    shim.delete("c").await.expect("deleted");
    assert_eq!(
        code(&shim.delete("pod").await),
        Some(Code::FAILED_PRECONDITION)
    );
    assert_eq!(shim.stop("pod", 9).await, 137);
    shim.shut_down().await;
    drop((shim, second));
    node.leaves_nothing().await;
}
