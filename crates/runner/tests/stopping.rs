//! Tests of shutdown: requests in progress finish, and the rest is cut.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use sampan_runner::{Server, ServerConfig};
use support::{CLIENT_TIMEOUT, TEST_TIMEOUT, read_to_close, start, statuses};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

#[tokio::test]
async fn requests_in_progress_finish_and_their_connections_close() {
    let fixture = start(|_| {}).await;
    let mut idle = fixture.connect().await;
    idle.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let mut answer = [0; 1024];
    assert_ne!(idle.read(&mut answer).await.unwrap(), 0);
    let mut busy = fixture.connect().await;
    let head = b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab";
    busy.write_all(head).await.unwrap();
    fixture.wait_until_busy(1).await;

    let serving = fixture.stop();
    // The idle connection closes at once, which shows that stopping has begun.
    assert_eq!(read_to_close(&mut idle).await, "");
    busy.write_all(b"cd").await.unwrap();
    let answer = read_to_close(&mut busy).await;
    assert!(
        answer.ends_with("2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"),
        "{answer}"
    );
    let summary = timeout(TEST_TIMEOUT, serving).await.unwrap().unwrap();
    assert_eq!((summary.connections, summary.cut), (2, 0));
    assert!(summary.drained_in < Duration::from_secs(5), "{summary:?}");
}

#[tokio::test]
async fn requests_that_do_not_finish_in_time_are_cut() {
    let fixture = start(|config| config.drain = Duration::from_millis(100)).await;
    let handler = std::sync::Arc::clone(&fixture.handler);
    let mut stuck = fixture.connect().await;
    stuck
        .write_all(b"GET /never HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    fixture.wait_until_busy(1).await;
    let summary = timeout(TEST_TIMEOUT, fixture.stop())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(summary.cut, 1);
    assert!(summary.drained_in < Duration::from_secs(5), "{summary:?}");
    assert_eq!(handler.busy.load(std::sync::atomic::Ordering::SeqCst), 0);
    assert_eq!(read_to_close(&mut stuck).await, "");
}

const WORK: &str = "GET /work HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn work_after_responses_is_waited_for() {
    let fixture = start(|_| {}).await;
    let handler = std::sync::Arc::clone(&fixture.handler);
    assert_eq!(statuses(&fixture.exchange(WORK).await), [200]);
    let mut serving = fixture.stop();
    let early = timeout(CLIENT_TIMEOUT, &mut serving).await;
    assert!(early.is_err(), "{early:?}");
    handler.work.send_replace(0);
    let summary = timeout(TEST_TIMEOUT, serving).await.unwrap().unwrap();
    assert_eq!((summary.cut, summary.work_cut), (0, 0));
}

#[tokio::test]
async fn work_after_responses_that_does_not_end_in_time_is_cut() {
    let fixture = start(|config| config.drain = Duration::from_millis(100)).await;
    for _ in 0..2 {
        assert_eq!(statuses(&fixture.exchange(WORK).await), [200]);
    }
    let summary = timeout(TEST_TIMEOUT, fixture.stop())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((summary.cut, summary.work_cut), (0, 2));
}

#[tokio::test]
async fn connections_that_the_kernel_has_accepted_are_answered() {
    let fixture = start(|config| config.max_connections = 1).await;
    let mut first = fixture.connect().await;
    first
        .write_all(b"GET /never HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    fixture.wait_until_busy(1).await;
    // The server has no room for these, so they wait in the kernel.
    let mut waiting = Vec::new();
    for _ in 0..5 {
        let mut stream = fixture.connect().await;
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .unwrap();
        waiting.push(stream);
    }
    let serving = fixture.stop();
    for stream in &mut waiting {
        let answer = read_to_close(stream).await;
        assert_eq!(statuses(&answer), [200], "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
    drop(first);
    let summary = timeout(TEST_TIMEOUT, serving).await.unwrap().unwrap();
    assert_eq!((summary.connections, summary.cut), (6, 0));
}

#[tokio::test]
async fn a_connection_without_a_request_does_not_hold_up_the_end() {
    let fixture = start(|_| {}).await;
    let silent = fixture.connect().await;
    let mut partial = fixture.connect().await;
    partial.write_all(b"GET / HT").await.unwrap();
    // Another exchange shows that the server has accepted the others.
    let answer = fixture
        .exchange("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await;
    assert_eq!(statuses(&answer), [200]);
    let begun = Instant::now();
    let summary = timeout(TEST_TIMEOUT, fixture.stop())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(summary.cut, 0);
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    drop(silent);
}

#[tokio::test]
async fn a_bind_error_names_the_address_and_gives_advice() {
    let config = |address: &str| ServerConfig::new(vec![address.parse().unwrap()]);
    let first = Server::bind(config("127.0.0.1:0")).unwrap();
    let taken = first.addresses()[0];
    let error = Server::bind(config(&taken.to_string())).unwrap_err();
    assert_eq!(error.address, taken);
    assert_eq!(error.to_string(), format!("cannot listen on {taken}"));
    assert!(
        error.help().unwrap().contains("another program"),
        "{error:?}"
    );
    let foreign = Server::bind(config("192.0.2.1:0")).unwrap_err();
    assert!(foreign.help().unwrap().contains("192.0.2.1"), "{foreign:?}");
}
