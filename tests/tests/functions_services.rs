//! Tests a function with a service that is down, fails or is not allowed, and the functions beside
//! it.

use std::net::{SocketAddr, TcpListener};

use sampan_tests::{ClosedPort, FUNCTIONS, Sampan, Services, Staged};

/// The functions that call a service, each with a request.
const CALLERS: [(&str, &str); 2] = [
    ("fuzzysearch", "/?search=Hamlet"),
    ("user-manager", "/?entries=1"),
];

async fn check_others(sampan: &Sampan) {
    for function in FUNCTIONS {
        if !CALLERS.iter().any(|(name, _)| *name == function.name) {
            function.check(&sampan.call(function.name, function.path).await);
        }
    }
}

async fn check_unavailable(sampan: &Sampan, function: &str, path: &str) -> String {
    let answer = sampan.call(function, path).await;
    assert_eq!(answer.status, 502, "{function}: {answer:?}");
    assert_eq!(answer.media_type(), "text/plain");
    let lines: Vec<_> = answer.text().lines().collect();
    assert_eq!(lines.len(), 1, "{function}: {answer:?}");
    lines[0].to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_down_takes_only_its_function_along() {
    let closed = ClosedPort::reserve();
    let names = FUNCTIONS.map(|function| function.name);
    let staged = Staged::copy(&names, [closed.address(); 2]);
    let sampan = Sampan::up(staged.folder()).await;
    for (function, path) in CALLERS {
        let line = check_unavailable(&sampan, function, path).await;
        assert!(line.starts_with("upstream failed: "), "{line}");
    }
    check_others(&sampan).await;
    assert!(sampan.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_service_is_named_by_its_status() {
    let services = Services::start_users().await;
    let users = services.users_address();
    // The front of the users has no text.
    let staged = Staged::copy(&CALLERS.map(|(name, _)| name), [users; 2]);
    let sampan = Sampan::up(staged.folder()).await;
    let line = check_unavailable(&sampan, "fuzzysearch", CALLERS[0].1).await;
    assert_eq!(line, "upstream answered 404");

    let (name, path) = CALLERS[1];
    assert_eq!(sampan.call(name, path).await.status, 200);
    services.stop_database();
    let line = check_unavailable(&sampan, name, path).await;
    assert_eq!(line, "upstream answered 503");
    assert!(sampan.stop().await.success());
    services.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_rule_no_service_is_called() {
    let canary = TcpListener::bind("127.0.0.1:0").unwrap();
    canary.set_nonblocking(true).unwrap();
    let address: SocketAddr = canary.local_addr().unwrap();
    let staged = Staged::copy(&CALLERS.map(|(name, _)| name), [address; 2]);
    for (name, _) in CALLERS {
        staged.edit(name, |file| {
            let (kept, _) = file.split_once("outbound:").expect("it has rules");
            kept.to_owned()
        });
    }
    let sampan = Sampan::up(staged.folder()).await;
    for (name, path) in CALLERS {
        let line = check_unavailable(&sampan, name, path).await;
        assert!(line.contains("HttpRequestDenied"), "{line}");
    }
    // Even a connection that was closed since would wait to be accepted.
    let waiting = canary.accept().map(|(_, from)| from);
    let error = waiting.expect_err("a service was called");
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    assert!(sampan.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_broken_function_never_stops_the_others() {
    let closed = ClosedPort::reserve();
    let names = FUNCTIONS.map(|function| function.name);
    let check = async |break_it: &dyn Fn(&Staged)| {
        let staged = Staged::copy(&names, [closed.address(); 2]);
        break_it(&staged);
        let sampan = Sampan::up(staged.folder()).await;
        assert_eq!(sampan.functions("failed"), ["user-manager"]);
        assert_eq!(sampan.functions("ready").len(), 8);
        let answer = sampan.call("user-manager", "/?entries=1").await;
        assert_eq!(answer.status, 503, "{answer:?}");
        check_others(&sampan).await;
        assert!(sampan.stop().await.success());
    };
    check(&|staged| staged.corrupt("user-manager", b"<html>not found</html>")).await;
    check(&|staged| staged.corrupt("user-manager", b"")).await;
    check(&|staged| staged.edit("user-manager", |file| format!("{file}limit: 1\n"))).await;
}
