//! Tests of the admin server over real sockets.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use sampan_telemetry::{Health, Registry, admin};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

struct Fixture {
    address: std::net::SocketAddr,
    health: Health,
    registry: Registry,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

async fn start() -> Fixture {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let health = Health::not_ready("loading functions");
    let registry = Registry::new();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(admin::serve(
        listener,
        registry.clone(),
        health.clone(),
        async {
            let _ = stopped.await;
        },
    ));
    Fixture {
        address,
        health,
        registry,
        stop,
        serving,
    }
}

/// Sends `request` and reads until the server closes.
async fn exchange(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn check(fixture: &Fixture, request: &str, status: &str, body: &str) {
    let head = format!("{request} HTTP/1.1\r\nhost: admin\r\n\r\n");
    let answer = exchange(fixture.address, &head).await;
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
        "{request}: {answer}"
    );
    assert!(answer.contains(body), "{request}: {answer}");
}

#[tokio::test]
async fn probes_follow_the_readiness() {
    let fixture = start().await;
    check(&fixture, "GET /healthz", "200 OK", "ok").await;
    check(
        &fixture,
        "GET /readyz",
        "503 Service Unavailable",
        "not ready: loading functions",
    )
    .await;
    fixture.health.set_ready();
    check(&fixture, "GET /readyz", "200 OK", "ready").await;
    fixture.health.set_not_ready("shutting down");
    check(
        &fixture,
        "GET /readyz",
        "503 Service Unavailable",
        "not ready: shutting down",
    )
    .await;
}

#[tokio::test]
async fn metrics_are_open_metrics_text() {
    let fixture = start().await;
    let counter: Counter = Counter::default();
    fixture
        .registry
        .register("tests", "Tests that ran", counter.clone());
    counter.inc_by(3);
    check(&fixture, "GET /metrics", "200 OK", "sampan_tests_total 3\n").await;
    check(&fixture, "GET /metrics", "200 OK", "# EOF\n").await;
    let media_type = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    check(&fixture, "GET /metrics", "200 OK", media_type).await;
}

#[tokio::test]
async fn other_requests_are_rejected() {
    let fixture = start().await;
    check(&fixture, "GET /", "404 Not Found", "/metrics").await;
    check(
        &fixture,
        "POST /metrics",
        "405 Method Not Allowed",
        "allow: GET, HEAD",
    )
    .await;
    check(&fixture, "GET /metrics\tX", "400 Bad Request", "").await;
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut() {
    let fixture = start().await;
    let begun = Instant::now();
    exchange(fixture.address, "GET /metrics HTTP/1.1\r\n").await;
    assert!(begun.elapsed() < admin::CONNECTION_TIME);
}

#[tokio::test]
async fn more_connections_than_allowed_wait_and_are_served() {
    let fixture = start().await;
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(TcpStream::connect(fixture.address).await.unwrap());
    }
    let begun = Instant::now();
    check(&fixture, "GET /healthz", "200 OK", "ok").await;
    assert!(begun.elapsed() < admin::CONNECTION_TIME + Duration::from_secs(5));
}

#[tokio::test]
async fn stopping_finishes_requests_in_progress() {
    let fixture = start().await;
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\n")
        .await
        .unwrap();
    // A whole exchange on another connection shows that the first one was accepted before.
    check(&fixture, "GET /healthz", "200 OK", "ok").await;
    fixture.stop.send(()).unwrap();
    // The listener is closed as soon as the server has stopped; until then the kernel still
    // connects.
    while TcpStream::connect(fixture.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    stream.write_all(b"host: admin\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    fixture.serving.await.unwrap();
}

#[tokio::test]
async fn metrics_that_nobody_reads_leave_connections_for_probes() {
    let fixture = start().await;
    // More than the buffers of a connection.
    let help = "x".repeat(16 << 20);
    let counter = Counter::<u64>::default();
    fixture.registry.register("long", &help, counter);
    let mut unread = Vec::new();
    for _ in 0..64 {
        let mut stream = TcpStream::connect(fixture.address).await.unwrap();
        let request = b"GET /metrics HTTP/1.1\r\nhost: admin\r\n\r\n";
        stream.write_all(request).await.unwrap();
        unread.push(stream);
    }
    let begun = Instant::now();
    check(&fixture, "GET /healthz", "200 OK", "ok\n").await;
    assert!(begun.elapsed() < admin::CONNECTION_TIME / 2);
}
