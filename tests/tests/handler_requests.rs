//! Tests the head of a request as handlers of both worlds and commands see it, over HTTP/1 and HTTP/2.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use sampan_tests::{Guests, HANDLERS, Protocol, Sampan, TEST_TIMEOUT};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Serves a handler of each world. Their folder is there until it is dropped.
async fn both() -> (Guests, Sampan) {
    let guests = Guests::handlers("");
    let sampan = Sampan::up(guests.folder()).await;
    (guests, sampan)
}

/// Sends bytes, and reads until the server closes.
async fn exchange(sampan: &Sampan, request: &str) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(sampan.address()).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = timeout(TEST_TIMEOUT, exchange).await;
    let answer = answer.unwrap_or_else(|_| panic!("{request:?} is not answered"));
    answer.unwrap_or_else(|error| panic!("{request:?}: {error}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_sees_scheme_and_authority_whatever_carried_them() {
    let (_guests, sampan) = both().await;
    let local = sampan.address().to_string();
    for world in HANDLERS {
        let path = format!("/function/{world}/target");
        let check = async |head: String, expected: &str| {
            let answer = exchange(&sampan, &format!("{head}\r\n\r\n")).await;
            assert!(answer.contains(" 200 OK\r\n"), "{head:?}: {answer}");
            assert!(answer.contains(expected), "{head:?}: {answer}");
        };
        check(
            format!("GET {path}?x HTTP/1.1\r\nhost: a.example:81\r\nconnection: close"),
            "http a.example:81 /target?x host=[] cookie=[]",
        )
        .await;
        check(
            format!("GET http://a.example{path} HTTP/1.1\r\nhost: a.example\r\nconnection: close"),
            "http a.example /target host=[] cookie=[]",
        )
        .await;
        check(
            format!("GET https://a.example{path} HTTP/1.1\r\nhost: a.example\r\nconnection: close"),
            "https a.example /target host=[] cookie=[]",
        )
        .await;
        check(
            format!("GET {path} HTTP/1.0\r\nhost: a.example"),
            "http a.example /target host=[] cookie=[]",
        )
        .await;
        let without = format!("http {local} /target host=[] cookie=[]");
        check(format!("GET {path} HTTP/1.0"), &without).await;
        check(
            format!("GET {path} HTTP/1.1\r\nhost:\r\nconnection: close"),
            &without,
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_gets_every_variable_of_cgi() {
    let guests = Guests::none().and("cgi", "cgi", "http: cgi\n");
    let sampan = Sampan::up(guests.folder()).await;
    let request = "POST /function/cgi/variables%20of%20CGI?a=%20 HTTP/1.0\r\nhost: a.example:81\r\n\
        content-type: text/plain\r\ncontent-length: 2\r\nproxy: http://evil.example\r\n\
        authorization: Basic secret\r\nx-request-id: r1\r\ncookie: a=1\r\ncookie: b=2\r\n\
        connection: close\r\n\r\nhi";
    let answer = exchange(&sampan, request).await;
    let expected = [
        "CONTENT_LENGTH=2",
        "CONTENT_TYPE=text/plain",
        "GATEWAY_INTERFACE=CGI/1.1",
        "HTTP_CONNECTION=close",
        "HTTP_COOKIE=a=1; b=2",
        "HTTP_HOST=a.example:81",
        "HTTP_X_REQUEST_ID=r1",
        "PATH_INFO=/variables of CGI",
        "QUERY_STRING=a=%20",
        "REMOTE_ADDR=127.0.0.1",
        "REMOTE_HOST=127.0.0.1",
        "REQUEST_METHOD=POST",
        "SCRIPT_NAME=/function/cgi",
        "SERVER_NAME=a.example",
        "SERVER_PORT=81",
        "SERVER_PROTOCOL=HTTP/1.0",
    ];
    for line in expected {
        assert!(answer.contains(&format!("\n{line}\n")), "{line}: {answer}");
    }
    for name in [
        "HTTP_PROXY",
        "HTTP_AUTHORIZATION",
        "HTTP_CONTENT",
        "PATH_TRANSLATED",
    ] {
        assert!(!answer.contains(name), "{name}: {answer}");
    }
    let refused = "GET /function/cgi/%ff HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answer = exchange(&sampan, refused).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_sees_an_http2_request_as_one_of_http1() {
    let (_guests, sampan) = both().await;
    for world in HANDLERS {
        let request = Request::get(format!("http://a.example:81/function/{world}/target?x"))
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .body(Empty::<Bytes>::new())
            .expect("a request");
        let answer = Protocol::Http2.send(sampan.address(), request).await;
        let answer = timeout(TEST_TIMEOUT, answer.into_body().collect()).await;
        let answer = answer.expect("in time");
        let answer = answer.unwrap_or_else(|error| panic!("{world}: {error}"));
        let answer = answer.to_bytes();
        assert_eq!(
            answer, "http a.example:81 /target?x host=[] cookie=[\"a=1; b=2\"]",
            "{world}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_with_a_head_has_an_identifier_and_a_line_in_the_access_log() {
    let guests = Guests::handlers("");
    let mut command = Sampan::command(guests.folder());
    command.env("RUST_LOG", "access=info");
    let sampan = Sampan::start(command).await;
    let world = HANDLERS[0];
    let check = async |identifier: &str, head: String, status: &str, logged: &[&str]| {
        let request = format!("{head}connection: close\r\nx-request-id: {identifier}\r\n\r\n");
        let answer = exchange(&sampan, &request).await;
        let beginning = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&beginning), "{head:?}: {answer}");
        let field = format!("\r\nx-request-id: {identifier}\r\n");
        assert!(answer.contains(&field), "{head:?}: {answer}");
        let line = format!("request_id=\"{identifier}\"");
        let status = format!("status={status}");
        sampan
            .wait_for_line(&[&[&*line, &*status], logged].concat())
            .await;
    };
    let served = format!("function=\"{world}\"");
    check(
        "served",
        format!("GET /function/{world}/target HTTP/1.1\r\nhost: a\r\n"),
        "200",
        &[&served, "method=GET"],
    )
    .await;
    check(
        "unknown",
        "GET /function/none HTTP/1.1\r\nhost: a\r\n".to_owned(),
        "404",
        &["path=\"/function/none\""],
    )
    .await;
    check(
        "without-host",
        "GET / HTTP/1.1\r\n".to_owned(),
        "400",
        &["cause=\"malformed\""],
    )
    .await;
    check(
        "two-hosts",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n".to_owned(),
        "400",
        &["cause=\"malformed\""],
    )
    .await;
    check(
        "proxy",
        "CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n".to_owned(),
        "501",
        &["method=CONNECT", "cause=\"connect\""],
    )
    .await;
}
