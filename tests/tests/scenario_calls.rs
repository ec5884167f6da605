//! Tests the life of a call: answers and their framing, work after an answer, the slot that it
//! holds, instances that break, and the end of the server.

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use sampan_tests::{Guests, Protocol, Sampan, TEST_TIMEOUT};
use tokio::time::timeout;

const KINDS: [&str; 3] = ["probe", "probe-03", "cgi"];

/// The content of a guest's answer in the framing `length` or `open`, in bytes.
const FRAMED: usize = 64 * 1024;

/// Ways to frame an answer: the method, the framing that the guest is asked for, and the status.
const FRAMINGS: [(Method, &str, u16); 6] = [
    (Method::GET, "length", 200),
    (Method::GET, "open", 200),
    (Method::HEAD, "length", 200),
    (Method::HEAD, "open", 200),
    (Method::GET, "204", 204),
    (Method::GET, "304", 304),
];

/// A server of all kinds with these lines, and its folder.
async fn up(lines: &str, arguments: &[&str]) -> (Sampan, Guests) {
    let guests = KINDS.iter().fold(Guests::none(), |guests, kind| {
        let cgi = if *kind == "cgi" { "http: cgi\n" } else { "" };
        guests.and(kind, kind, &format!("{cgi}{lines}"))
    });
    (Sampan::up_with(guests.folder(), arguments).await, guests)
}

/// Sends a request, and returns the answer when its head is here.
fn send(
    sampan: &Sampan,
    protocol: Protocol,
    method: &Method,
    function: &str,
    path: &str,
) -> impl Future<Output = Response<Incoming>> + Send + use<> {
    let address = sampan.address();
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{address}/function/{function}{path}"))
        .header("host", address.to_string())
        .body(Empty::<Bytes>::new())
        .expect("a request");
    protocol.send(address, request)
}

/// Sends a request for a framed answer, and expects all of it.
async fn check_framed(
    sampan: &Sampan,
    protocol: Protocol,
    function: &str,
    path: &str,
    (method, framing, status): (&Method, &str, u16),
) {
    let path = format!("{path}?{framing}");
    let answer = send(sampan, protocol, method, function, &path).await;
    let what = format!("{method} {path} of {function} by {protocol:?}");
    assert_eq!(answer.status(), status, "{what}");
    let announced = answer.headers().get("content-length").cloned();
    let body = timeout(TEST_TIMEOUT, answer.into_body().collect()).await;
    let body = body.unwrap_or_else(|_| panic!("{what}: the answer does not end"));
    let body = body.unwrap_or_else(|error| panic!("{what}: {error}"));
    let has_content = method == Method::GET && status == 200;
    let expected = if has_content { FRAMED } else { 0 };
    assert_eq!(body.to_bytes().len(), expected, "{what}");
    if framing == "length" {
        let announced = announced.expect("it was set");
        assert_eq!(announced, FRAMED.to_string(), "{what}");
    }
}

/// The number of lines with this text.
fn count(said: &str, text: &str) -> usize {
    said.lines().filter(|line| line.contains(text)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_works_on_after_its_answer_however_that_is_framed() {
    let (sampan, _files) = up("", &[]).await;
    for function in KINDS {
        for protocol in Protocol::ALL {
            for (method, framing, status) in &FRAMINGS {
                let line = format!("worked on after {framing}");
                let before = count(&sampan.stderr(), &line);
                let framed = (method, *framing, *status);
                check_framed(&sampan, protocol, function, "/after", framed).await;
                sampan
                    .wait_for_log(|said| count(said, &line) == before + 1)
                    .await;
            }
        }
    }
    let said = sampan.stderr();
    assert_eq!(count(&said, "a call failed"), 0, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_does_not_wait_for_the_end_of_its_guest() {
    let (sampan, _files) = up("limits: { timeout: 1000s }\n", &[]).await;
    for function in KINDS {
        for protocol in Protocol::ALL {
            for (method, framing, status) in &FRAMINGS {
                // A program over CGI ends its output, and so an answer of unknown length, by ending.
                let ends_late = function == "cgi" && *framing == "open" && method == Method::GET;
                if !ends_late {
                    let framed = (method, *framing, *status);
                    check_framed(&sampan, protocol, function, "/after-never", framed).await;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_holds_its_slot_until_its_end_and_disturbs_no_neighbour() {
    let limits = "limits: { concurrency: 1, queue: 0, timeout: 1000s }\n";
    let (sampan, _files) = up(limits, &["--admin", "127.0.0.1:0"]).await;
    for (busy, free) in [("probe", "probe-03"), ("probe-03", "cgi")] {
        let framed = (&Method::GET, "length", 200);
        check_framed(&sampan, Protocol::Http1, busy, "/after-never", framed).await;
        let line = format!("sampan_function_requests_in_progress{{function=\"{busy}\"}} 1");
        sampan.wait_for_metric(&line).await;
        let refused = sampan.call(busy, "/").await;
        assert_eq!(refused.status, 503, "{refused:?}");
        assert_eq!(refused.headers["sampan-cause"], "queue_full");
        assert_eq!(sampan.call(free, "/").await.status, 200, "{free}");
        let line = format!("sampan_function_requests_in_progress{{function=\"{free}\"}} 0");
        sampan.wait_for_metric(&line).await;
    }
    // One that ends makes room.
    let framed = (&Method::GET, "length", 200);
    check_framed(&sampan, Protocol::Http1, "cgi", "/after", framed).await;
    let line = "sampan_function_requests_in_progress{function=\"cgi\"} 0";
    sampan.wait_for_metric(line).await;
    assert_eq!(sampan.call("cgi", "/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_writes_without_end_for_no_one_is_ended() {
    let limits = "limits: { timeout: 1000s, processorTime: 1000s }\n";
    let (sampan, _files) = up(limits, &["--admin", "127.0.0.1:0"]).await;
    for protocol in Protocol::ALL {
        let answer = send(&sampan, protocol, &Method::HEAD, "probe", "/endless").await;
        assert_eq!(answer.status(), 200, "{protocol:?}");
        let line = "sampan_function_requests_in_progress{function=\"probe\"} 0";
        sampan.wait_for_metric(line).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_after_an_answer_is_logged_and_counted() {
    let (sampan, _files) = up("limits: { timeout: 10s }\n", &["--admin", "127.0.0.1:0"]).await;
    for (function, path, cause) in [
        ("probe", "/after-panic", "trap_unreachable"),
        ("probe-03", "/after-panic", "trap_unreachable"),
        ("probe", "/after-never", "deadline"),
        ("probe-03", "/after-never", "deadline"),
        ("cgi", "/after-never", "deadline"),
    ] {
        let framed = (&Method::GET, "length", 200);
        check_framed(&sampan, Protocol::Http1, function, path, framed).await;
        let labels = format!("{{function=\"{function}\",cause=\"{cause}\"}}");
        let line = format!("sampan_function_failures_total{labels} 1");
        sampan.wait_for_metric(&line).await;
        sampan.wait_for_line(&[" WARN ", cause]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_waits_for_guests() {
    let (mut sampan, _files) = up("", &["--drain", "100s"]).await;
    for function in KINDS {
        let framed = (&Method::GET, "length", 200);
        check_framed(&sampan, Protocol::Http1, function, "/after", framed).await;
    }
    sampan.terminate();
    let stopped = sampan.event("stopped").await;
    assert_eq!(stopped["cut"], 0, "{stopped}");
    assert_eq!(stopped["work_cut"], 0, "{stopped}");
    assert!(sampan.ended().await.success());
    let said = sampan.stderr();
    let worked = count(&said, "worked on after length");
    assert_eq!(worked, KINDS.len(), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_that_the_end_cuts_off_are_logged() {
    let arguments = ["--drain", "100ms", "--admin", "127.0.0.1:0"];
    let (mut sampan, _files) = up("limits: { timeout: 1000s }\n", &arguments).await;
    // Three after their answers, and two before.
    for function in KINDS {
        let framed = (&Method::GET, "length", 200);
        check_framed(&sampan, Protocol::Http1, function, "/after-never", framed).await;
    }
    for protocol in Protocol::ALL {
        // The server breaks the request off, which the task reports by a panic of its own.
        tokio::spawn(send(&sampan, protocol, &Method::GET, "probe", "/never"));
    }
    let line = "sampan_function_requests_in_progress{function=\"probe\"} 3";
    sampan.wait_for_metric(line).await;
    sampan.terminate();
    let stopped = sampan.event("stopped").await;
    assert_eq!(stopped["cut"], 2, "{stopped}");
    assert_eq!(stopped["work_cut"], 3, "{stopped}");
    assert!(sampan.ended().await.success());
    let said = sampan.stderr();
    let cut_off = "the process stopped before the function had ended";
    assert_eq!(count(&said, cut_off), 5, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_breaks_serves_no_further_request() {
    let reuse = "instances: { reuse: { requests: 10 } }\n";
    let guests = Guests::handlers(reuse);
    let sampan = Sampan::up_with(guests.folder(), &["--admin", "127.0.0.1:0"]).await;
    for (function, path, status) in [
        ("probe", "/nothing", 502),
        ("probe", "/panic", 500),
        ("probe-03", "/error", 502),
        ("probe-03", "/panic", 500),
    ] {
        let line = format!("sampan_function_requests_in_progress{{function=\"{function}\"}} 0");
        let calls = async || {
            let answer = sampan.call(function, "/calls").await;
            // The instance is there for the next request when its guest has ended.
            sampan.wait_for_metric(&line).await;
            answer.text().to_owned()
        };
        // The instance of the last turn is broken, so the first call has a fresh one.
        assert_eq!([calls().await, calls().await], ["1", "2"], "{path}");
        assert_eq!(sampan.call(function, path).await.status, status, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_fit_its_head_is_refused_if_nothing_was_sent() {
    let (sampan, _files) = up("", &["--admin", "127.0.0.1:0"]).await;
    for (function, path) in [
        ("probe", "/misfit?drop"),
        ("probe", "/misfit?finish"),
        ("probe", "/misfit?long"),
        ("cgi", "/no-number"),
    ] {
        for protocol in Protocol::ALL {
            let answer = send(&sampan, protocol, &Method::GET, function, path).await;
            assert_eq!(answer.status(), 502, "{function}{path} by {protocol:?}");
            assert_eq!(answer.headers()["sampan-cause"], "body", "{function}{path}");
        }
    }
    // An answer to HEAD has such a field as well.
    for protocol in Protocol::ALL {
        let answer = send(&sampan, protocol, &Method::HEAD, "cgi", "/no-number").await;
        assert_eq!(answer.status(), 502, "{protocol:?}");
    }
    for (function, calls) in [("probe", 6), ("cgi", 4)] {
        for (metric, label) in [("requests", "code=\"502\""), ("failures", "cause=\"body\"")] {
            let labels = format!("{{function=\"{function}\",{label}}}");
            let line = format!("sampan_function_{metric}_total{labels} {calls}");
            sampan.wait_for_metric(&line).await;
        }
    }
    // These may send their heads before their bodies end. Such an answer breaks off.
    for (function, path) in [
        ("probe-03", "/misfit?short"),
        ("probe-03", "/misfit?long"),
        ("cgi", "/short"),
        ("cgi", "/long"),
    ] {
        for protocol in Protocol::ALL {
            let sending = tokio::spawn(send(&sampan, protocol, &Method::GET, function, path));
            let Ok(answer) = sending.await else {
                // A stream may be reset before its head has left another thread. The task reports that by a
                // panic of its own.
                assert_eq!(protocol, Protocol::Http2, "{function}{path}");
                continue;
            };
            let is_refused = answer.status() == 502;
            let broke_off = answer.into_body().collect().await.is_err();
            assert!(is_refused || broke_off, "{function}{path} by {protocol:?}");
        }
    }
    // The head is all of an answer to HEAD.
    for protocol in Protocol::ALL {
        let answer = send(&sampan, protocol, &Method::HEAD, "probe", "/misfit?drop").await;
        assert_eq!(answer.status(), 200, "{protocol:?}");
        assert_eq!(answer.headers()["content-length"], "5", "{protocol:?}");
    }
}
