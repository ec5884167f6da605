//! Tests which targets a function may call, in a network of the test's own. A canary listens on
//! every address there and counts connections.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sampan_tests::{Guests, Sampan};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// The port of the canary, in a network where all ports are free.
const PORT: u16 = 8099;

/// Host names with their addresses: one public address and three that rules guard.
const HOSTS: &str = "\
    127.0.0.1 localhost\n\
    93.184.216.34 public.example.com\n\
    10.1.2.3 private.example.com cluster.internal\n\
    169.254.169.254 metadata.example.com metadata.internal\n\
    127.0.0.1 rebound.example.com rebound.internal\n";

/// Makes the network, and runs this test in it again.
const INSIDE: &str = "set -e
    ip link set lo up
    for address in 93.184.216.34 10.1.2.3 169.254.169.254; do ip address add $address/32 dev lo; done
    mount --bind \"$1\" /etc/hosts
    exec \"$2\" --exact --nocapture \"$3\"";

/// The variable that is set when the test runs in the network.
const IS_INSIDE: &str = "SAMPAN_TEST_IS_INSIDE";

#[test]
fn scenario_11_only_what_the_rules_allow_is_connected_to() {
    if std::env::var_os(IS_INSIDE).is_some() {
        let runtime = tokio::runtime::Runtime::new().expect("threads");
        return runtime.block_on(inside_the_network());
    }
    let hosts = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    std::fs::write(hosts.path(), HOSTS).expect("it can be written");
    let test = std::env::current_exe().expect("a test knows its own file");
    let name = "scenario_11_only_what_the_rules_allow_is_connected_to";
    let status = Command::new("unshare")
        .args(["--net", "--mount", "sh", "-c", INSIDE, "sh"])
        .args([hosts.path(), &test, Path::new(name)])
        .env(IS_INSIDE, "yes")
        .status()
        .expect("unshare can be started");
    assert!(
        status.success(),
        "it failed in a network of its own (which needs root and iproute2)"
    );
}

/// Accepts every connection, at any address, and answers 200.
async fn canary() -> Arc<AtomicUsize> {
    let listener = TcpListener::bind(("::", PORT)).await.expect("a free port");
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut request = [0; 4096];
                // One read holds the request of the probe. A client without a further request has
                // closed.
                if stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                    let answer =
                        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                    let _ = stream.write_all(answer).await;
                }
            });
        }
    });
    count
}

async fn inside_the_network() {
    let count = canary().await;
    let rules = format!(
        "outbound: {{ allow: [\"http://*.example.com:{PORT}\", \"http://cluster.internal:{PORT}\", \
         \"http://metadata.internal:{PORT}\", \"http://rebound.internal:{PORT}\"] }}\n"
    );
    let guests = Guests::one("probe", &rules).and("open-to-none", "probe", "");
    let sampan = Sampan::up(guests.folder()).await;
    let check = async |function: &str, host: &str, allowed: bool| {
        let before = count.load(Ordering::SeqCst);
        let answer = sampan
            .call(function, &format!("/call?{host}:{PORT}/"))
            .await;
        let expected = if allowed {
            "200"
        } else {
            "ErrorCode::HttpRequestDenied"
        };
        assert_eq!(answer.text(), expected, "{function} calls {host}");
        let connected = count.load(Ordering::SeqCst) - before;
        assert_eq!(connected, usize::from(allowed), "{function} calls {host}");
    };
    check("probe", "public.example.com", true).await;
    check("probe", "cluster.internal", true).await;
    let denied = [
        // Names with addresses that a rule of names does not cover.
        "private.example.com",
        "metadata.example.com",
        "metadata.internal",
        "rebound.example.com",
        "rebound.internal",
        // Addresses, which no rule names, in every notation.
        "169.254.169.254",
        "10.1.2.3",
        "127.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:169.254.169.254]",
        "127.1",
        "2130706433",
        "0x7f000001",
        "localhost",
        // Names similar to allowed ones.
        "example.com",
        "public.example.com.evil.internal",
    ];
    for host in denied {
        check("probe", host, false).await;
    }
    for host in ["public.example.com", "cluster.internal", "169.254.169.254"] {
        check("open-to-none", host, false).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_5_outbound_connections_end_at_their_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it has one");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                if stream.read(&mut request).await.is_ok() {
                    // A head without its body, so that the call stays open.
                    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n";
                    let _ = stream.write_all(head).await;
                    let _ = stream.read(&mut request).await;
                }
            });
        }
    });
    let lines = format!(
        "limits: {{ outboundConnections: 5 }}\noutbound: {{ allow: [\"http://{address}\"] }}\n"
    );
    let guests = Guests::one("probe", &lines);
    let sampan = Sampan::up(guests.folder()).await;
    let before = sampan.open_files();
    for _ in 0..3 {
        let answer = sampan.call("probe", &format!("/hold?{address}/")).await;
        assert_eq!(answer.text(), "5: ErrorCode::ConnectionLimitReached");
    }
    let after = sampan.open_files();
    assert!(after <= before + 20, "{before} open files became {after}");
}
