//! Tests bodies that stream, stall and break off, over real connections; and every kind of
//! component that answers HTTP.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, Request, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use sampan_tests::{Guests, HANDLERS, Protocol, Sampan, TEST_TIMEOUT};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

async fn up(lines: &str) -> (Sampan, Guests) {
    let guests = Guests::handlers(lines);
    (Sampan::up(guests.folder()).await, guests)
}

fn echo(sampan: &Sampan, function: &str) -> http::request::Builder {
    let uri = format!("http://{}/function/{function}/echo", sampan.address());
    Request::post(uri)
        .header("host", sampan.address().to_string())
        .header("te", "trailers")
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_stream_both_ways_at_once() {
    let (sampan, _files) = up("").await;
    for function in HANDLERS {
        for protocol in Protocol::ALL {
            let (sender, receiver) = mpsc::channel::<Bytes>(1);
            let pieces = stream::unfold(receiver, async |mut receiver| {
                let piece = receiver.recv().await?;
                Some((Ok(Frame::data(piece)), receiver))
            });
            let request = echo(&sampan, function)
                .body(StreamBody::new(Box::pin(pieces)))
                .expect("a request");
            let answering = protocol.send(sampan.address(), request);
            let first = sender.send(Bytes::from_static(b"piece 0"));
            let (answer, sent) = tokio::join!(answering, first);
            sent.expect("it is read");
            assert_eq!(answer.status(), 200);
            let mut body = answer.into_body();
            // Each piece comes back before the next is sent.
            for number in 0..5 {
                let expected = format!("piece {number}");
                let frame = timeout(TEST_TIMEOUT, body.frame()).await.expect("in time");
                let frame = frame.expect("no end yet").expect("no error");
                let data = frame.into_data().expect("no trailers yet");
                assert_eq!(data, expected.as_bytes(), "{function} by {protocol:?}");
                if number < 4 {
                    let next = Bytes::from(format!("piece {}", number + 1));
                    sender.send(next).await.expect("it is read");
                }
            }
            drop(sender);
            let rest = body.collect().await.expect("an orderly end");
            assert!(rest.to_bytes().is_empty());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_pass_both_ways() {
    let (sampan, _files) = up("").await;
    for function in HANDLERS {
        for protocol in Protocol::ALL {
            let mut trailers = HeaderMap::new();
            trailers.insert("x-checksum", "abc".parse().expect("a value"));
            let body = Full::new(Bytes::from_static(b"body"))
                .with_trailers(std::future::ready(Some(Ok(trailers.clone()))));
            let request = echo(&sampan, function)
                .header("trailer", "x-checksum")
                .body(Box::pin(body))
                .expect("a request");
            let answer = protocol.send(sampan.address(), request).await;
            let answer = answer.into_body().collect().await.expect("an answer");
            let came = answer.trailers().cloned();
            assert_eq!(answer.to_bytes(), "body", "{function} by {protocol:?}");
            if protocol == Protocol::Http2 {
                assert_eq!(came, Some(trailers), "{function} by {protocol:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_come_back_whole() {
    let (sampan, _files) = up("").await;
    let large: Bytes = (0..3_000_000_u32)
        .map(|number| number.to_le_bytes()[1])
        .collect();
    for function in HANDLERS {
        for protocol in Protocol::ALL {
            let request = echo(&sampan, function)
                .body(Full::new(large.clone()))
                .expect("a request");
            let answer = protocol.send(sampan.address(), request).await;
            let body = answer.into_body().collect().await.expect("an answer");
            assert!(body.to_bytes() == large, "{function} by {protocol:?}");
        }
    }
}

/// Sends a request that holds the only slot of `probe`, and repeats it while it is rejected. The
/// slot of the previous call is free only when its instance has ended, a moment after its answer.
async fn occupy(sampan: &Sampan, path: &str, fields: &str) -> TcpStream {
    let begun = Instant::now();
    loop {
        let mut stream = TcpStream::connect(sampan.address())
            .await
            .expect("it listens");
        let head = format!("POST /function/probe{path} HTTP/1.1\r\nhost: a\r\n{fields}\r\n");
        stream.write_all(head.as_bytes()).await.expect("it reads");
        loop {
            assert!(begun.elapsed() < TEST_TIMEOUT, "{path} is never taken");
            let other = sampan.call("probe", "/").await.status;
            let mut first = [0; 12];
            let peeked = timeout(Duration::from_millis(5), stream.peek(&mut first)).await;
            if peeked.is_ok_and(|read| read.is_ok()) && first.ends_with(b" 503") {
                break;
            }
            if other == StatusCode::SERVICE_UNAVAILABLE {
                return stream;
            }
        }
    }
}

/// With one slot and no queue, another request is answered only after the first has ended.
#[tokio::test(flavor = "multi_thread")]
async fn scenario_10_a_client_that_goes_away_frees_its_slot() {
    let (sampan, _files) = up("limits: { concurrency: 1, queue: 0, timeout: 100s }\n").await;
    let chunked = "transfer-encoding: chunked\r\n";
    for (path, fields) in [("/never", ""), ("/endless", ""), ("/echo", chunked)] {
        let mut stream = occupy(&sampan, path, fields).await;
        if path == "/endless" {
            let mut some = vec![0; 100_000];
            stream.read_exact(&mut some).await.expect("it answers");
        }
        drop(stream);
        let gone = Instant::now();
        wait_until(async || sampan.call("probe", "/").await.status == StatusCode::OK).await;
        assert!(gone.elapsed() < Duration::from_secs(50), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_10_a_request_whose_body_stalls_ends() {
    let (sampan, _files) = up("limits: { timeout: 1s, concurrency: 1, queue: 0 }\n").await;
    for function in HANDLERS {
        let mut stream = TcpStream::connect(sampan.address())
            .await
            .expect("it listens");
        let head = format!(
            "POST /function/{function}/echo HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nsome"
        );
        stream.write_all(head.as_bytes()).await.expect("it reads");
        let mut answer = Vec::new();
        let read = timeout(TEST_TIMEOUT, stream.read_to_end(&mut answer)).await;
        // Its head is sent already, so the answer can only break off.
        let _ = read.expect("the connection ends");
        let text = String::from_utf8_lossy(&answer);
        assert!(!text.contains("\r\n0\r\n\r\n"), "{function}: {text}");
        wait_until(async || sampan.call(function, "/").await.status == StatusCode::OK).await;
    }
}

async fn wait_until(mut condition: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < TEST_TIMEOUT, "it does not come true");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_answer_is_an_error_for_the_client() {
    let (sampan, _files) = up("limits: { timeout: 500ms }\n").await;
    for protocol in Protocol::ALL {
        let uri = format!("http://{}/function/probe/endless", sampan.address());
        let request = Request::get(uri)
            .header("host", sampan.address().to_string())
            .body(Full::<Bytes>::default())
            .expect("a request");
        let answer = protocol.send(sampan.address(), request).await;
        assert_eq!(answer.status(), 200);
        let mut body = answer.into_body().into_data_stream();
        let broken = timeout(TEST_TIMEOUT, async {
            while let Some(piece) = body.next().await {
                if piece.is_err() {
                    return true;
                }
            }
            false
        });
        assert!(broken.await.expect("it ends"), "{protocol:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_of_0_3_fail_like_those_of_0_2() {
    let (sampan, _files) = up("limits: { timeout: 500ms }\n").await;
    for (path, status) in [
        ("/", 200),
        ("/sleep", 200),
        ("/panic", 500),
        ("/error", 502),
        ("/spin", 504),
    ] {
        let answer = sampan.call("probe-03", path).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
    }
    assert_eq!(sampan.call("probe-03", "/").await.text(), "probe 0.3");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_answer_the_cgi_way_when_asked_to() {
    let guests = Guests::none().and("cgi", "cgi", "http: cgi\n");
    let sampan = Sampan::up(guests.folder()).await;
    let uri = format!("http://{}/function/cgi/a/b?c=d", sampan.address());
    let request = Request::post(uri)
        .header("host", sampan.address().to_string())
        .header("x-test", "yes")
        .body(Full::new(Bytes::from_static(b"hello")))
        .expect("a request");
    let answer = Protocol::Http1.send(sampan.address(), request).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/plain");
    let body = answer.into_body().collect().await.expect("an answer");
    let expected = "POST /a/b?c=d HTTP/1.1\nx-test yes\nbody hello\n";
    assert_eq!(body.to_bytes(), expected);
    for (path, status) in [("/teapot", 418), ("/silent", 502), ("/broken", 502)] {
        let answer = sampan.call("cgi", path).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
    }
}
