//! Tests that the native programs answer as the components do: the same contract, and the same
//! bytes unless the answer is random.

use std::path::Path;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Duration, Instant, sleep};

use sampan_tests::{
    ClosedPort, FUNCTIONS, Native, SEEDED, Sampan, Services, Staged, TEST_TIMEOUT, get,
};

#[tokio::test(flavor = "multi_thread")]
async fn each_program_fulfils_its_contract() {
    let services = Services::start().await;
    let environment = services.environment();
    for function in FUNCTIONS {
        let native = Native::start(&Staged::native(function.name), &environment).await;
        function.check(&native.call(function.path).await);
        assert_eq!(native.call("/?n=x&n=x").await.status, 400);
        assert!(native.stop().await.success(), "{}", function.name);
    }
    services.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_builds_answer_the_same_bytes() {
    let closed = ClosedPort::reserve();
    let staged = Staged::copy(
        &FUNCTIONS.map(|function| function.name),
        [closed.address(); 2],
    );
    let sampan = Sampan::up(staged.folder()).await;
    for (name, path) in SEEDED {
        let native = Native::start(&Staged::native(name), &[]).await;
        let (one, other) = (native.call(path).await, sampan.call(name, path).await);
        assert_eq!((one.status, other.status), (one.status, one.status));
        assert_eq!(one.text(), other.text(), "{name}{path}");
        assert_eq!(one.media_type(), other.media_type(), "{name}{path}");
        assert!(native.stop().await.success());
    }
    assert!(sampan.stop().await.success());
}

/// The contract of watchdogs such as OpenFaaS' for a container: `GET /_/health`, a lock file while
/// it is healthy, and draining. After SIGTERM it takes no new request, and ends those that have
/// begun.
#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_healthy_until_it_drains() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let lock = folder.path().join(".lock");
    // The text's server, which answers when the test lets it.
    let upstream = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let text = upstream.local_addr().expect("it has an address");
    let environment = [
        ("FUNCTION_LOCK_FILE", lock.display().to_string()),
        ("TEXT_URL", format!("http://{text}/")),
    ];
    let native = Native::start(&Staged::native("fuzzysearch"), &environment).await;
    until("the lock file is there", &lock, true).await;
    let health = native.call("/_/health").await;
    assert_eq!((health.status.as_u16(), health.text()), (200, "healthy\n"));

    let address = native.address();
    let host = address.to_string();
    let begun = tokio::spawn(async move { get(address, &host, "/?search=Hamlet").await });
    let (mut waiting, _) = upstream.accept().await.expect("the function asks");
    native.terminate();
    until("the lock file is gone", &lock, false).await;
    let asked = Instant::now();
    while TcpStream::connect(address).await.is_ok() {
        assert!(asked.elapsed() < TEST_TIMEOUT, "it takes new connections");
        sleep(POLL_INTERVAL).await;
    }
    assert!(!begun.is_finished(), "the upstream has not answered yet");
    let mut head = [0; 1024];
    let read = waiting
        .read(&mut head)
        .await
        .expect("the request can be read");
    assert!(head[..read].starts_with(b"GET / HTTP/1.1\r\n"));
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nHamlet\n";
    waiting.write_all(answer).await.expect("it is read");
    let answer = begun.await.expect("it does not panic");
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "[0]"));
    assert!(native.ended().await.success());
}

/// The delay between two looks.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

async fn until(what: &str, file: &Path, is_there: bool) {
    let begun = Instant::now();
    while file.exists() != is_there {
        assert!(
            begun.elapsed() < TEST_TIMEOUT,
            "it never happens that {what}"
        );
        sleep(POLL_INTERVAL).await;
    }
}
