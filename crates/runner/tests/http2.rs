//! Tests of HTTP/2 with prior knowledge: behaviour like HTTP/1, and HTTP/2's own attacks.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::{CLIENT_TIMEOUT, Fixture, TEST_TIMEOUT, read_to_close, start, start_strict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

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

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

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

async fn greet(fixture: &Fixture) -> TcpStream {
    let mut stream = fixture.connect().await;
    stream
        .write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat())
        .await
        .unwrap();
    stream
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
