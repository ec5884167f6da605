//! Tests of listeners that are added and removed while others serve.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(
    clippy::unused_async,
    reason = "what makes a server of fixed addresses is not used here"
)]
mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sampan_runner::{Listener, Listeners, ServerConfig};
use support::frames::{GOAWAY, PREFACE, SETTINGS, frame};
use support::{Plain, TEST_TIMEOUT, read_to_close, statuses};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const GET_AND_CLOSE: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

fn listeners(adjust: impl FnOnce(&mut ServerConfig)) -> Listeners {
    let mut config = ServerConfig::new(Vec::new());
    adjust(&mut config);
    Listeners::new(config)
}

fn add(listeners: &Listeners, handler: &Arc<Plain>) -> Listener {
    let address = "127.0.0.1:0".parse().unwrap();
    listeners.add(address, Arc::clone(handler)).unwrap()
}

async fn send(address: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// Reads a response that leaves its connection open.
async fn read_some(stream: &mut TcpStream) -> String {
    let mut answer = [0; 4096];
    let count = timeout(TEST_TIMEOUT, stream.read(&mut answer)).await;
    String::from_utf8_lossy(&answer[..count.unwrap().unwrap()]).into_owned()
}

async fn until(condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < TEST_TIMEOUT, "it does not happen");
        tokio::task::yield_now().await;
    }
}

fn busy(handler: &Plain) -> usize {
    handler.busy.load(Ordering::SeqCst)
}

#[tokio::test]
async fn each_listener_has_its_own_handler() {
    let listeners = listeners(|_| {});
    let handlers = [Arc::new(Plain::default()), Arc::new(Plain::default())];
    let added = handlers.each_ref().map(|handler| add(&listeners, handler));
    for (index, listener) in added.iter().enumerate() {
        for _ in 0..=index {
            let mut stream = send(listener.address(), GET_AND_CLOSE).await;
            assert_eq!(statuses(&read_to_close(&mut stream).await), [200]);
        }
    }
    let seen = handlers.map(|handler| handler.seen.lock().unwrap().len());
    assert_eq!(seen, [1, 2]);
    let summary = listeners.drain(&Plain::default()).await;
    assert_eq!((summary.connections, summary.cut), (3, 0));
}

#[tokio::test]
async fn one_socket_serves_both_versions_of_the_protocol() {
    let listeners = listeners(|_| {});
    let listener = listeners.add_port(0, Arc::new(Plain::default())).unwrap();
    let port = listener.address().port();
    let mut stream = send(SocketAddr::from(([127, 0, 0, 1], port)), "").await;
    let head = "GET /head HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(statuses(&read_to_close(&mut stream).await), [200]);
    if listener.address().is_ipv6() {
        let local = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port));
        let mut stream = send(local, GET_AND_CLOSE).await;
        assert_eq!(statuses(&read_to_close(&mut stream).await), [200]);
    }
}

#[tokio::test]
async fn removing_one_drains_it_and_touches_no_other() {
    let listeners = listeners(|_| {});
    let (removed, kept) = (Arc::new(Plain::default()), Arc::new(Plain::default()));
    let (listener, other) = (add(&listeners, &removed), add(&listeners, &kept));
    let address = listener.address();
    let mut idle = send(address, GET).await;
    assert_eq!(statuses(&read_some(&mut idle).await), [200]);
    let mut others = send(other.address(), GET).await;
    assert_eq!(statuses(&read_some(&mut others).await), [200]);
    let head = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab";
    let mut begun = send(address, head).await;
    until(|| busy(&removed) == 1).await;

    let closing = tokio::spawn(listener.close());
    // An idle connection closes at once.
    assert_eq!(read_to_close(&mut idle).await, "");
    // The port is free for another listener while the request is in progress.
    let again = listeners.add(address, Arc::clone(&kept)).unwrap();
    let mut stream = send(address, GET_AND_CLOSE).await;
    assert_eq!(statuses(&read_to_close(&mut stream).await), [200]);
    // The connections of the other listener stay open.
    others.write_all(GET.as_bytes()).await.unwrap();
    assert_eq!(statuses(&read_some(&mut others).await), [200]);

    begun.write_all(b"cd").await.unwrap();
    let answer = read_to_close(&mut begun).await;
    assert_eq!(statuses(&answer), [200], "{answer}");
    assert!(answer.ends_with("2\r\ncd\r\n0\r\n\r\n"), "{answer}");
    assert_eq!(timeout(TEST_TIMEOUT, closing).await.unwrap().unwrap(), 0);
    assert_eq!(kept.seen.lock().unwrap().len(), 3);
    drop(again);
}

#[tokio::test]
async fn removing_one_says_goodbye_over_http2() {
    let listeners = listeners(|_| {});
    let listener = add(&listeners, &Arc::new(Plain::default()));
    let mut stream = TcpStream::connect(listener.address()).await.unwrap();
    let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    stream.write_all(&hello).await.unwrap();
    assert_eq!(kind_of_next(&mut stream).await, SETTINGS);
    drop(listener);
    while kind_of_next(&mut stream).await != GOAWAY {}
}

/// Reads a frame; returns its kind.
async fn kind_of_next(stream: &mut TcpStream) -> u8 {
    let mut head = [0; 9];
    let read = timeout(TEST_TIMEOUT, stream.read_exact(&mut head)).await;
    read.unwrap().expect("another frame comes");
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut payload).await.unwrap();
    head[3]
}

#[tokio::test]
async fn a_removed_listener_cuts_what_does_not_finish_in_time() {
    let listeners = listeners(|config| config.drain = Duration::from_millis(100));
    let handler = Arc::new(Plain::default());
    let listener = add(&listeners, &handler);
    let mut stuck = send(listener.address(), "GET /never HTTP/1.1\r\nhost: a\r\n\r\n").await;
    until(|| busy(&handler) == 1).await;
    let cut = timeout(TEST_TIMEOUT, listener.close()).await.unwrap();
    assert_eq!((cut, busy(&handler)), (1, 0));
    assert_eq!(read_to_close(&mut stuck).await, "");
}

#[tokio::test]
async fn all_listeners_share_one_limit_of_connections() {
    let listeners = listeners(|config| config.max_connections = 2);
    let handler = Arc::new(Plain::default());
    let added: Vec<_> = (0..4).map(|_| add(&listeners, &handler)).collect();
    let never = "GET /never HTTP/1.1\r\nhost: a\r\n\r\n";
    let first = send(added[0].address(), never).await;
    let second = send(added[1].address(), never).await;
    until(|| busy(&handler) == 2).await;
    let mut third = send(added[2].address(), GET_AND_CLOSE).await;
    let mut fourth = send(added[3].address(), GET_AND_CLOSE).await;
    let early = timeout(Duration::from_millis(100), third.read_u8()).await;
    assert!(early.is_err(), "{early:?}");
    drop(first);
    for stream in [&mut third, &mut fourth] {
        assert_eq!(statuses(&read_to_close(stream).await), [200]);
    }
    drop(second);
}

#[tokio::test]
async fn the_drain_ends_all_listeners() {
    let listeners = listeners(|_| {});
    let handler = Arc::new(Plain::default());
    let mut added: Vec<_> = (0..8).map(|_| add(&listeners, &handler)).collect();
    let addresses: Vec<_> = added.iter().map(Listener::address).collect();
    let mut idle = Vec::new();
    for address in &addresses {
        let mut stream = send(*address, GET).await;
        assert_eq!(statuses(&read_some(&mut stream).await), [200]);
        idle.push(stream);
    }
    // One of them is already being removed.
    drop(added.pop());
    let summary = timeout(TEST_TIMEOUT, listeners.drain(&*handler))
        .await
        .unwrap();
    assert_eq!((summary.connections, summary.cut), (8, 0));
    for (mut stream, address) in idle.into_iter().zip(addresses) {
        assert_eq!(read_to_close(&mut stream).await, "");
        assert!(TcpStream::connect(address).await.is_err(), "{address}");
    }
}

#[tokio::test]
async fn a_taken_port_is_an_error_with_its_address() {
    let listeners = listeners(|_| {});
    let handler = Arc::new(Plain::default());
    let listener = add(&listeners, &handler);
    let error = listeners.add(listener.address(), handler).unwrap_err();
    assert_eq!(error.address, listener.address());
}

#[tokio::test]
async fn many_listeners_come_and_go() {
    let listeners = listeners(|_| {});
    let handler = Arc::new(Plain::default());
    let mut added: Vec<_> = (0..200).map(|_| add(&listeners, &handler)).collect();
    for listener in added.drain(100..) {
        assert_eq!(timeout(TEST_TIMEOUT, listener.close()).await.unwrap(), 0);
    }
    for listener in &added {
        let mut stream = send(listener.address(), GET_AND_CLOSE).await;
        assert_eq!(statuses(&read_to_close(&mut stream).await), [200]);
    }
}
