//! Tests of HTTP/2's own attacks.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use support::frames::{
    CONTINUATION, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, frame, greet,
};
use support::{TEST_TIMEOUT, read_to_close, start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// `GET` of a path with authority `a`, without compression.
fn request_block(path: &str) -> Vec<u8> {
    let mut block = vec![
        0x82,
        0x86,
        0x41,
        1,
        b'a',
        0x44,
        u8::try_from(path.len()).unwrap(),
    ];
    block.extend_from_slice(path.as_bytes());
    block
}

/// Sends `attack` of the iteration's number until the server ends the connection. Expects GOAWAY
/// before `most` iterations, and that the server serves other clients meanwhile.
async fn check_attack(name: &str, most: u32, attack: impl Fn(u32) -> Vec<u8>) {
    let fixture = start(|_| {}).await;
    let memory = resident();
    let (mut reading, mut writing) = greet(&fixture).await.into_split();
    let reader = tokio::spawn(async move {
        let mut answer = Vec::new();
        let mut piece = [0; 16 * 1024];
        // Only the end of the responses is kept.
        while let Ok(count @ 1..) = reading.read(&mut piece).await {
            answer.extend_from_slice(&piece[..count]);
            let surplus = answer.len().saturating_sub(64 * 1024);
            answer.drain(..surplus);
        }
        answer
    });
    let begun = Instant::now();
    let mut rounds = 0;
    while rounds < most && writing.write_all(&attack(rounds)).await.is_ok() {
        rounds += 1;
        if reader.is_finished() {
            break;
        }
        if rounds % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let answer = timeout(TEST_TIMEOUT, reader).await.unwrap().unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{name}: {:?}",
        begun.elapsed()
    );
    let goaway = [GOAWAY, 0, 0, 0, 0, 0];
    assert!(
        answer.windows(6).any(|window| window == goaway),
        "{name}: no GOAWAY"
    );
    let other = fixture
        .exchange("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await;
    assert!(other.starts_with("HTTP/1.1 200 OK"), "{name}: {other}");
    let grown = resident().saturating_sub(memory);
    assert!(grown < 64 << 20, "{name}: {grown} bytes more");
}

/// The resident memory of this process in bytes.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[tokio::test]
async fn scenario_34_floods_end_with_goaway() {
    const MOST: u32 = 1_000_000;
    check_attack("ping", MOST, |_| frame(PING, 0, 0, &[0; 8])).await;
    check_attack("settings", MOST, |_| frame(SETTINGS, 0, 0, &[])).await;
    let stream = |round: u32| round * 2 + 1;
    check_attack("rapid reset", MOST, |round| {
        let open = frame(
            HEADERS,
            END_STREAM | END_HEADERS,
            stream(round),
            &request_block("/never"),
        );
        [open, frame(RST_STREAM, 0, stream(round), &[0, 0, 0, 8])].concat()
    })
    .await;
    check_attack("continuation", MOST, |round| match round {
        0 => frame(HEADERS, 0, 1, &request_block("/")),
        _ => frame(CONTINUATION, 0, 1, &[]),
    })
    .await;
    check_attack("continuation with fields", MOST, |round| match round {
        0 => frame(HEADERS, 0, 1, &request_block("/")),
        // A literal field that is not indexed: x: y.
        _ => frame(CONTINUATION, 0, 1, &[0x00, 1, b'x', 1, b'y']),
    })
    .await;
    check_attack("empty data", MOST, |round| match round {
        0 => frame(HEADERS, END_HEADERS, 1, &request_block("/never")),
        _ => frame(0, 0, 1, &[]),
    })
    .await;
    check_attack("window overflow", MOST, |_| {
        frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes())
    })
    .await;
}

/// A field that is large once and then referenced by one byte each time.
#[tokio::test]
async fn scenario_34_a_compression_bomb_is_refused_without_growing() {
    let fixture = start(|_| {}).await;
    let memory = resident();
    let mut stream = greet(&fixture).await;
    // A literal field that is indexed: x with 4,000 bytes; its length takes three bytes.
    let mut block = request_block("/");
    block.extend_from_slice(&[0x40, 1, b'x', 0x7f, 0xa1, 0x1e]);
    block.extend(std::iter::repeat_n(b'y', 4000));
    stream
        .write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &block))
        .await
        .unwrap();
    for round in 1..100 {
        let mut block = request_block("/");
        block.extend(std::iter::repeat_n(0xbe, 16_000));
        let bomb = frame(HEADERS, END_STREAM | END_HEADERS, round * 2 + 1, &block);
        if stream.write_all(&bomb).await.is_err() {
            break;
        }
    }
    stream.shutdown().await.unwrap();
    read_to_close(&mut stream).await;
    let requests = fixture.seen().len();
    assert!(requests <= 1, "{requests} requests");
    let grown = resident().saturating_sub(memory);
    assert!(grown < 64 << 20, "{grown} bytes more");
}
