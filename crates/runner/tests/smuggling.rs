//! Tests against request smuggling: an ambiguous request is rejected or is exactly one request.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::{start, statuses};

/// The payload that a smuggler wants to pass as a second request.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";

/// Sends `payload` and a second request after it. Expects these responses, and that the handler
/// received this many requests, none of them smuggled.
async fn check(name: &str, payload: &str, expected: &[u16], requests: usize) {
    let fixture = start(|config| {
        config.header_timeout = support::CLIENT_TIMEOUT;
        config.idle_timeout = support::CLIENT_TIMEOUT;
    })
    .await;
    let answer = fixture.exchange(payload).await;
    let seen = fixture.seen();
    assert_eq!(statuses(&answer), expected, "{name}: {answer}");
    assert_eq!(seen.len(), requests, "{name}: {seen:?}");
    assert!(
        !seen.iter().any(|request| request.contains("smuggled")),
        "{name}: {seen:?}"
    );
}

/// A request with these fields and this body; the smuggled one follows.
async fn check_fields(fields: &str, body: &str, expected: &[u16], requests: usize) {
    let payload = format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n{body}{SMUGGLED}");
    check(
        &format!("{fields:?} {body:?}"),
        &payload,
        expected,
        requests,
    )
    .await;
}

#[tokio::test]
async fn scenario_32_lengths_that_disagree_are_refused() {
    check_fields(
        "content-length: 5\r\ncontent-length: 6\r\n",
        "hello",
        &[400],
        0,
    )
    .await;
    check_fields("content-length: 5, 6\r\n", "hello", &[400], 0).await;
    for length in [
        "-5",
        "+5",
        "0x5",
        "5 5",
        "5;",
        "5.0",
        "a",
        "",
        "5,5",
        "٥",
        "18446744073709551616",
        "99999999999999999999",
    ] {
        check_fields(&format!("content-length: {length}\r\n"), "hello", &[400], 0).await;
    }
    check_fields("content-length : 5\r\n", "hello", &[400], 0).await;
    check_fields("content-length\t: 5\r\n", "hello", &[400], 0).await;
    check_fields(" content-length: 5\r\n", "hello", &[400], 0).await;
    check_fields("content-length: 5\0\r\n", "hello", &[400], 0).await;
    check_fields(
        "content_length: 5\r\nconnection: close\r\n",
        "hello",
        &[200],
        1,
    )
    .await;
}

#[tokio::test]
async fn scenario_32_a_coding_that_is_not_chunked_is_refused() {
    for coding in [
        "gzip",
        "identity",
        "chunked, gzip",
        "xchunked",
        "chunkedx",
        "chunked;q=1",
        "\"chunked\"",
        "chunked,",
        "",
        "chunked\u{b}",
        "chunked, identity",
    ] {
        check_fields(
            &format!("transfer-encoding: {coding}\r\n"),
            "0\r\n\r\n",
            &[400],
            0,
        )
        .await;
    }
    check_fields("transfer-encoding : chunked\r\n", "0\r\n\r\n", &[400], 0).await;
    check_fields("transfer-encoding:\r\n chunked\r\n", "0\r\n\r\n", &[400], 0).await;
    check_fields("transfer-encoding\r\n: chunked\r\n", "0\r\n\r\n", &[400], 0).await;
    check_fields("transfer\0-encoding: chunked\r\n", "0\r\n\r\n", &[400], 0).await;
    check_fields(
        "x: y\r\n\ttransfer-encoding: chunked\r\n",
        "0\r\n\r\n",
        &[400],
        0,
    )
    .await;
    check_fields(
        "x: y\rtransfer-encoding: chunked\r\n",
        "0\r\n\r\n",
        &[400],
        0,
    )
    .await;
    let old = format!("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}");
    check("HTTP/1.0 with a coding", &old, &[400], 0).await;
}

#[tokio::test]
async fn scenario_32_a_length_beside_a_coding_ends_the_connection_after_one_request() {
    let both = "content-length: 4\r\ntransfer-encoding: chunked\r\n";
    check_fields(both, "0\r\n\r\n", &[200], 1).await;
    let reversed = "transfer-encoding: chunked\r\ncontent-length: 4\r\n";
    check_fields(reversed, "0\r\n\r\n", &[200], 1).await;
    let twice = "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n";
    check_fields(twice, "0\r\n\r\n", &[400], 0).await;
}

#[tokio::test]
async fn scenario_32_chunks_that_are_no_chunks_are_refused() {
    for body in [
        "x\r\n",
        "-1\r\n",
        "+1\r\na\r\n0\r\n\r\n",
        "0x1\r\na\r\n0\r\n\r\n",
        "1_0\r\n",
        "\r\n0\r\n\r\n",
        "ffffffffffffffff1\r\n",
        "1\r\nab\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "1\nab\n0\n\n",
        "1\r\na\n0\r\n\r\n",
        "1;a\nb\r\na\r\n0\r\n\r\n",
        "1 x\r\na\r\n0\r\n\r\n",
        ";a\r\n",
        "é\r\n",
        "0\r\nbad trailer\r\n\r\n",
        "0\r\n: x\r\n\r\n",
    ] {
        check_fields("transfer-encoding: chunked\r\n", body, &[400], 1).await;
    }
}

#[tokio::test]
async fn scenario_32_request_lines_and_fields_are_taken_at_their_word() {
    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a, b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost : a\r\n\r\n",
        "GET / HTTP/1.1\r\n host: a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n: empty\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx\0y: z\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx: y\0\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx: y\rz\r\n\r\n",
        "GET http://b/ HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a:b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: :80\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: [::1\r\n\r\n",
        "GET ftp://a/ HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET http://me@a/ HTTP/1.0\r\n\r\n",
        "GET  / HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1 \r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1x\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.2\r\nhost: a\r\n\r\n",
        "GET / HTTP/2.0\r\nhost: a\r\n\r\n",
        "GET / http/1.1\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\rhost: a\r\n\r\n",
        "GET /\r\n\r\n",
        "GET /a b HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET\t/ HTTP/1.1\r\nhost: a\r\n\r\n",
        "GE(T / HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET a HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET * HTTP/1.1\r\nhost: a\r\n\r\n",
        "\0GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        " GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
    ] {
        check(
            &format!("{head:?}"),
            &format!("{head}{SMUGGLED}"),
            &[400],
            0,
        )
        .await;
    }
    let connect = format!("CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n{SMUGGLED}");
    check("CONNECT", &connect, &[501], 0).await;
}

#[tokio::test]
async fn scenario_32_line_ends_without_carriage_return_do_not_make_two_requests() {
    let bare = "POST / HTTP/1.1\nhost: a\ncontent-length: 5\nconnection: close\n\nhello";
    check("bare line feeds", &format!("{bare}{SMUGGLED}"), &[200], 1).await;
    let mixed = "POST / HTTP/1.1\r\nhost: a\ncontent-length: 5\r\nconnection: close\r\n\nhello";
    check("mixed line ends", &format!("{mixed}{SMUGGLED}"), &[200], 1).await;
}

#[tokio::test]
async fn scenario_32_a_body_that_is_left_unread_is_not_taken_for_a_request() {
    let length = SMUGGLED.len() + 100_000;
    let head = format!("POST /ignore HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
    check("unread", &format!("{head}{SMUGGLED}"), &[200], 1).await;
    let refused = format!("POST /limit HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
    check("refused", &format!("{refused}{SMUGGLED}"), &[413], 1).await;
    let upgrade = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade, close\r\nupgrade: h2c\r\n\r\n";
    check("upgrade", &format!("{upgrade}{SMUGGLED}"), &[200], 1).await;
}

/// The control: well-formed requests in one packet are as many requests.
#[tokio::test]
async fn scenario_32_pipelined_requests_are_answered_in_order() {
    let fixture = start(|config| config.idle_timeout = support::CLIENT_TIMEOUT).await;
    let one = "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello";
    let two = "POST /b HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
               2;x=y\r\nhi\r\n0\r\ntrailer: t\r\n\r\n";
    let three = "\r\n\r\nGET /c HTTP/1.1\r\nhost: a\r\n\r\n";
    let answer = fixture.exchange(format!("{one}{two}{three}")).await;
    assert_eq!(statuses(&answer), [200, 200, 200], "{answer}");
    assert_eq!(fixture.seen(), ["POST /a", "POST /b", "GET /c"]);
    assert!(answer.contains("POST /a 5 bytes 0 trailers"), "{answer}");
    assert!(answer.contains("POST /b 2 bytes 1 trailers"), "{answer}");
}
