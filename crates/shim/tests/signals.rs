//! Stop signals of images, and terminals, which functions have no use for.

mod support;

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};

use containerd_shim::api::ResizePtyRequest;
use containerd_shim::protos::ttrpc::context::Context;
use support::bundle::drain;
use support::modules::{CGI, LOOP};
use support::network::Network;
use support::{Node, Shim, may_run, until};

/// Writes what it reads, until there is no more.
const ECHO: &str = r#"
(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (block $end (loop $next
      (i32.store (i32.const 0) (i32.const 1024))
      (i32.store (i32.const 4) (i32.const 1024))
      (br_if $end (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
      (br_if $end (i32.eqz (i32.load (i32.const 8))))
      (i32.store (i32.const 4) (i32.load (i32.const 8)))
      (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
      (br $next)))))"#;

/// SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGTERM, SIGWINCH, SIGPWR, `SIGRTMIN+3`.
const SIGNALS: [u32; 10] = [1, 2, 3, 10, 12, 14, 15, 28, 30, 37];

#[tokio::test]
async fn a_function_drains_on_the_stop_signal_of_its_image() {
    if !may_run() {
        return;
    }
    let node = Node::new().await;
    for signal in SIGNALS {
        let network = Network::new();
        let bundle = node.bundle(&format!("web{signal}"));
        let bundle = bundle.cgi(CGI, &network).finish();
        let shim = node.run(&bundle).await;
        let code = shim.stop(bundle.id(), signal).await;
        assert_eq!(code, 0, "signal {signal}");
        shim.shut_down().await;
    }
    node.leaves_nothing().await;
}

#[tokio::test]
async fn a_command_ends_on_the_stop_signal_of_its_image() {
    if !may_run() {
        return;
    }
    let node = Node::new().await;
    for signal in SIGNALS {
        let bundle = node.bundle(&format!("job{signal}")).module(LOOP).finish();
        let shim = node.run(&bundle).await;
        // Signals for real time arrive as SIGTERM.
        let received = if signal > 31 { 15 } else { signal };
        assert_eq!(shim.stop(bundle.id(), signal).await, 128 + received);
        shim.shut_down().await;
    }
    node.leaves_nothing().await;
}

#[tokio::test]
async fn a_program_receives_the_signal_that_is_sent() {
    if !may_run() {
        return;
    }
    let node = Node::new().await;
    for signal in [15, 37] {
        let script =
            format!("trap 'exit 7' {signal}; echo ready; while :; do /bin/busybox sleep 0.1; done");
        let bundle = node
            .bundle(&format!("program{signal}"))
            .busybox(&["sh", "-c", &script])
            .with_pipes()
            .finish();
        let (mut stdout, _stderr) = (bundle.reader("stdout"), bundle.reader("stderr"));
        let shim = node.run(&bundle).await;
        until("it has a handler", || {
            stdout.read(&mut [0; 64]).is_ok_and(|read| read > 0)
        })
        .await;
        let code = shim.stop(bundle.id(), signal).await;
        assert_eq!(code, 7, "signal {signal}");
        shim.shut_down().await;
    }
    node.leaves_nothing().await;
}

async fn resize(shim: &Shim, id: &str) {
    let request = ResizePtyRequest {
        id: id.to_owned(),
        width: 80,
        height: 24,
        ..ResizePtyRequest::default()
    };
    let resized = shim.client().resize_pty(Context::default(), &request).await;
    resized.expect("a terminal, or none, is resized");
}

#[tokio::test]
async fn a_function_starts_where_a_terminal_is_asked_for() {
    if !may_run() {
        return;
    }
    let node = Node::new().await;
    let network = Network::new();
    let bundle = node.bundle("web").cgi(CGI, &network);
    let bundle = bundle.with_terminal().finish();
    let stdout = bundle.reader("stdout");
    let shim = node.run(&bundle).await;
    resize(&shim, "web").await;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
    let answer = network.get(address, "/").expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // A client that attaches sends what is typed; the function does not read it.
    let mut stdin = typing(&bundle.path().join("stdin"));
    stdin.write_all(b"typed\n").expect("it is taken");
    assert_eq!(shim.stop("web", 15).await, 0);
    assert_eq!(drain(stdout), "logged\n");
    shim.shut_down().await;
    node.leaves_nothing().await;
}

fn typing(pipe: &std::path::Path) -> File {
    let opened = OpenOptions::new().write(true).open(pipe);
    opened.expect("the shim reads it")
}

#[tokio::test]
async fn a_command_has_the_terminal_that_is_asked_for() {
    if !may_run() {
        return;
    }
    let node = Node::new().await;
    let bundle = node.bundle("job").module(ECHO).with_terminal().finish();
    let mut stdout = bundle.reader("stdout");
    let shim = node.run(&bundle).await;
    // A change of its size is a signal, and no reason to end.
    resize(&shim, "job").await;
    let mut stdin = typing(&bundle.path().join("stdin"));
    stdin.write_all(b"line\n").expect("typed");
    let mut text = Vec::new();
    let mut chunk = [0; 64];
    // The terminal shows what is typed, and the command repeats it.
    until("it answers", || {
        while let Ok(read @ 1..) = stdout.read(&mut chunk) {
            text.extend_from_slice(&chunk[..read]);
        }
        text == b"line\r\nline\r\n"
    })
    .await;
    // Control-C.
    stdin.write_all(b"\x03").expect("typed");
    assert_eq!(shim.ended("job").await, 130);
    shim.shut_down().await;
    node.leaves_nothing().await;
}
