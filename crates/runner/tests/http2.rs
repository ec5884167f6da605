//! Tests of HTTP/2 with prior knowledge: behaviour like HTTP/1, and HTTP/2's own attacks.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::frames::{END_HEADERS, END_STREAM, HEADERS, frame, greet};
use support::{CLIENT_TIMEOUT, Fixture, TEST_TIMEOUT, start, start_strict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

async fn client<B>(fixture: &Fixture) -> SendRequest<B>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<support::BoxError>,
{
    let io = TokioIo::new(fixture.connect().await);
    let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (sender, connection) = builder.handshake(io).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn get(path: &str) -> Request<Empty<Bytes>> {
    Request::get(format!("http://a{path}"))
        .body(Empty::new())
        .unwrap()
}

#[tokio::test]
async fn both_protocols_share_a_port() {
    let fixture = start(|_| {}).await;
    let mut sender = client(&fixture).await;
    let response = sender.send_request(get("/x")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.version(), http::Version::HTTP_2);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "GET /x 0 bytes 0 trailers\n");
    let answer = fixture
        .exchange("GET /y HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

#[tokio::test]
async fn bodies_and_trailers_stream_both_ways() {
    let fixture = start(|_| {}).await;
    let mut trailers = HeaderMap::new();
    trailers.insert("sum", HeaderValue::from_static("5"));
    let frames = [
        Frame::data(Bytes::from("hello")),
        Frame::trailers(trailers.clone()),
    ];
    let frames = frames.map(Ok::<_, std::convert::Infallible>);
    let body = StreamBody::new(futures_util::stream::iter(frames));
    let mut sender = client(&fixture).await;
    let response = sender
        .send_request(Request::post("http://a/echo").body(body).unwrap())
        .await;
    let collected = response.unwrap().into_body().collect().await.unwrap();
    assert_eq!(collected.trailers(), Some(&trailers));
    assert_eq!(collected.to_bytes(), "hello");
}

#[tokio::test]
async fn the_target_and_the_cookies_are_those_of_http1() {
    let fixture = start(|_| {}).await;
    let mut request = get("/head");
    for cookie in ["a=1", "b=2"] {
        let cookie = HeaderValue::from_static(cookie);
        request.headers_mut().append("cookie", cookie);
    }
    let response = client(&fixture).await.send_request(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "http://a/head [\"a=1; b=2\"]\n");
    // Without `:authority`.
    let mut stream = greet(&fixture).await;
    let block = [&[0x82, 0x86, 0x44, 5][..], b"/head"].concat();
    stream
        .write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &block))
        .await
        .unwrap();
    let expected = format!("http://{}/head []", fixture.address);
    let mut answer = Vec::new();
    let arrival = async {
        while !String::from_utf8_lossy(&answer).contains(&expected) {
            let count = stream.read_buf(&mut answer).await.unwrap();
            assert!(count > 0, "{}", String::from_utf8_lossy(&answer));
        }
    };
    timeout(TEST_TIMEOUT, arrival).await.unwrap();
}

#[tokio::test]
async fn limits_hold_as_on_http1() {
    async fn check<B>(fixture: &Fixture, request: Request<B>, expected: u16)
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<support::BoxError>,
    {
        let response = client(fixture).await.send_request(request).await.unwrap();
        assert_eq!(response.status().as_u16(), expected);
    }
    let fixture = start(|_| {}).await;
    let post = |length: usize| {
        let body = Full::new(Bytes::from(vec![b'x'; length]));
        Request::post("http://a/limit").body(body).unwrap()
    };
    check(&fixture, post(100), 200).await;
    check(&fixture, post(101), 413).await;
    let chunks = |length: usize| {
        let frame = Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from(vec![b'x'; length])));
        let body = StreamBody::new(futures_util::stream::iter([frame]));
        Request::post("http://a/limit").body(body).unwrap()
    };
    check(&fixture, chunks(100), 200).await;
    check(&fixture, chunks(101), 413).await;
    check(&fixture, get(&format!("/{}", "x".repeat(16 * 1024))), 414).await;
    let mut large = get("/");
    large
        .headers_mut()
        .insert("x", HeaderValue::from_str(&"y".repeat(60 * 1024)).unwrap());
    check(&fixture, large, 431).await;
    for (count, status) in [(101, 200), (900, 200), (2000, 431)] {
        let mut many = get("/");
        for _ in 0..count {
            many.headers_mut()
                .append("x", HeaderValue::from_static("y"));
        }
        check(&fixture, many, status).await;
    }
    let mut other = get("/");
    other
        .headers_mut()
        .insert("host", HeaderValue::from_static("b"));
    check(&fixture, other, 400).await;
}

#[tokio::test]
async fn responses_that_may_have_no_content_have_none() {
    async fn check(
        fixture: &Fixture,
        method: &str,
        path: &str,
        status: u16,
        length: Option<usize>,
    ) {
        let request = Request::builder().method(method);
        let request = request.uri(format!("http://a{path}"));
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let response = client(fixture).await.send_request(request).await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{method} {path}");
        let announced = response.headers().get("content-length").cloned();
        let announced = announced.map(|value| value.to_str().unwrap().parse::<usize>().unwrap());
        assert_eq!(announced, length, "{method} {path}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "", "{method} {path}");
    }
    let fixture = start(|_| {}).await;
    let to_get = "HEAD /x 0 bytes 0 trailers\n".len();
    check(&fixture, "HEAD", "/x", 200, Some(to_get)).await;
    check(&fixture, "HEAD", "/echo", 200, None).await;
    for method in ["GET", "HEAD"] {
        check(&fixture, method, "/empty", 204, None).await;
        check(&fixture, method, "/unchanged", 304, None).await;
    }
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_requests() {
    let fixture = start(|_| {}).await;
    // By cancelling one request, and by closing the connection.
    let mut sender = client(&fixture).await;
    let cancelled = tokio::spawn(sender.send_request(get("/never")));
    fixture.wait_until_busy(1).await;
    cancelled.abort();
    fixture.wait_until_busy(0).await;
    let closed = tokio::spawn(sender.send_request(get("/never")));
    fixture.wait_until_busy(1).await;
    closed.abort();
    drop(sender);
    fixture.wait_until_busy(0).await;
}

#[tokio::test]
async fn a_stream_that_is_not_read_is_cut_and_its_neighbours_are_not() {
    let fixture = start_strict().await;
    let mut sender = client(&fixture).await;
    let unread = sender.send_request(get("/endless")).await.unwrap();
    fixture.wait_until_busy(1).await;
    let begun = Instant::now();
    while fixture.busy() > 0 {
        assert!(begun.elapsed() < TEST_TIMEOUT);
        let neighbour = sender.send_request(get("/")).await.unwrap();
        assert_eq!(neighbour.status(), StatusCode::OK);
    }
    assert!(
        begun.elapsed() > CLIENT_TIMEOUT / 2,
        "{:?}",
        begun.elapsed()
    );
    let error = unread.into_body().collect().await.unwrap_err();
    assert!(error.to_string().contains("error reading"), "{error}");
}

#[tokio::test]
async fn stopping_finishes_streams_and_sends_goaway() {
    let fixture = start(|_| {}).await;
    let mut sender = client(&fixture).await;
    let (part, parts) = tokio::sync::mpsc::channel(1);
    let parts = futures_util::stream::unfold(parts, |mut parts| async {
        let part: Option<Bytes> = parts.recv().await;
        part.map(|part| (Ok::<_, std::convert::Infallible>(Frame::data(part)), parts))
    });
    let body = StreamBody::new(Box::pin(parts));
    let request = Request::post("http://a/echo").body(body).unwrap();
    let response = sender.send_request(request).await.unwrap();
    fixture.wait_until_busy(1).await;
    let address = fixture.address;
    let serving = fixture.stop();
    // The server accepts no connection once stopping has begun.
    let begun = Instant::now();
    while TcpStream::connect(address).await.is_ok() {
        assert!(begun.elapsed() < TEST_TIMEOUT);
        tokio::task::yield_now().await;
    }
    part.send(Bytes::from("last")).await.unwrap();
    drop(part);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "last");
    let summary = timeout(TEST_TIMEOUT, serving).await.unwrap().unwrap();
    assert_eq!(summary.cut, 0);
    assert!(sender.ready().await.is_err());
}
