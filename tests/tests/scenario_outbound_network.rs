//! Tests outbound calls in networks of the test's own, with host names of its own: which targets a
//! function may call, and what happens with addresses that do not answer.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sampan_tests::{Guests, HANDLERS, Sampan};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// The port of the servers, in a network where all ports are free.
const PORT: u16 = 8099;

/// Host names with their addresses: one public address and three that rules guard.
const GUARDED: &str = "\
    127.0.0.1 localhost\n\
    93.184.216.34 public.example.com\n\
    10.1.2.3 private.example.com cluster.internal\n\
    169.254.169.254 metadata.example.com metadata.internal\n\
    127.0.0.1 rebound.example.com rebound.internal\n";

/// Host names with several addresses: 10.1.0.1 drops everything, 10.1.0.2 answers, and nothing
/// listens at 10.1.0.3.
const SEVERAL: &str = "\
    127.0.0.1 localhost\n\
    10.1.0.1 silent.internal silent-first.internal\n\
    10.1.0.2 silent-first.internal\n\
    10.1.0.3 closed-first.internal\n\
    10.1.0.2 closed-first.internal\n\
    169.254.169.254 guarded-first.internal\n\
    10.1.0.2 guarded-first.internal\n";

/// Makes the network, and runs this test in it again. Without `multi on` in `/etc/host.conf`, as in
/// a container, the C library returns one address of a name.
const INSIDE: &str = "set -e
    ip link set lo up
    for address in 93.184.216.34 10.1.2.3 169.254.169.254 10.1.0.1 10.1.0.2 10.1.0.3; do
        ip address add $address/32 dev lo
    done
    mount --bind \"$1\" /etc/hosts
    if [ -e /etc/host.conf ]; then mount --bind /dev/null /etc/host.conf; fi
    exec \"$2\" --exact --nocapture \"$3\"";

/// The variable that is set when the test runs in the network.
const IS_INSIDE: &str = "SAMPAN_TEST_IS_INSIDE";

/// Runs the test of this name in a network with these host names.
fn in_a_network(name: &str, hosts: &str, inside: impl Future<Output = ()>) {
    if std::env::var_os(IS_INSIDE).is_some() {
        let runtime = tokio::runtime::Runtime::new().expect("threads");
        return runtime.block_on(inside);
    }
    let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    std::fs::write(file.path(), hosts).expect("it can be written");
    let test = std::env::current_exe().expect("a test knows its own file");
    let status = Command::new("unshare")
        .args(["--net", "--mount", "sh", "-c", INSIDE, "sh"])
        .args([file.path(), &test, Path::new(name)])
        .env(IS_INSIDE, "yes")
        .status()
        .expect("unshare can be started");
    assert!(
        status.success(),
        "it failed in a network of its own (which needs root and iproute2)"
    );
}

/// Accepts every connection to an address, and answers 200.
async fn canary(address: &str) -> Arc<AtomicUsize> {
    let listener = TcpListener::bind((address, PORT)).await;
    let listener = listener.expect("a free port");
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

#[test]
fn scenario_11_only_what_the_rules_allow_is_connected_to() {
    let name = "scenario_11_only_what_the_rules_allow_is_connected_to";
    in_a_network(name, GUARDED, among_guarded_addresses());
}

async fn among_guarded_addresses() {
    let count = canary("::").await;
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
    let refused = "no rule of outbound.allow allows its address 169.254.169.254";
    sampan.wait_for_log(|log| log.contains(refused)).await;
}

/// An address that drops every attempt to connect, while this is held: nothing accepts its
/// connections, and its queue of them is full.
struct Silent {
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl Silent {
    async fn at(address: &str) -> Silent {
        let address: SocketAddr = format!("{address}:{PORT}").parse().expect("an address");
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(address).expect("a free port");
        let listener = socket.listen(1).expect("it listens");
        // The queue has one place more than asked for.
        let mut queued = Vec::new();
        for _ in 0..2 {
            queued.push(TcpStream::connect(address).await.expect("it is queued"));
        }
        Silent {
            _listener: listener,
            _queued: queued,
        }
    }
}

#[test]
fn every_address_of_a_name_is_tried_within_the_time_limit() {
    let name = "every_address_of_a_name_is_tried_within_the_time_limit";
    in_a_network(name, SEVERAL, among_silent_addresses());
}

async fn among_silent_addresses() {
    let _silent = Silent::at("10.1.0.1").await;
    let answering = canary("10.1.0.2").await;
    let guarded = canary("169.254.169.254").await;
    let names = ["silent", "silent-first", "closed-first", "guarded-first"];
    let rules = names.map(|name| format!("\"http://{name}.internal:{PORT}\""));
    // The default limit on connecting is longer than the deadline, and comes first nowhere.
    let lines = format!(
        "limits: {{ timeout: 9s }}\noutbound: {{ allow: [{}, \"http://nowhere.invalid\"] }}\n",
        rules.join(", ")
    );
    let guests = Guests::handlers(&lines);
    let sampan = Sampan::up(guests.folder()).await;
    for caller in HANDLERS {
        let by = format!("function={caller} ");
        let check = async |options: &str, host: &str, expected: &str, connected: usize| {
            let before = answering.load(Ordering::SeqCst);
            let path = format!("/request?{options}to=http://{host}:{PORT}/");
            let answer = sampan.call(caller, &path).await;
            assert_eq!(answer.text(), expected, "{caller} calls {host}");
            let connections = answering.load(Ordering::SeqCst) - before;
            assert_eq!(connections, connected, "{caller} calls {host}");
        };
        check("", "silent-first.internal", "200 ", 1).await;
        check("connect=5000;", "silent-first.internal", "200 ", 1).await;
        check("", "closed-first.internal", "200 ", 1).await;
        check("", "guarded-first.internal", "200 ", 1).await;
        let timeout = "ErrorCode::ConnectionTimeout";
        check("connect=300;", "silent.internal", timeout, 0).await;
        sampan
            .wait_for_line(&["no connection to 10.1.0.1 in time", &by])
            .await;
        let path = "/request?to=http://nowhere.invalid/";
        let answer = sampan.call(caller, path).await;
        assert!(
            answer.text().starts_with("ErrorCode::DnsError"),
            "{answer:?}"
        );
        sampan
            .wait_for_line(&["its name does not resolve", &by])
            .await;
    }
    assert_eq!(guarded.load(Ordering::SeqCst), 0);
}
