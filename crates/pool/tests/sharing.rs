//! Tests of pods that share their compiled modules.

mod support;

use std::net::SocketAddr;

use sampan_engine::CacheKey;
use sampan_pool::{Event, PeerSettings};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use support::registry::Registry;
use support::{Fixture, TEST_TIMEOUT, check, free_port, guest, pooled, resource, settings};

fn peers(key: u8, own: u16, others: &[u16]) -> PeerSettings {
    let address = SocketAddr::from(([127, 0, 0, 1], own));
    let pods = others.iter().chain([&own]);
    PeerSettings {
        key: CacheKey::new(&[key; CacheKey::LENGTH]).expect("it is a key"),
        listen: address,
        own: address,
        pods: pods.map(|port| format!("127.0.0.1:{port}")).collect(),
    }
}

fn start(peers: PeerSettings) -> Fixture {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut settings = settings(folder.path());
    settings.peers = Some(peers);
    Fixture::start_with(folder, settings)
}

/// The number of modules of these functions that a pool has compiled.
fn compiled<'a>(pool: &Fixture, names: impl IntoIterator<Item = &'a str>) -> u64 {
    let of = |name| {
        pool.value::<u64>(&format!(
            "sampan_function_compilation_seconds_count{{function=\"{name}\"}}"
        ))
    };
    names.into_iter().map(of).sum()
}

/// The number of requests to other pods with a result.
fn asked(pool: &Fixture, result: &str) -> u64 {
    pool.value(&format!(
        "sampan_pool_peer_requests_total{{result=\"{result}\"}}"
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_further_pod_gets_its_modules_from_the_others() {
    let registry = Registry::start().await;
    let images: Vec<String> = (0..3)
        .map(|number| {
            registry
                .push(&format!("f{number}"), "1", guest(&format!("word{number}")))
                .0
        })
        .collect();
    let (a, b) = (free_port(), free_port());
    let first = start(peers(1, a, &[b]));
    let listed = |ports: &[u16]| {
        let functions = images.iter().zip(ports).enumerate();
        let all = functions.map(|(number, (image, port))| {
            pooled(resource(&format!("f{number}"), 1, *port, image, json!({})))
        });
        Event::Listed(all.collect())
    };
    let ports: Vec<u16> = images.iter().map(|_| free_port()).collect();
    first.send(listed(&ports)).await;
    first.until_ready().await;
    let names = ["f0", "f1", "f2"];
    assert_eq!((compiled(&first, names), asked(&first, "fetched")), (3, 0));

    let second = start(peers(1, b, &[a]));
    let ports: Vec<u16> = images.iter().map(|_| free_port()).collect();
    second.send(listed(&ports)).await;
    second.until_ready().await;
    assert_eq!(
        (compiled(&second, names), asked(&second, "fetched")),
        (0, 3)
    );
    for (number, port) in ports.into_iter().enumerate() {
        check(port, 200, &[&format!("word{number}")], &[]).await;
    }
}

/// Which of them compiles depends on the moment at which each has asked the others; `in_flight.rs` and `rank.rs` have the
/// tests of that.
#[tokio::test(flavor = "multi_thread")]
async fn each_pod_gets_a_module_once_when_many_functions_of_many_pods_want_it() {
    let registry = Registry::start().await;
    let ports = [free_port(), free_port(), free_port()];
    let pods: Vec<Fixture> = ports
        .iter()
        .map(|own| start(peers(1, *own, &ports)))
        .collect();
    let (image, _) = registry.push("f", "1", guest("word"));
    let names = ["a", "b", "c", "d"];
    for name in names {
        for pod in &pods {
            pod.apply(resource(name, 1, free_port(), &image, json!({})))
                .await;
        }
    }
    for pod in &pods {
        for name in names {
            pod.until_serving(name, 1).await;
        }
    }
    for pod in &pods {
        assert_eq!(compiled(pod, names) + asked(pod, "fetched"), 1);
        assert_eq!(asked(pod, "failed"), 0);
    }
    let all: u64 = pods.iter().map(|pod| compiled(pod, names)).sum();
    assert!(all >= 1, "one of them has compiled it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_of_another_key_gets_nothing_and_gives_nothing() {
    let registry = Registry::start().await;
    let (image, _) = registry.push("f", "1", guest("here"));
    let (a, b) = (free_port(), free_port());
    let first = start(peers(1, a, &[b]));
    first
        .apply(resource("f", 1, free_port(), &image, json!({})))
        .await;
    first.until_serving("f", 1).await;
    let stranger = start(peers(2, b, &[a]));
    let port = free_port();
    stranger
        .apply(resource("f", 1, port, &image, json!({})))
        .await;
    stranger.until_serving("f", 1).await;
    check(port, 200, &["here"], &[]).await;
    assert_eq!(compiled(&stranger, ["f"]), 1);
    assert_eq!(
        (asked(&stranger, "fetched"), asked(&stranger, "failed")),
        (0, 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_a_proof_is_not_read() {
    let registry = Registry::start().await;
    let (image, _) = registry.push("f", "1", guest("here"));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let pretender = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            assert!(stream.read_buf(&mut head).await.expect("it reads") > 0);
        }
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nsampan-proof: {}\r\n\r\ncode",
            "0".repeat(64)
        );
        stream
            .write_all(answer.as_bytes())
            .await
            .expect("it writes");
    });
    let pool = start(peers(1, free_port(), &[port]));
    let own = free_port();
    pool.apply(resource("f", 1, own, &image, json!({}))).await;
    pool.until_serving("f", 1).await;
    pretender.await.expect("it was asked");
    check(own, 200, &["here"], &[]).await;
    assert_eq!((compiled(&pool, ["f"]), asked(&pool, "fetched")), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_without_a_proof_are_refused() {
    let own = free_port();
    let _pool = start(peers(1, own, &[]));
    let status = async |request: &str| {
        let exchange = async {
            let mut stream = TcpStream::connect(("127.0.0.1", own)).await?;
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            std::io::Result::Ok(answer)
        };
        let answer = timeout(TEST_TIMEOUT, exchange).await.expect("in time");
        let answer = answer.expect("an answer");
        answer.split(' ').nth(1).map(str::to_owned)
    };
    let name = "a".repeat(64);
    let head = |line: &str, headers: &str| format!("{line} HTTP/1.1\r\nhost: a\r\n{headers}\r\n");
    let module = format!("GET /modules/{name}");
    let proof = format!("authorization: Sampan {}\r\n", "0".repeat(64));
    let rest = format!(
        "sampan-from: 127.0.0.1:1\r\nsampan-nonce: {}\r\n",
        "0".repeat(32)
    );
    let check = async |request: String, expected: &str| {
        assert_eq!(
            status(&request).await.as_deref(),
            Some(expected),
            "{request}"
        );
    };
    check(head("GET /", ""), "404").await;
    check(head("GET /modules/../key", ""), "404").await;
    check(head(&format!("POST /modules/{name}"), ""), "405").await;
    check(head(&module, ""), "401").await;
    check(head(&module, &rest), "401").await;
    check(head(&module, &proof), "400").await;
    check(head(&module, &format!("{proof}{rest}")), "401").await;
}
