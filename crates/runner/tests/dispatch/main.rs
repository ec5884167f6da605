//! Tests of the dispatcher with stub functions.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod plain;
mod slots;

use sampan_runner::{Entry, Routes};
use sampan_spec::{ByteSize, Function, FunctionName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use plain::{Fixture, check, deploy, read};

#[tokio::test]
async fn a_named_function_is_found_by_path_and_by_host() {
    let fixture = Fixture::named(&["primes", "sorter"], |_| {});
    let here = "127.0.0.1";
    let primes = |target: &str| format!("version=1 target={target} ");
    check(
        &fixture.get(here, "/function/primes").await,
        200,
        &[&primes("/")],
    );
    check(
        &fixture.get(here, "/function/primes/").await,
        200,
        &[&primes("/")],
    );
    check(
        &fixture.get(here, "/function/primes?n=1").await,
        200,
        &[&primes("/?n=1")],
    );
    check(
        &fixture.get(here, "/function/primes/a/b?n=1").await,
        200,
        &[&primes("/a/b?n=1")],
    );
    check(
        &fixture.get("primes.localhost", "/").await,
        200,
        &[&primes("/")],
    );
    check(
        &fixture.get("PRIMES.localhost:80", "/x?y").await,
        200,
        &[&primes("/x?y")],
    );
    let nested = "/function/sorter/x";
    check(
        &fixture.get("primes.localhost", nested).await,
        200,
        &[&primes(nested)],
    );
}

#[tokio::test]
async fn an_unknown_route_is_404_with_advice() {
    let fixture = Fixture::named(&["primes"], |_| {});
    let unknown = ["sampan-cause: no_function", "GET / lists the functions"];
    check(
        &fixture.get("127.0.0.1", "/function/other/").await,
        404,
        &unknown,
    );
    check(&fixture.get("127.0.0.1", "/function/").await, 404, &unknown);
    check(
        &fixture.get("127.0.0.1", "/function/Primes").await,
        404,
        &unknown,
    );
    check(&fixture.get("other.localhost", "/").await, 404, &unknown);
    check(&fixture.get("a.primes.localhost", "/").await, 404, &unknown);
    let lost = ["sampan-cause: no_route", "/function/NAME/"];
    for target in [
        "/functions",
        "/function",
        "/favicon.ico",
        "//",
        "/function%2Fprimes",
    ] {
        check(&fixture.get("127.0.0.1", target).await, 404, &lost);
    }
    let answer = fixture.get("127.0.0.1", "/function/other/").await;
    assert!(!answer.contains("primes"), "{answer}");
    fixture
        .wait_for("sampan_unrouted_requests_total{code=\"404\"} 11")
        .await;
}

#[tokio::test]
async fn the_root_lists_the_functions() {
    let fixture = Fixture::named(&["primes", "sorter"], |function| {
        function.description = Some("Finds <primes> & more".to_owned());
        function.example = Some("/?n=1&m=2".to_owned());
    });
    let name: FunctionName = "broken".parse().unwrap();
    fixture
        .routes
        .set_entry(&name, Some(&Entry::Failed("no\nsuch file".to_owned())));
    let plain = fixture.get("127.0.0.1:8080", "/").await;
    check(&plain, 200, &["content-type: text/plain"]);
    let line =
        "primes  http://127.0.0.1:8080/function/primes/?n=1&m=2  ready  Finds <primes> & more\n";
    assert!(plain.contains(line), "{plain}");
    assert!(plain.contains("broken  http://127.0.0.1:8080/function/broken/  no such file\n"));
    let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
                   accept: text/html,application/xhtml+xml;q=0.9\r\n\r\n";
    let html = read(&mut fixture.send(request).await).await;
    check(
        &html,
        200,
        &[
            "content-type: text/html",
            "href=\"/function/primes/?n=1&amp;m=2\"",
        ],
    );
    assert!(html.contains("Finds &lt;primes&gt; &amp; more"), "{html}");
    let post = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let refused = read(&mut fixture.send(post).await).await;
    check(&refused, 405, &["allow: GET, HEAD"]);
}

#[tokio::test]
async fn an_unready_function_is_reported() {
    let fixture = Fixture::named(&[], |_| {});
    let name: FunctionName = "primes".parse().unwrap();
    fixture.routes.set_entry(&name, Some(&Entry::Compiling));
    let compiling = fixture.get("primes.localhost", "/").await;
    check(
        &compiling,
        503,
        &["retry-after: 1", "sampan-cause: compiling"],
    );
    let cause = "primes.wasm: not\nWebAssembly".to_owned();
    fixture.routes.set_entry(&name, Some(&Entry::Failed(cause)));
    let failed = fixture.get("primes.localhost", "/").await;
    check(
        &failed,
        503,
        &["could not be loaded: primes.wasm: not WebAssembly\n"],
    );
    assert!(!failed.contains("retry-after"), "{failed}");
}

#[tokio::test]
async fn routes_change_between_two_requests_of_a_connection() {
    let fixture = Fixture::named(&["primes"], |_| {});
    let name: FunctionName = "primes".parse().unwrap();
    let request = "GET / HTTP/1.1\r\nhost: primes.localhost\r\n\r\n";
    let mut stream = fixture.send(request).await;
    let mut answer = [0; 4096];
    let count = stream.read(&mut answer).await.unwrap();
    check(
        &String::from_utf8_lossy(&answer[..count]),
        200,
        &["version=1"],
    );

    let next = deploy(
        Function::bare(name.clone()),
        "2",
        &fixture.released,
        &fixture.metrics,
    );
    fixture.routes.set_entry(&name, Some(&Entry::Ready(next)));
    stream.write_all(request.as_bytes()).await.unwrap();
    let count = stream.read(&mut answer).await.unwrap();
    check(
        &String::from_utf8_lossy(&answer[..count]),
        200,
        &["version=2"],
    );

    fixture.routes.set_entry(&name, None);
    stream.write_all(request.as_bytes()).await.unwrap();
    let count = stream.read(&mut answer).await.unwrap();
    check(&String::from_utf8_lossy(&answer[..count]), 404, &[]);
    // The metrics belong to the name.
    fixture
        .wait_for("sampan_function_requests_total{function=\"primes\",code=\"200\"} 2")
        .await;
}

#[tokio::test]
async fn a_pod_serves_every_path_and_host() {
    let fixture = Fixture::start(|deploy| {
        Routes::single(deploy(Function::bare("primes".parse().unwrap()), "1"))
    });
    for target in ["/", "/function/other/x", "/a?b"] {
        let text = format!("target={target} ");
        check(&fixture.get("other.localhost", target).await, 200, &[&text]);
    }
}

#[tokio::test]
async fn identifiers_and_traces_reach_function_and_client() {
    let fixture = Fixture::named(&["primes"], |_| {});
    let request = |fields: &str| {
        format!("GET / HTTP/1.1\r\nhost: primes.localhost\r\nconnection: close\r\n{fields}\r\n")
    };
    let given = read(&mut fixture.send(&request("x-request-id: abc-1\r\n")).await).await;
    let texts = [
        "\r\nx-request-id: abc-1\r\n",
        "context=Some(\"abc-1\")",
        "\"x-request-id\": \"abc-1\"",
    ];
    check(&given, 200, &texts);
    let fresh = read(&mut fixture.send(&request("x-request-id: a b\r\n")).await).await;
    let identifier = fresh
        .split("\r\nx-request-id: ")
        .nth(1)
        .unwrap()
        .split("\r\n")
        .next()
        .unwrap();
    assert_eq!(identifier.len(), 16, "{fresh}");
    check(&fresh, 200, &[&format!("context=Some(\"{identifier}\")")]);

    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("traceparent: {trace}-00f067aa0ba902b7-01\r\n");
    let traced = read(&mut fixture.send(&request(&parent)).await).await;
    check(&traced, 200, &[trace]);
    assert!(!traced.contains("00f067aa0ba902b7"), "{traced}");
    // Refusals have an identifier as well.
    let lost = fixture.get("other.localhost", "/").await;
    check(&lost, 404, &["x-request-id: "]);
}

async fn post(fixture: &Fixture, fields: &str, body: &str) -> String {
    let request = format!(
        "POST /body HTTP/1.1\r\nhost: primes.localhost\r\nconnection: close\r\n{fields}\r\n{body}"
    );
    read(&mut fixture.send(&request).await).await
}

#[tokio::test]
async fn a_functions_own_limits_hold() {
    let fixture = Fixture::named(&["primes"], |function| {
        function.limits.request_body = ByteSize(100);
        function.limits.request_headers = ByteSize(1024);
    });
    // Fields that the runner adds count as well, so that the function never gets more than it
    // allows.
    let identifier = "x-request-id: 1\r\n";
    let around = [
        ("host", "primes.localhost"),
        ("connection", "close"),
        ("x-request-id", "1"),
        ("x", ""),
    ];
    let around: usize = around
        .iter()
        .map(|(name, value)| name.len() + value.len() + 32)
        .sum();
    for (extra, status) in [(-1, 200), (0, 200), (1, 431)] {
        let length = (1024 - around).checked_add_signed(extra).unwrap();
        let fields = format!("{identifier}x: {}\r\n", "y".repeat(length));
        check(&post(&fixture, &fields, "").await, status, &[]);
    }
    for (length, status) in [(99, 200), (100, 200), (101, 413)] {
        let body = "x".repeat(length);
        let announced = format!("content-length: {length}\r\n");
        check(&post(&fixture, &announced, &body).await, status, &[]);
        let chunks = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
        check(
            &post(&fixture, "transfer-encoding: chunked\r\n", &chunks).await,
            status,
            &[],
        );
    }
}

#[tokio::test]
async fn a_limit_of_a_mebibyte_is_for_many_fields() {
    let fixture = Fixture::named(&["primes"], |function| {
        function.limits.request_headers = ByteSize(1 << 20);
    });
    let few: Vec<_> = (0..5_000)
        .map(|number| format!("x-{number}: 1\r\n"))
        .collect();
    let few = few.concat();
    check(&post(&fixture, &few, "").await, 200, &[]);
    let long = format!("x: {}\r\n", "y".repeat(1 << 20));
    check(&post(&fixture, &long, "").await, 431, &[]);
}

#[tokio::test]
async fn failures_are_mapped_and_counted() {
    let fixture = Fixture::named(&["primes"], |_| {});
    let get = async |target| fixture.get("primes.localhost", target).await;
    check(&get("/deadline").await, 504, &["sampan-cause: deadline"]);
    check(
        &get("/instances").await,
        503,
        &["sampan-cause: instances", "retry-after: 1"],
    );
    check(
        &get("/interim").await,
        502,
        &["sampan-cause: interim_status"],
    );
    for code in [502, 503, 504] {
        let line =
            format!("sampan_function_requests_total{{function=\"primes\",code=\"{code}\"}} 1");
        fixture.wait_for(&line).await;
    }
    fixture
        .wait_for("sampan_function_request_duration_seconds_count{function=\"primes\"} 3")
        .await;
    fixture
        .wait_for(
            "sampan_function_requests_rejected_total{function=\"primes\",reason=\"instances\"} 1",
        )
        .await;
}

#[tokio::test]
async fn a_request_whose_body_breaks_off_is_refused_and_counted_as_such() {
    let fixture = Fixture::named(&["primes"], |_| {});
    for framing in [
        "content-length: 9\r\n\r\nhalf",
        "transfer-encoding: chunked\r\n\r\n9\r\nhalf",
    ] {
        let request = format!("POST /body HTTP/1.1\r\nhost: primes.localhost\r\n{framing}");
        let mut stream = fixture.send(&request).await;
        stream.shutdown().await.unwrap();
        let answer = read(&mut stream).await;
        check(&answer, 400, &["sampan-cause: request_broken"]);
    }
    fixture
        .wait_for("sampan_function_requests_total{function=\"primes\",code=\"400\"} 2")
        .await;
}
