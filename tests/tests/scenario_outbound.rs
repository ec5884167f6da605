//! Tests of outbound calls over real connections: bodies, limits, time limits, and requests that
//! are sent again. The guests speak wasi:http 0.2 and 0.3.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use sampan_tests::{Guests, HANDLERS, Sampan, Seen, TEST_TIMEOUT, Upstream, listen};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Serves both guests with these limits and a rule for the address.
async fn up(limits: &str, address: SocketAddr) -> (Sampan, Guests) {
    let lines = format!("limits: {{ {limits} }}\noutbound: {{ allow: [\"http://{address}\"] }}\n");
    let guests = Guests::handlers(&lines);
    (Sampan::up(guests.folder()).await, guests)
}

/// Reads a request; `false` at the end of the connection.
async fn read_request(stream: &mut TcpStream) -> bool {
    let mut text = String::new();
    loop {
        match stream.read_u8().await {
            Ok(byte) => text.push(char::from(byte)),
            Err(_) => return false,
        }
        let end = if text.contains("transfer-encoding: chunked") {
            "\r\n0\r\n\r\n"
        } else {
            "\r\n\r\n"
        };
        if text.ends_with(end) {
            return true;
        }
    }
}

/// Answers with these bytes, and then keeps the connection open until its client closes it.
async fn stall(mut stream: TcpStream, answer: &'static [u8]) {
    if read_request(&mut stream).await && stream.write_all(answer).await.is_ok() {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_a_length_arrives_with_every_method() {
    let upstream = Upstream::start().await;
    let (sampan, _files) = up("timeout: 30s", upstream.address()).await;
    let check = async |caller: &str, method: &str, body: &str, framing: &str| {
        let before = upstream.seen().len();
        let option = match body {
            "" => String::new(),
            body => format!("body={body};"),
        };
        let address = upstream.address();
        let path = format!("/request?method={method};{option}to=http://{address}/");
        let answer = sampan.call(caller, &path).await;
        let expected = if method == "HEAD" { "200 " } else { "200 ok" };
        assert_eq!(answer.text(), expected, "{caller} {method} {body}");
        let seen = Seen {
            method: method.to_owned(),
            body: body.to_owned(),
            framing: framing.to_owned(),
        };
        assert_eq!(upstream.seen()[before..], [seen], "{caller}");
    };
    for caller in HANDLERS {
        for method in [
            "GET", "HEAD", "DELETE", "OPTIONS", "PATCH", "POST", "PUT", "PURGE",
        ] {
            check(caller, method, "content", "chunked").await;
        }
        for method in ["GET", "HEAD", "DELETE", "OPTIONS"] {
            check(caller, method, "", "").await;
        }
        let address = upstream.address();
        let path = format!("/request?method=CONNECT;body=content;to=http://{address}/");
        let answer = sampan.call(caller, &path).await;
        assert_eq!(
            answer.text(),
            "ErrorCode::HttpRequestMethodInvalid",
            "{caller}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_beyond_the_limit_of_connections_wait_for_a_free_one() {
    for caller in HANDLERS {
        let upstream = Upstream::start_waiting_for(3).await;
        let (sampan, _files) = up("outboundConnections: 3", upstream.address()).await;
        let path = format!("/many?count=20;to=http://{}/", upstream.address());
        let answer = sampan.call(caller, &path).await;
        assert_eq!(answer.text(), ["200 ok"; 20].join(", "), "{caller}");
        assert_eq!(upstream.seen().len(), 20, "{caller}");
        assert_eq!(upstream.most_at_once(), 3, "{caller}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_5_outbound_connections_end_at_their_limit() {
    // A head without its body, so that the response stays open.
    let headed =
        listen(|stream| stall(stream, b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n")).await;
    // A whole response before the end of the request, so that the request stays open.
    let early = listen(|mut stream| async move {
        let response = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        let mut request = [0; 4096];
        if stream.read(&mut request).await.is_ok_and(|read| read > 0)
            && stream.write_all(response).await.is_ok()
        {
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    })
    .await;
    // The early upstream answers once on a connection, which a second call might find in the pool.
    for (address, option, calls) in [(headed, "", 3), (early, "method=POST;open=true;", 1)] {
        let (sampan, _files) = up("outboundConnections: 5, timeout: 20s", address).await;
        let before = sampan.open_files();
        for _ in 0..calls {
            // The function's own limit on connecting ends the wait. It is long enough to connect.
            let path = format!("/hold?connect=4000;{option}to=http://{address}/");
            let answer = sampan.call("probe", &path).await;
            assert_eq!(answer.text(), "5: ErrorCode::ConnectionLimitReached");
        }
        let after = sampan.open_files();
        assert!(after <= before + 20, "{before} open files became {after}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_holds_every_connection_ends_at_its_deadline() {
    let address =
        listen(|stream| stall(stream, b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n")).await;
    let (sampan, _files) = up("outboundConnections: 2, timeout: 3s", address).await;
    let answer = sampan
        .call("probe", &format!("/hold?to=http://{address}/"))
        .await;
    assert_eq!(answer.status, 504, "{answer:?}");
    assert_eq!(answer.headers["sampan-cause"], "outbound_connections");
    let expected = [
        "one of the 2 connections that limits.outboundConnections allows",
        "none of the 2 connections that limits.outboundConnections allows became free",
    ];
    sampan
        .wait_for_log(|log| expected.iter().all(|line| log.contains(line)))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_responses_beyond_the_budget_keep_their_connections() {
    const LENGTH: usize = 40_000;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n");
    let response = Arc::new([head.into_bytes(), vec![b'a'; LENGTH]].concat());
    let address = listen(move |mut stream| {
        let response = Arc::clone(&response);
        async move {
            while read_request(&mut stream).await && stream.write_all(&response).await.is_ok() {}
        }
    })
    .await;
    // The guests read the first body when every head is there.
    for (count, timeout, fits) in [(10, "30s", true), (40, "3s", false)] {
        let limits = format!("outboundConnections: 2, timeout: {timeout}");
        let (sampan, _files) = up(&limits, address).await;
        for caller in HANDLERS {
            let path = format!("/many?count={count};to=http://{address}/");
            let answer = sampan.call(caller, &path).await;
            if fits {
                assert_eq!(answer.status, 200, "{caller}");
                let read = answer.text().matches('a').count();
                assert_eq!(read, count * LENGTH, "{caller}");
            } else {
                assert_eq!(answer.status, 504, "{caller}");
                let cause = &answer.headers["sampan-cause"];
                assert_eq!(cause, "outbound_connections", "{caller}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_limits_of_a_request_hold() {
    // Without them, the deadline of the call would come first. What must arrive within one has
    // seconds.
    let limits = "timeout: 20s";
    let silent = listen(|stream| stall(stream, b"")).await;
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n";
    let headed = listen(move |stream| stall(stream, head)).await;
    let part = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart";
    let broken = listen(move |stream| stall(stream, part)).await;
    for (address, option, expected) in [
        (silent, "first=300", "ErrorCode::ConnectionReadTimeout"),
        (headed, "first=5000", "200 "),
        (headed, "between=300", "200 "),
        (broken, "between=5000", "200 part"),
        (broken, "first=10000;between=5000", "200 part"),
    ] {
        let (sampan, _files) = up(limits, address).await;
        for caller in HANDLERS {
            let path = format!("/request?{option};to=http://{address}/");
            let answer = sampan.call(caller, &path).await;
            // The error of a stream in 0.2 is a text.
            let text = answer
                .text()
                .replace("connection read timeout", "ConnectionReadTimeout");
            let ended = text.starts_with(expected) && text.contains("ConnectionReadTimeout");
            assert!(ended, "{caller} {option}: {answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_begin_ends_its_request() {
    // No request arrives there.
    let address = listen(|stream| stall(stream, b"")).await;
    let (sampan, _files) = up("timeout: 30s", address).await;
    for caller in HANDLERS {
        for method in ["GET", "HEAD", "DELETE", "OPTIONS"] {
            let path = format!("/request?method={method};open=true;first=300;to=http://{address}/");
            let answer = sampan.call(caller, &path).await;
            let expected = "ErrorCode::ConnectionWriteTimeout";
            assert_eq!(answer.text(), expected, "{caller} {method}");
        }
    }
}

/// A server must be able to distinguish such a request from a complete one.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_broken_off_when_its_guest_ends_before_it() {
    let upstream = Upstream::start().await;
    let (sampan, _files) = up("timeout: 1s", upstream.address()).await;
    for (number, caller) in HANDLERS.into_iter().enumerate() {
        let address = upstream.address();
        // The response comes after the whole request, for which the guest has no time.
        let path = format!("/request?method=POST;body=part;open=true;to=http://{address}/");
        let answer = sampan.call(caller, &path).await;
        assert_eq!(answer.status, 504, "{caller}");
        let begun = Instant::now();
        while upstream.seen().len() == number {
            assert!(begun.elapsed() < TEST_TIMEOUT, "{caller}: no request");
            tokio::task::yield_now().await;
        }
        let seen = &upstream.seen()[number];
        assert!(seen.body.starts_with("broken off: "), "{caller}: {seen:?}");
    }
}

/// A server that answers the first request of each connection, and closes the connection after the
/// second with a part of a response.
struct Closing {
    address: SocketAddr,
    /// The second requests.
    closed: Arc<AtomicUsize>,
}

impl Closing {
    async fn start(part: &'static [u8]) -> Closing {
        let closed = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&closed);
        let address = listen(move |mut stream| {
            let counted = Arc::clone(&counted);
            async move {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                if read_request(&mut stream).await
                    && stream.write_all(answer).await.is_ok()
                    && read_request(&mut stream).await
                {
                    counted.fetch_add(1, Ordering::SeqCst);
                    let _ = stream.write_all(part).await;
                }
            }
        })
        .await;
        Closing { address, closed }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_an_answer_on_a_pooled_connection_is_sent_once_more() {
    let none: &[u8] = b"";
    let some: &[u8] = b"HTTP/1.1 2";
    for (method, body, part, is_repeated) in [
        ("GET", "", none, true),
        ("HEAD", "", none, true),
        ("DELETE", "", none, true),
        ("OPTIONS", "", none, true),
        ("PUT", "body=text;", none, true),
        ("GET", "body=text;", none, true),
        ("DELETE", "body=text;", none, true),
        // Not idempotent, or it has an answer.
        ("POST", "", none, false),
        ("POST", "body=text;", none, false),
        ("PATCH", "", none, false),
        ("GET", "", some, false),
        ("PUT", "body=text;", some, false),
    ] {
        let closing = Closing::start(part).await;
        let address = closing.address;
        let (sampan, _files) = up("timeout: 30s", address).await;
        for caller in HANDLERS {
            let begun = Instant::now();
            let before = closing.closed.load(Ordering::SeqCst);
            let mut failed = 0;
            // A connection becomes free a moment after its response has ended, so a call may find
            // none.
            while closing.closed.load(Ordering::SeqCst) == before {
                assert!(
                    begun.elapsed() < TEST_TIMEOUT,
                    "no connection is used twice"
                );
                let path = format!("/request?method={method};{body}to=http://{address}/");
                let answer = sampan.call(caller, &path).await;
                if answer.text() != "200 " {
                    assert!(answer.text().contains("ErrorCode::"), "{answer:?}");
                    failed += 1;
                }
            }
            assert_eq!(
                failed,
                usize::from(!is_repeated),
                "{caller} {method} {body}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_fails_because_its_upstream_closes_idle_connections() {
    // Closes right after each response, without a word in it.
    let address = listen(|mut stream| async move {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        if read_request(&mut stream).await {
            let _ = stream.write_all(answer).await;
        }
    })
    .await;
    let (sampan, _files) = up("timeout: 30s", address).await;
    for caller in HANDLERS {
        for number in 0..50 {
            let path = format!("/request?to=http://{address}/");
            let answer = sampan.call(caller, &path).await;
            assert_eq!(answer.text(), "200 ok", "{caller}, call {number}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_call_is_logged_with_its_target_and_the_reason() {
    let closed = sampan_tests::ClosedPort::reserve();
    let (sampan, _files) = up("timeout: 30s", closed.address()).await;
    for caller in HANDLERS {
        let check = async |target: &str, error: &str, line: &str| {
            let path = format!("/request?to={target}");
            let answer = sampan.call(caller, &path).await;
            assert!(answer.text().contains(error), "{caller}: {answer:?}");
            let by = format!("function={caller} ");
            sampan
                .wait_for_line(&["an outbound call failed", line, &by])
                .await;
        };
        let port = closed.address().port();
        check(
            "http://other.example:81/",
            "HttpRequestDenied",
            "no rule of outbound.allow",
        )
        .await;
        check(
            "http://other.example:82/",
            "HttpRequestDenied",
            "host=\"other.example\" port=82",
        )
        .await;
        let target = format!("http://{}/", closed.address());
        check(&target, "ConnectionRefused", &format!("port={port}")).await;
    }
    // A flood of refusals does not flood the log.
    let counts_others = |log: &str| {
        log.lines().any(|line| {
            line.contains("flood.example")
                && line.contains(" left_out=")
                && !line.contains(" left_out=0")
        })
    };
    let begun = Instant::now();
    let mut calls = 0;
    while !counts_others(&sampan.stderr()) {
        assert!(begun.elapsed() < TEST_TIMEOUT, "no line counts others");
        for _ in 0..100 {
            let path = "/request?to=http://flood.example/";
            sampan.call("probe", path).await;
        }
        calls += 100;
    }
    let lines = sampan.stderr().matches("flood.example").count();
    assert!(lines < calls, "{lines} lines of {calls} calls");
}
