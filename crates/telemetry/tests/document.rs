//! Tests of a document on the admin server over real sockets.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sampan_telemetry::{Document, Health, Registry, admin};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// A number. A query is the number that the client knows.
struct Number(Arc<watch::Sender<u64>>);

impl Document for Number {
    const PATH: Option<&'static str> = Some("/number");
    const LONGEST_WAIT: Duration = Duration::from_secs(1);
    type Query = Option<u64>;

    fn parse(&self, query: &str) -> Result<Option<u64>, String> {
        if query.is_empty() {
            return Ok(None);
        }
        query.parse().map(Some).map_err(|_| "no number".to_owned())
    }

    async fn changed(&self, known: &Option<u64>) {
        let mut number = self.0.subscribe();
        let changed = number.wait_for(|number| Some(*number) != *known).await;
        drop(changed.unwrap());
    }

    fn read(&self, _: &Option<u64>) -> Result<String, Box<dyn Error + Send + Sync>> {
        match *self.0.borrow() {
            13 => Err("an unlucky number".into()),
            number => Ok(number.to_string()),
        }
    }
}

struct Fixture {
    address: SocketAddr,
    number: Arc<watch::Sender<u64>>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

async fn start() -> Fixture {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let number = Arc::new(watch::Sender::new(1));
    let (stop, stopped) = oneshot::channel::<()>();
    let document = Number(Arc::clone(&number));
    let (registry, health) = (Registry::new(), Health::not_ready("testing"));
    let serving = tokio::spawn(async move {
        let shutdown = async { drop(stopped.await) };
        admin::serve_with(listener, registry, health, document, shutdown).await;
    });
    Fixture {
        address,
        number,
        stop,
        serving,
    }
}

async fn ask(address: SocketAddr, target: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("{target} HTTP/1.1\r\nhost: admin\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

async fn answer(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_document_is_json_of_its_query() {
    let fixture = start().await;
    let check = async |target: &str, status: &str, contained: &str| {
        let answer = answer(ask(fixture.address, target).await).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}\r\n")) && answer.contains(contained),
            "{target}: {answer}"
        );
    };
    check("GET /number", "200 OK", "content-type: application/json").await;
    check("GET /number", "200 OK", "\r\n\r\n1").await;
    check("GET /number?0", "200 OK", "\r\n\r\n1").await;
    check("HEAD /number?1", "200 OK", "content-length: 1").await;
    check("GET /number?x", "400 Bad Request", "no number").await;
    check("POST /number", "405 Method Not Allowed", "only GET").await;
    check("GET /", "404 Not Found", "/readyz and /number").await;
    fixture.number.send_replace(13);
    check(
        "GET /number",
        "500 Internal Server Error",
        "cannot be written",
    )
    .await;
}

#[tokio::test]
async fn a_client_waits_for_a_change() {
    let fixture = start().await;
    let waiting = tokio::spawn(answer(ask(fixture.address, "GET /number?1").await));
    // A whole exchange shows that the other request has arrived.
    answer(ask(fixture.address, "GET /healthz").await).await;
    fixture.number.send_replace(2);
    let changed = waiting.await.unwrap();
    assert!(changed.ends_with("\r\n\r\n2"), "{changed}");
}

#[tokio::test]
async fn a_wait_without_a_change_ends() {
    let fixture = start().await;
    let begun = Instant::now();
    let same = answer(ask(fixture.address, "GET /number?1").await).await;
    assert!(same.ends_with("\r\n\r\n1"), "{same}");
    assert!(begun.elapsed() >= Number::LONGEST_WAIT);
}

#[tokio::test]
async fn stopping_ends_waits() {
    let fixture = start().await;
    let waiting = ask(fixture.address, "GET /number?1").await;
    answer(ask(fixture.address, "GET /healthz").await).await;
    fixture.stop.send(()).unwrap();
    let same = answer(waiting).await;
    assert!(same.starts_with("HTTP/1.1 200 OK"), "{same}");
    fixture.serving.await.unwrap();
}

#[tokio::test]
async fn many_waits_keep_no_probe_waiting() {
    let fixture = start().await;
    let mut waiting = Vec::new();
    for _ in 0..60 {
        waiting.push(ask(fixture.address, "GET /number?1").await);
    }
    let healthy = answer(ask(fixture.address, "GET /healthz").await).await;
    assert!(healthy.starts_with("HTTP/1.1 200 OK"), "{healthy}");
    let mut documents = 0;
    for stream in waiting {
        let same = answer(stream).await;
        if same.ends_with("\r\n\r\n1") {
            documents += 1;
        } else {
            assert!(same.starts_with("HTTP/1.1 503 "), "{same}");
        }
    }
    // The other places are for probes: a busy server may have to refuse the rest.
    assert!(documents >= 48, "{documents}");
}
