//! Tests thousands of slow clients beside a fast one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sampan_tests::{Guests, Sampan, TEST_TIMEOUT};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

const SLOW: usize = 5000;

/// What a slow client sends before it stops: nothing, half a head, and half a body.
const BEGINNINGS: [&str; 3] = [
    "",
    "GET /function/probe/ HTTP/1.1\r\nhost: a\r\nx-slow",
    "POST /function/probe/echo HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nhalf",
];

#[tokio::test(flavor = "multi_thread")]
async fn scenario_31_thousands_of_slow_clients_are_closed_and_disturb_no_other() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).expect("the soft limit can be the hard one");
    let guests = Guests::one("probe", "").and("neighbour", "probe", "");
    let sampan = Sampan::up(guests.folder()).await;
    let address = sampan.address();
    let mut slow = JoinSet::new();
    for number in 0..SLOW {
        slow.spawn(async move {
            let mut stream = TcpStream::connect(address).await.expect("it listens");
            let beginning = BEGINNINGS[number % BEGINNINGS.len()];
            // It may have been closed already, while others were still connecting.
            let _ = stream.write_all(beginning.as_bytes()).await;
            let mut answer = Vec::new();
            let closed = timeout(TEST_TIMEOUT, stream.read_to_end(&mut answer)).await;
            assert!(closed.is_ok(), "it is still open: {beginning:?}");
        });
    }
    while !slow.is_empty() {
        let answer = sampan.call("neighbour", "/").await;
        assert_eq!(answer.text(), "probe");
        while let Some(ended) = slow.try_join_next() {
            ended.expect("no slow client was left open");
        }
    }
    assert_eq!(sampan.call("probe", "/").await.text(), "probe");
}
