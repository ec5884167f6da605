//! Functions as tasks: commands and their exit codes, HTTP that answers as soon as `Start` returns, and
//! modules that cannot run.

mod support;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use serde_json::json;
use support::bundle::drain;
use support::modules::{CGI, LOOP};
use support::network::Network;
use support::{Node, code, may_run, message, until};

use containerd_shim::protos::ttrpc::Code;

/// Exits with code 3 after a line on each stream.
const COMMAND: &str = r#"
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\06\00\00\00")
  (data (i32.const 8) "\16\00\00\00\06\00\00\00")
  (data (i32.const 16) "hello\0aworld\0a")
  (func (export "_start")
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 64)))
    (drop (call $write (i32.const 2) (i32.const 8) (i32.const 1) (i32.const 64)))
    (call $exit (i32.const 3))))"#;

/// Answers the CGI way, works on for 300 ms, and logs a line.
const WORKS_ON: &str = r#"
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\18\00\00\00")
  (data (i32.const 8) "\40\00\00\00\07\00\00\00")
  (data (i32.const 16) "Content-Length: 5\0a\0ahello")
  (data (i32.const 64) "worked\0a")
  ;; A subscription to the monotonic clock: 2.5 seconds, longer than a server without work takes to end.
  (data (i32.const 272) "\01\00\00\00")
  (data (i32.const 280) "\00\f9\02\95")
  (func (export "_start")
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 128)))
    (drop (call $poll (i32.const 256) (i32.const 320) (i32.const 1) (i32.const 352)))
    (drop (call $write (i32.const 2) (i32.const 8) (i32.const 1) (i32.const 128)))))"#;

/// Answers the CGI way, and logs 48 KiB.
const TALKATIVE: &str = r#"
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 0) "\10\00\00\00\21\00\00\00")
  (data (i32.const 8) "\00\10\00\00\00\c0\00\00")
  (data (i32.const 16) "Content-Type: text/plain\0a\0ahello\0a\0a")
  (func (export "_start")
    (memory.fill (i32.const 4096) (i32.const 120) (i32.const 49152))
    (drop (call $write (i32.const 2) (i32.const 8) (i32.const 1) (i32.const 128)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 128)))))"#;

/// A handler of the module that stands in place of `MODULE`.
const HANDLER: &str = include_str!("../../../tests/handler.wat");

/// The function that the engine calls before there is a request.
const WARM_UP: &str = include_str!("../../engine/src/load/warm_up.wat");

#[tokio::test]
async fn a_command_runs_to_its_end_with_its_streams_and_its_exit_code() {
    if !may_run() {
        return;
    }
    let node = Node::new().await;
    let bundle = node.bundle("job").module(COMMAND).with_pipes().finish();
    let (stdout, stderr) = (bundle.reader("stdout"), bundle.reader("stderr"));
    let shim = node.start(&bundle).await;
    let created = shim.create(&bundle).await.expect("created");
    assert_eq!(shim.start_task("job").await.expect("started"), created.pid);
    assert_eq!(shim.wait("job").await.expect("ended").exit_status, 3);
    assert_eq!(drain(stdout), "hello\n");
    assert_eq!(drain(stderr), "world\n");
    assert_eq!(shim.delete("job").await.expect("deleted").exit_status, 3);
    node.wait_for_event("/tasks/delete").await;
    let expected = ["create", "start", "exit", "delete"].map(|name| format!("/tasks/{name}"));
    assert_eq!(node.events(), expected);
    shim.shut_down().await;
    node.leaves_nothing().await;
}

#[tokio::test]
async fn a_function_answers_as_soon_as_it_is_started_and_drains_when_it_is_stopped() {
    if !may_run() {
        return;
    }
    let node = Node::new().await;
    let network = Network::new();
    let bundle = node.bundle("web").cgi(CGI, &network);
    let bundle = bundle.env("PORT=8181").with_pipes().finish();
    let stderr = bundle.reader("stderr");
    let _stdout = bundle.reader("stdout");
    let shim = node.run(&bundle).await;
    for address in [
        SocketAddr::from((Ipv4Addr::LOCALHOST, 8181)),
        SocketAddr::from((Ipv6Addr::LOCALHOST, 8181)),
    ] {
        let answer = network.get(address, "/").expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{address}: {answer}");
        assert!(answer.contains("hello"), "{address}: {answer}");
    }
    assert_eq!(shim.stop("web", 15).await, 0);
    assert_eq!(drain(stderr), "logged\nlogged\n");
    shim.shut_down().await;
    node.leaves_nothing().await;
}

#[tokio::test]
async fn a_function_that_works_on_after_its_answer_is_waited_for() {
    if !may_run() {
        return;
    }
    let node = Node::new().await;
    let network = Network::new();
    let bundle = node.bundle("web").cgi(WORKS_ON, &network);
    let bundle = bundle.with_pipes().finish();
    let stderr = bundle.reader("stderr");
    let _stdout = bundle.reader("stdout");
    let shim = node.run(&bundle).await;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
    let answer = network.get(address, "/").expect("an answer");
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
    assert_eq!(shim.stop("web", 15).await, 0);
    assert_eq!(drain(stderr), "worked\n");
    shim.shut_down().await;
    node.leaves_nothing().await;
}

/// The module that a pod calls before its function. No answer would show its failure.
#[tokio::test]
async fn the_warm_up_component_is_a_function_that_answers() {
    if !may_run() {
        return;
    }
    let node = Node::new().await;
    let network = Network::new();
    let bundle = node.bundle("warm-up").module(WARM_UP);
    let bundle = bundle.network(network.path()).with_pipes().finish();
    let shim = node.run(&bundle).await;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
    let answer = network.get(address, "/").expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nr"), "{answer}");
    shim.stop("warm-up", 15).await;
    shim.shut_down().await;
    node.leaves_nothing().await;
}

#[tokio::test]
async fn what_cannot_run_fails_with_its_cause_and_leaves_nothing() {
    async fn check(bytes: &[u8], annotation: Option<(&str, &str)>, expected: &str) {
        let node = Node::new().await;
        let mut bundle = node.bundle("bad").file("function.wasm", bytes);
        if let Some((key, value)) = annotation {
            bundle = bundle.annotate(key, value);
        }
        let bundle = bundle.finish();
        let shim = node.start(&bundle).await;
        let error = message(shim.create(&bundle).await);
        assert!(error.contains(expected), "{error}\nlacks\n{expected}");
        assert!(!error.contains('\n'), "{error:?}");
        assert_eq!(code(&shim.state("bad").await), Some(Code::NOT_FOUND));
        assert!(!bundle.path().join("sampan").exists());
        shim.shut_down().await;
        node.leaves_nothing().await;
    }
    if !may_run() {
        return;
    }
    let wat = |text: &str| wat::parse_str(text).expect("valid");
    check(b"#!/bin/sh", None, "not WebAssembly: it begins with 23 21").await;
    check(
        &wat("(module)"),
        None,
        "without an exported function _start",
    )
    .await;
    check(&wat("(component)"), None, "exports neither").await;
    check(
        &wat(
            r#"(component (import "acme:queue/send@1.0.0" (instance)) (instance $i)
            (export "wasi:http/incoming-handler@0.2.0" (instance $i)))"#,
        ),
        None,
        "imports that this host lacks: acme:queue/send@1.0.0",
    )
    .await;
    check(
        &wat(r#"(module (import "env" "odd" (func)) (func (export "_start")))"#),
        None,
        "imports that this host lacks: env odd",
    )
    .await;
    let limits = Some(("sampan.dev/limits", r#"{"memory":"5Ti"}"#));
    check(
        &wat(LOOP),
        limits,
        "annotation sampan.dev/limits: limits.memory: 5Ti",
    )
    .await;
    let unknown = Some(("sampan.dev/limit", "{}"));
    check(&wat(LOOP), unknown, "annotation sampan.dev/limit: unknown").await;
    let odd = Some(("sampan.dev/outbound", r#"["ftp://x"]"#));
    check(&wat(LOOP), odd, "annotation sampan.dev/outbound: ").await;
}

#[tokio::test]
async fn what_is_seen_only_at_the_start_fails_the_start() {
    async fn check(text: &str, annotation: (&str, &str), port: &str, expected: &str) {
        let node = Node::new().await;
        let (key, value) = annotation;
        let bundle = node
            .bundle("bad")
            .module(text)
            .annotate(key, value)
            .env(port)
            .finish();
        let shim = node.start(&bundle).await;
        shim.create(&bundle).await.expect("created");
        let error = message(shim.start_task("bad").await);
        assert!(error.contains(expected), "{error}\nlacks\n{expected}");
        assert_eq!(shim.delete("bad").await.expect("deleted").exit_status, 1);
        shim.shut_down().await;
        node.leaves_nothing().await;
    }
    if !may_run() {
        return;
    }
    let cgi = ("sampan.dev/http", "cgi");
    check(CGI, cgi, "PORT=web", "PORT is \"web\"").await;
    let odd =
        r#"(module (import "wasi_snapshot_preview1" "fd_write" (func)) (func (export "_start")))"#;
    check(odd, cgi, "PORT=8080", "bad cannot be loaded: ").await;
    // Handlers are instantiated before anybody asks them.
    let handler = |module: &str| HANDLER.replace("MODULE", module);
    let trap = handler("(func $trap unreachable) (start $trap)");
    let none = ("sampan.dev/function", "bad");
    let expected = "bad cannot be instantiated: ";
    check(&trap, none, "PORT=8080", expected).await;
    let endless = handler("(func $endless (loop (br 0))) (start $endless)");
    let soon = ("sampan.dev/limits", r#"{"timeout":"100ms"}"#);
    check(&endless, soon, "PORT=8080", expected).await;
    let large = handler("(memory 32)");
    let little = ("sampan.dev/limits", r#"{"memory":"1Mi"}"#);
    check(&large, little, "PORT=8080", "bad cannot be loaded: ").await;
    let absent = ("sampan.dev/certificate-authorities", r#"["/etc/ca.crt"]"#);
    let expected = "the certificate authorities in /etc/ca.crt cannot be used: No such file";
    check(&handler(""), absent, "PORT=8080", expected).await;
}

#[tokio::test]
async fn each_function_of_a_pod_has_a_port_of_its_own_for_metrics() {
    if !may_run() {
        return;
    }
    let node = Node::new().await;
    let network = Network::new();
    let function = |name: &str, port: &str, key: &str| {
        let bundle = node.bundle(name).cgi(CGI, &network).env(port);
        bundle.annotate(key, "9090").finish()
    };
    let first = function("one", "PORT=8080", "sampan.dev/metrics");
    let shim = node.run(&first).await;
    let second = function("two", "PORT=8081", "sampan.dev/metrics");
    shim.create(&second).await.expect("created");
    let error = message(shim.start_task("two").await);
    let expected =
        "port 9090 for metrics is taken by another process of the pod; give each container a port";
    assert!(error.contains(expected), "{error}");
    shim.delete("two").await.expect("deleted");
    // The container's name is that of the bundle.
    let third = function("three", "PORT=8082", "sampan.dev/metrics.other");
    shim.run(&third).await;
    for (port, expected) in [(9090, "sampan_function_"), (8080, "hello"), (8082, "hello")] {
        let path = if port == 9090 { "/metrics" } else { "/" };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let answer = network.get(address, path).expect("an answer");
        assert!(answer.contains(expected), "{port}: {answer}");
    }
    for name in ["one", "three"] {
        assert_eq!(shim.stop(name, 15).await, 0);
    }
    shim.shut_down().await;
    node.leaves_nothing().await;
}

#[tokio::test]
async fn a_command_that_traps_says_so_and_one_that_is_stopped_ends() {
    if !may_run() {
        return;
    }
    let node = Node::new().await;
    let trap = r#"(module (func (export "_start") unreachable))"#;
    let bundle = node.bundle("trap").module(trap).with_pipes().finish();
    let (_stdout, stderr) = (bundle.reader("stdout"), bundle.reader("stderr"));
    let shim = node.run(&bundle).await;
    assert_eq!(shim.ended("trap").await, 134);
    let said = drain(stderr);
    assert!(said.contains("cause=trap_unreachable"), "{said}");

    let endless = node.bundle("endless").module(LOOP).finish();
    shim.run(&endless).await;
    assert_eq!(shim.stop("endless", 15).await, 143);
    shim.shut_down().await;
    node.leaves_nothing().await;
}

#[tokio::test]
async fn scenario_19_a_reader_that_stalls_or_goes_away_hangs_nothing() {
    if !may_run() {
        return;
    }
    let node = Node::new().await;
    let network = Network::new();
    let bundle = node.bundle("web").cgi(TALKATIVE, &network);
    let bundle = bundle.with_pipes().finish();
    // stdout has no reader, and the reader of stderr goes away at once.
    drop(bundle.reader("stderr"));
    let shim = node.run(&bundle).await;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
    // More than the pipe and the buffer before it hold.
    for _ in 0..50 {
        let answer = network.get(address, "/").expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert_eq!(shim.stop("web", 15).await, 0);
    shim.shut_down().await;
    node.leaves_nothing().await;
}

#[tokio::test]
async fn scenario_17_a_container_that_outgrows_its_memory_is_told_as_that() {
    if !may_run() {
        return;
    }
    let node = Node::new().await;
    // Touches every page of 96 MiB.
    let hungry = r#"(module (memory 1536) (func (export "_start") (local $at i32)
        (loop
          (i32.store8 (local.get $at) (i32.const 1))
          (local.set $at (i32.add (local.get $at) (i32.const 4096)))
          (br_if 0 (i32.lt_u (local.get $at) (i32.const 100663296))))))"#;
    let bundle = node
        .bundle("hungry")
        .module(hungry)
        .resources(json!({ "memory": { "limit": 48 << 20, "swap": 48 << 20 } }))
        .finish();
    let shim = node.run(&bundle).await;
    assert_eq!(shim.wait("hungry").await.expect("ended").exit_status, 137);
    node.wait_for_event("/tasks/exit").await;
    let events = node.events();
    let place = |topic: &str| events.iter().position(|had| had == topic);
    let (oom, exit) = (place("/tasks/oom"), place("/tasks/exit"));
    assert!(oom.is_some() && oom < exit, "{events:?}");
    shim.delete("hungry").await.expect("deleted");
    shim.shut_down().await;
    node.leaves_nothing().await;
}

#[tokio::test]
async fn scenario_14_what_a_killed_supervisor_leaves_is_taken_apart() {
    if !may_run() {
        return;
    }
    leave_orphan(true).await;
    // Killed before it wrote what it had made.
    leave_orphan(false).await;
}

async fn leave_orphan(with_record: bool) {
    let node = Node::new().await;
    let bundle = node.bundle("orphan").module(LOOP).finish();
    let shim = node.run(&bundle).await;
    let supervisor = support::supervisors(node.name());
    let [supervisor] = supervisor[..] else {
        panic!("{supervisor:?}");
    };
    let pid = rustix::process::Pid::from_raw(supervisor).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed");
    assert!(!node.processes().is_empty());
    if !with_record {
        std::fs::remove_file(bundle.path().join("sampan/record.json")).expect("a record");
    }
    let output = node.delete(&bundle);
    assert!(output.status.success(), "{output:?}");
    until("nobody is left", || node.processes().is_empty()).await;
    let socket = shim.address.trim_start_matches("unix://").to_owned();
    assert!(!std::path::Path::new(&socket).exists());
    // Again, as containerd may.
    assert!(node.delete(&bundle).status.success());
    node.leaves_nothing().await;
}
