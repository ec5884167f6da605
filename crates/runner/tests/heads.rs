//! Tests of request heads: their targets, and their limits.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use sampan_runner::MAX_URI_BYTES;
use support::{Fixture, start, start_strict, statuses};

#[tokio::test]
async fn every_request_has_a_target_with_a_scheme_and_an_authority() {
    async fn check(request: &str, expected: &str) {
        let fixture = start(|_| {}).await;
        let expected = expected.replace("LOCAL", &fixture.address.to_string());
        let answer = fixture.exchange(format!("{request}\r\n\r\n")).await;
        assert_eq!(statuses(&answer), [200], "{request:?}: {answer}");
        assert!(answer.contains(&expected), "{request:?}: {answer}");
    }
    let close = "connection: close";
    check(
        &format!("GET /head?x HTTP/1.1\r\nhost: a.example:81\r\n{close}"),
        "http://a.example:81/head?x []",
    )
    .await;
    check(
        &format!("GET http://a.example/head HTTP/1.1\r\nhost: a.example\r\n{close}"),
        "http://a.example/head []",
    )
    .await;
    check(
        &format!("GET /head HTTP/1.1\r\nhost:\r\n{close}"),
        "http://LOCAL/head []",
    )
    .await;
    check("GET /head HTTP/1.0", "http://LOCAL/head []").await;
    check(
        "GET http://a.example/head HTTP/1.0",
        "http://a.example/head []",
    )
    .await;
    check(
        "GET /head HTTP/1.0\r\nhost: a.example\r\ncookie: a=1\r\ncookie: b=2",
        "http://a.example/head [\"a=1; b=2\"]",
    )
    .await;
}

#[tokio::test]
async fn scenario_33_heads_targets_and_bodies_are_limited() {
    async fn check(fixture: &Fixture, head: String, body: &[u8], expected: u16) {
        let answer = fixture.exchange([head.as_bytes(), body].concat()).await;
        assert_eq!(
            statuses(&answer),
            [expected],
            "{} bytes: {answer}",
            head.len()
        );
    }
    let fixture = start_strict().await;
    let with_field = |length: usize| {
        format!(
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx: {}\r\n\r\n",
            "x".repeat(length)
        )
    };
    check(&fixture, with_field(30 * 1024), b"", 200).await;
    check(&fixture, with_field(64 * 1024), b"", 431).await;
    check(&fixture, with_field(1024 * 1024), b"", 431).await;
    // Each of these fields counts 34 bytes of 32 KiB.
    let with_fields = |count: usize| {
        let fields = "x: y\r\n".repeat(count);
        format!("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{fields}\r\n")
    };
    check(&fixture, with_fields(101), b"", 200).await;
    check(&fixture, with_fields(900), b"", 200).await;
    check(&fixture, with_fields(1000), b"", 431).await;
    check(&fixture, with_fields(100_000), b"", 431).await;

    let with_target = |length: usize| {
        let path = "x".repeat(length - 1);
        format!("GET /{path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    };
    check(&fixture, with_target(MAX_URI_BYTES - 1), b"", 200).await;
    check(&fixture, with_target(MAX_URI_BYTES), b"", 200).await;
    for length in [
        MAX_URI_BYTES + 1,
        MAX_URI_BYTES * 2,
        65_535,
        100_000,
        10_000_000,
    ] {
        check(&fixture, with_target(length), b"", 414).await;
    }

    let with_body = |length: usize| {
        format!(
            "POST /limit HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    check(&fixture, with_body(99), &[b'x'; 99], 200).await;
    check(&fixture, with_body(100), &[b'x'; 100], 200).await;
    check(&fixture, with_body(101), &[b'x'; 101], 413).await;
    check(
        &fixture,
        with_body(10_000_000),
        &vec![b'x'; 10_000_000],
        413,
    )
    .await;
    let chunked = "POST /limit HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
                   transfer-encoding: chunked\r\n\r\n";
    let chunk =
        |length: usize| format!("{length:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(length)).into_bytes();
    check(&fixture, chunked.to_owned(), &chunk(99), 200).await;
    check(&fixture, chunked.to_owned(), &chunk(100), 200).await;
    check(&fixture, chunked.to_owned(), &chunk(101), 413).await;
    check(&fixture, chunked.to_owned(), &chunk(10_000_000), 413).await;
}
