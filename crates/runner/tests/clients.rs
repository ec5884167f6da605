//! Tests of clients that are slow, silent, flooding or disconnected.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use support::{
    CLIENT_TIMEOUT, Fixture, TEST_TIMEOUT, read_to_close, start, start_strict, statuses,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A slow machine may extend a timeout by this much at most.
const SLACK: Duration = Duration::from_secs(3);

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Sends `bytes` and then nothing; expects these responses and the end within the client's time.
async fn check_silent(fixture: &Fixture, bytes: &[u8], expected: &[u16]) {
    let mut stream = fixture.connect().await;
    stream.write_all(bytes).await.unwrap();
    let begun = Instant::now();
    let answer = read_to_close(&mut stream).await;
    let shown = String::from_utf8_lossy(bytes);
    assert!(
        begun.elapsed() < CLIENT_TIMEOUT + SLACK,
        "{shown:?}: {:?}",
        begun.elapsed()
    );
    assert!(
        begun.elapsed() > CLIENT_TIMEOUT / 2,
        "{shown:?}: {:?}",
        begun.elapsed()
    );
    assert_eq!(statuses(&answer), expected, "{shown:?}: {answer}");
}

#[tokio::test]
async fn scenario_31_a_client_that_stops_before_its_head_is_complete_is_cut() {
    let fixture = start_strict().await;
    check_silent(&fixture, b"", &[]).await;
    for length in [1, 2, 3, 14, 23] {
        check_silent(&fixture, &PREFACE[..length], &[]).await;
    }
    check_silent(&fixture, PREFACE, &[]).await;
    check_silent(&fixture, b"G", &[408]).await;
    check_silent(&fixture, b"POST", &[408]).await;
    check_silent(&fixture, b"GET / HTTP/1.1\r\nhost: a\r\n", &[408]).await;
    // HEADERS without the end of its block.
    let open = [
        PREFACE,
        &[0, 0, 0, 4, 0, 0, 0, 0, 0],
        &[0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82],
    ]
    .concat();
    let mut stream = fixture.connect().await;
    stream.write_all(&open).await.unwrap();
    let begun = Instant::now();
    read_to_close(&mut stream).await;
    assert!(begun.elapsed() < CLIENT_TIMEOUT + SLACK);
}

#[tokio::test]
async fn later_heads_have_as_much_time_as_the_first() {
    let fixture = start_strict().await;
    let mut stream = fixture.connect().await;
    for _ in 0..2 {
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .unwrap();
        let mut answer = [0; 1024];
        let count = stream.read(&mut answer).await.unwrap();
        assert!(answer[..count].starts_with(b"HTTP/1.1 200 OK"));
    }
    stream.write_all(b"GET / HT").await.unwrap();
    let begun = Instant::now();
    let answer = read_to_close(&mut stream).await;
    assert!(
        begun.elapsed() > CLIENT_TIMEOUT / 2,
        "{:?}",
        begun.elapsed()
    );
    assert!(
        begun.elapsed() < CLIENT_TIMEOUT + SLACK,
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(statuses(&answer), [408]);
}

/// Writes `bytes` one at a time while the server accepts them; returns the duration.
async fn trickle(fixture: &Fixture, begin: &[u8], bytes: &[u8], gap: Duration) -> Duration {
    let mut stream = fixture.connect().await;
    stream.write_all(begin).await.unwrap();
    let begun = Instant::now();
    let mut ticks = tokio::time::interval(gap);
    for byte in bytes.iter().cycle() {
        let mut answer = [0; 1024];
        tokio::select! {
            _ = ticks.tick() => if stream.write_all(&[*byte]).await.is_err() { break },
            read = stream.read(&mut answer) => if matches!(read, Ok(0) | Err(_)) { break },
        }
        assert!(begun.elapsed() < TEST_TIMEOUT);
    }
    begun.elapsed()
}

#[tokio::test]
async fn scenario_31_bytes_now_and_then_do_not_buy_time() {
    let fixture = start_strict().await;
    let gap = CLIENT_TIMEOUT / 10;
    let head = trickle(&fixture, b"GET / HTTP/1.1\r\nx: ", b"y", gap).await;
    assert!(head < CLIENT_TIMEOUT + SLACK, "{head:?}");
    let line = trickle(&fixture, b"", b"G", gap).await;
    assert!(line < CLIENT_TIMEOUT + SLACK, "{line:?}");
    let body = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n";
    let body = trickle(&fixture, body, b"x", gap).await;
    assert!(body < CLIENT_TIMEOUT + SLACK, "{body:?}");
    let chunks = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunks = trickle(&fixture, chunks, b"1\r\nx\r\n", gap).await;
    assert!(chunks < CLIENT_TIMEOUT + SLACK, "{chunks:?}");
}

#[tokio::test]
async fn scenario_31_a_body_that_stalls_is_answered_with_408() {
    let fixture = start_strict().await;
    let head = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n";
    check_silent(&fixture, head, &[408]).await;
    check_silent(&fixture, &[head.as_slice(), b"hell"].concat(), &[408]).await;
}

#[tokio::test]
async fn a_slow_but_steady_client_is_served() {
    let fixture = start_strict().await;
    let mut stream = fixture.connect().await;
    let head = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 20480\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    // 20 KiB in twice the stall timeout, each chunk of the minimum size.
    let mut ticks = tokio::time::interval(CLIENT_TIMEOUT / 10);
    for _ in 0..20 {
        ticks.tick().await;
        stream.write_all(&[b'x'; 1024]).await.unwrap();
    }
    let answer = read_to_close(&mut stream).await;
    assert!(answer.contains("POST / 20480 bytes"), "{answer}");
}

#[tokio::test]
async fn scenario_31_a_client_that_does_not_read_is_cut() {
    let fixture = start_strict().await;
    let mut stream = fixture.connect().await;
    stream
        .write_all(b"GET /endless HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    fixture.wait_until_busy(1).await;
    let begun = Instant::now();
    fixture.wait_until_busy(0).await;
    assert!(
        begun.elapsed() < CLIENT_TIMEOUT + SLACK,
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_request() {
    let fixture = start(|_| {}).await;
    for path in ["/never", "/endless"] {
        let mut stream = fixture.connect().await;
        let head = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        fixture.wait_until_busy(1).await;
        drop(stream);
        let begun = Instant::now();
        fixture.wait_until_busy(0).await;
        assert!(
            begun.elapsed() < Duration::from_secs(1),
            "{path}: {:?}",
            begun.elapsed()
        );
    }
}

/// Sends `request` and closes the sending side; expects these statuses and the end.
async fn check_half_closed(fixture: &Fixture, request: &str, expected: &[u16]) {
    let mut stream = fixture.connect().await;
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let answer = read_to_close(&mut stream).await;
    assert_eq!(statuses(&answer), expected, "{request:?}");
}

#[tokio::test]
async fn a_client_that_only_stops_sending_gets_its_response() {
    let fixture = start(|_| {}).await;
    let get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    check_half_closed(&fixture, get, &[200]).await;
    check_half_closed(&fixture, &get.repeat(3), &[200, 200, 200]).await;
    check_half_closed(&fixture, "GET /later HTTP/1.1\r\nhost: a\r\n\r\n", &[200]).await;
    check_half_closed(&fixture, "HEAD / HTTP/1.1\r\nhost: a\r\n\r\n", &[200]).await;
    check_half_closed(&fixture, "GET / HTTP/1.1\r\n\r\n", &[400]).await;
    for path in ["/", "/echo", "/ignore"] {
        let with_length =
            format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody");
        check_half_closed(&fixture, &with_length, &[200]).await;
        let chunked = format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
             4\r\nbody\r\n0\r\n\r\n"
        );
        check_half_closed(&fixture, &chunked, &[200]).await;
    }
    // A response that needs longer than the socket's buffers arrives whole.
    let mut stream = fixture.connect().await;
    stream
        .write_all(b"GET /big HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    stream.shutdown().await.unwrap();
    let answer = read_to_close(&mut stream).await;
    assert!(answer.len() > 64 * 1024 * 1024, "{} bytes", answer.len());
    assert!(answer.ends_with("0\r\n\r\n"));
}

#[tokio::test]
async fn a_client_that_stops_sending_and_waits_for_long_counts_as_gone() {
    let fixture = start(|_| {}).await;
    check_half_closed(&fixture, "GET /never HTTP/1.1\r\nhost: a\r\n\r\n", &[]).await;
    fixture.wait_until_busy(0).await;
    // A body that breaks off is an error, as without this.
    let half = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf";
    check_half_closed(&fixture, half, &[400]).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let fixture = start(|config| config.idle_timeout = CLIENT_TIMEOUT).await;
    let begun = Instant::now();
    let answer = fixture.exchange("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(statuses(&answer), [200]);
    assert!(
        begun.elapsed() > CLIENT_TIMEOUT / 2,
        "{:?}",
        begun.elapsed()
    );
    assert!(
        begun.elapsed() < CLIENT_TIMEOUT + SLACK,
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn bodies_stream_both_ways_at_once() {
    let fixture = start(|_| {}).await;
    let mut stream = fixture.connect().await;
    let head = "POST /echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\nte: trailers\r\n\
                transfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    for part in ["one", "two", "three"] {
        let chunk = format!("{:x}\r\n{part}\r\n", part.len());
        stream.write_all(chunk.as_bytes()).await.unwrap();
        // The next part is sent only when this one has come back.
        while !String::from_utf8_lossy(&answer).contains(part) {
            let mut piece = [0; 1024];
            let count = stream.read(&mut piece).await.unwrap();
            assert_ne!(count, 0);
            answer.extend_from_slice(&piece[..count]);
        }
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let rest = read_to_close(&mut stream).await;
    assert!(rest.ends_with("0\r\n\r\n"), "{rest:?}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_does_not_end_normally() {
    let fixture = start(|_| {}).await;
    let answer = fixture
        .exchange("GET /broken HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    assert!(answer.contains("half"), "{answer:?}");
    assert!(!answer.ends_with("0\r\n\r\n"), "{answer:?}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_at_once_has_its_head() {
    let fixture = start(|_| {}).await;
    // Many requests at once keep their thread busy, which then delays writes.
    let exchanges =
        (0..40).map(|_| fixture.exchange("GET /broken-at-once HTTP/1.1\r\nhost: a\r\n\r\n"));
    for answer in futures_util::future::join_all(exchanges).await {
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer:?}");
        assert!(!answer.ends_with("0\r\n\r\n"), "{answer:?}");
    }
}

#[tokio::test]
async fn idle_connections_make_room_for_new_ones() {
    let fixture = start(|config| config.max_connections = 4).await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        let mut stream = fixture.connect().await;
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .unwrap();
        let mut answer = [0; 1024];
        let count = tokio::time::timeout(TEST_TIMEOUT, stream.read(&mut answer))
            .await
            .unwrap()
            .unwrap();
        assert!(answer[..count].starts_with(b"HTTP/1.1 200 OK"));
        idle.push(stream);
    }
}

#[tokio::test]
async fn connections_that_are_busy_keep_others_waiting() {
    let fixture = start(|config| config.max_connections = 2).await;
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut stream = fixture.connect().await;
        stream
            .write_all(b"GET /never HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .unwrap();
        busy.push(stream);
    }
    fixture.wait_until_busy(2).await;
    let mut waiting = fixture.connect().await;
    waiting
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut byte = [0; 1];
    let early = tokio::time::timeout(CLIENT_TIMEOUT, waiting.read(&mut byte)).await;
    assert!(early.is_err(), "{early:?}");
    busy.clear();
    let answer = read_to_close(&mut waiting).await;
    assert_eq!(statuses(&answer), [200], "{answer}");
}
