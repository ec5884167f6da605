//! Counts the costs of a start, from the shim's `start` to the task's Start, beside containerd's shim of runc: system
//! calls, messages to systemd, and how often a thread waits.
//!
//! ```text
//! SAMPAN_TOOLS=FOLDER_OF_RUNC cargo bench --workspace --bench start_costs
//! ```
//!
//! It needs strace, and tracefs for the waits. Counts are medians of several starts.

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use containerd_shim::api::CreateTaskRequest;
use containerd_shim::protos::protobuf::Message as _;
use containerd_shim::protos::protobuf::well_known_types::any::Any;
use containerd_shim::protos::shim::oci::Options;
use containerd_shim::protos::ttrpc::context::Context;
use support::bundle::Bundle;
use support::modules::LOOP;
use support::{Node, Shim, may_run};

const TRACING: &str = "/sys/kernel/tracing";

const STARTS: usize = 5;

/// Sockets at which systemd and the message bus are called.
const BUSES: [&str; 2] = ["/run/systemd/private", "/run/dbus/system_bus_socket"];

/// Calls that send a message.
const SENDING: [&str; 4] = ["sendmsg(", "sendto(", "write(", "writev("];

#[derive(Clone, Copy)]
enum Kind {
    Program,
    Function,
}

/// A shim that is measured.
#[derive(Clone, Copy)]
enum Contender {
    Sampan,
    Runc,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    calls: usize,
    messages: usize,
    waits: usize,
}

fn node_of(contender: Contender, node: Node) -> Node {
    let tools = std::env::var("SAMPAN_TOOLS").expect("SAMPAN_TOOLS names the folder of runc");
    match contender {
        Contender::Sampan => node,
        Contender::Runc => node.with_shim(Path::new(&tools).join("containerd-shim-runc-v2")),
    }
}

fn options(node: &Node, tools: &str) -> Any {
    let options = Options {
        binary_name: format!("{tools}/runc"),
        systemd_cgroup: node.groups().is_systemd(),
        ..Options::default()
    };
    Any {
        type_url: "containerd.runc.v1.Options".to_owned(),
        value: options.write_to_bytes().expect("a message"),
        ..Any::default()
    }
}

/// Starts a container with its own supervisor.
async fn start(node: &Node, contender: Contender, bundle: &Bundle) -> Shim {
    // containerd reads the log, and its shim of runc ends without a reader.
    bundle.make_pipe("log");
    let _log = bundle.reader("log");
    let shim = node.start(bundle).await;
    let mut request = CreateTaskRequest {
        id: bundle.id().to_owned(),
        bundle: bundle.path().display().to_string(),
        ..CreateTaskRequest::default()
    };
    if let Contender::Runc = contender {
        let tools = std::env::var("SAMPAN_TOOLS").expect("the folder of runc");
        request.options = Some(options(node, &tools)).into();
    }
    let created = shim.client().create(Context::default(), &request).await;
    created.expect("created");
    shim.start_task(bundle.id()).await.expect("started");
    shim
}

async fn end(shim: Shim, bundle: &Bundle) {
    shim.stop(bundle.id(), 9).await;
    shim.shut_down().await;
}

fn bundle(node: &Node, kind: Kind) -> Bundle {
    let bundle = node.bundle("c");
    let bundle = match kind {
        Kind::Program => bundle.busybox(&["sleep", "1000000"]),
        Kind::Function => bundle.module(LOOP),
    };
    bundle
        .resources(serde_json::json!({
            "devices": [{ "allow": false, "access": "rwm" }],
            "memory": { "limit": 64 << 20 }, "cpu": { "shares": 102, "quota": 50_000, "period": 100_000 },
            "pids": { "limit": 100 },
        }))
        .finish()
}

/// System calls, and messages to systemd.
async fn traced(contender: Contender, kind: Kind) -> (usize, usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("trace");
    let words = [
        "strace",
        "-D",
        "-f",
        "-ttt",
        "-o",
        file.to_str().expect("UTF-8"),
    ];
    let node = node_of(contender, Node::new().await.below(&words));
    let bundle = bundle(&node, kind);
    let shim = start(&node, contender, &bundle).await;
    let until = SystemTime::now();
    end(shim, &bundle).await;
    node.leaves_nothing().await;
    count_calls(&fs::read_to_string(&file).expect("a trace"), until)
}

/// Lines of strace: a number of a thread, a time, a call.
fn count_calls(trace: &str, until: SystemTime) -> (usize, usize) {
    let until = until
        .duration_since(UNIX_EPOCH)
        .expect("a time")
        .as_secs_f64();
    let (mut calls, mut messages) = (0, 0);
    let mut buses = BTreeSet::new();
    for line in trace.lines() {
        let mut parts = line.split_whitespace();
        let time = parts.nth(1).and_then(|time| time.parse::<f64>().ok());
        if time.is_none_or(|time| time > until) {
            continue;
        }
        let call = parts.collect::<Vec<_>>().join(" ");
        if !call.contains('(') || call.starts_with("<...") {
            // A signal, an end, or the second half of a call.
            continue;
        }
        calls += 1;
        let descriptor = call
            .split_once('(')
            .and_then(|(_, rest)| rest.split(',').next())
            .unwrap_or_default()
            .to_owned();
        if call.starts_with("connect(") && BUSES.iter().any(|bus| call.contains(bus)) {
            buses.insert(descriptor);
        } else if SENDING.iter().any(|name| call.starts_with(name)) && buses.contains(&descriptor) {
            messages += 1;
        } else if call.starts_with("close(") {
            buses.remove(descriptor.split(')').next().unwrap_or_default());
        }
    }
    (calls, messages)
}

/// How often a thread gave up its processor to wait.
async fn waits(contender: Contender, kind: Kind) -> usize {
    let file = |name: &str| PathBuf::from(TRACING).join(name);
    if !file("set_event_pid").exists() {
        return 0;
    }
    let write = |name: &str, value: &str| fs::write(file(name), value).expect("tracefs takes it");
    write("trace", "");
    write("trace_options", "event-fork");
    write("events/sched/sched_switch/filter", "prev_state != 0");
    write("events/sched/sched_switch/enable", "1");
    let script = format!("echo $$ >> {TRACING}/set_event_pid; exec \"$@\"");
    let node = node_of(
        contender,
        Node::new().await.below(&["sh", "-c", &script, "sh"]),
    );
    let bundle = bundle(&node, kind);
    write("tracing_on", "1");
    let shim = start(&node, contender, &bundle).await;
    write("tracing_on", "0");
    let trace = fs::read_to_string(file("trace")).expect("a trace");
    write("events/sched/sched_switch/enable", "0");
    write("events/sched/sched_switch/filter", "0");
    write("set_event_pid", "");
    end(shim, &bundle).await;
    node.leaves_nothing().await;
    // A line is there, too, when a thread of others gives way to one of these.
    let own = [
        "containerd-shim",
        "shim",
        "runc",
        "strace",
        "tokio",
        "sh",
        "busybox",
        "c",
    ];
    let is_own = |line: &&str| {
        let name = line.split("prev_comm=").nth(1).unwrap_or_default();
        own.iter().any(|own| name.starts_with(own)) || name.starts_with("function")
    };
    trace.lines().filter(is_own).count()
}

fn median(mut counts: Vec<usize>) -> usize {
    counts.sort_unstable();
    counts[counts.len() / 2]
}

async fn measure(contender: Contender, kind: Kind) -> Counts {
    let mut all = Vec::new();
    for _ in 0..STARTS {
        let (calls, messages) = traced(contender, kind).await;
        let waits = waits(contender, kind).await;
        all.push(Counts {
            calls,
            messages,
            waits,
        });
    }
    let of = |part: fn(&Counts) -> usize| median(all.iter().map(part).collect());
    Counts {
        calls: of(|counts| counts.calls),
        messages: of(|counts| counts.messages),
        waits: of(|counts| counts.waits),
    }
}

#[tokio::main]
async fn main() {
    if !may_run() {
        return;
    }
    let rows = [
        ("runc, program", Contender::Runc, Kind::Program),
        ("sampan, program", Contender::Sampan, Kind::Program),
        ("sampan, function", Contender::Sampan, Kind::Function),
    ];
    for (name, contender, kind) in rows {
        let Counts {
            calls,
            messages,
            waits,
        } = measure(contender, kind).await;
        println!("{name}: {calls} system calls, {messages} messages to systemd, {waits} waits");
    }
}
