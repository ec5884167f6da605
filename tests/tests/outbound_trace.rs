//! Tests that outbound calls continue the trace of their request (W3C Trace Context).

use sampan_tests::{Guests, HANDLERS, Sampan, listen};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Reads the head of a request.
async fn read_head(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") {
        text.push(char::from(stream.read_u8().await.expect("a whole head")));
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_of_a_request_continues_in_its_outbound_calls() {
    let (sender, mut heads) = tokio::sync::mpsc::unbounded_channel();
    let address = listen(move |mut stream| {
        let sender = sender.clone();
        async move {
            let head = read_head(&mut stream).await;
            let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
            let _ = stream.write_all(answer).await;
            sender.send(head).expect("the test waits");
        }
    })
    .await;
    let guests = Guests::handlers(&format!("outbound: {{ allow: [\"http://{address}\"] }}\n"));
    let sampan = Sampan::up(guests.folder()).await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    for caller in HANDLERS {
        let mut check = async |given: &str, parent: Option<&str>, state: Option<&str>| {
            let mut stream = TcpStream::connect(sampan.address())
                .await
                .expect("it listens");
            let request = format!(
                "GET /function/{caller}/request?to=http://{address}/ HTTP/1.1\r\nhost: a\r\n\
                 connection: close\r\n{given}\r\n"
            );
            stream.write_all(request.as_bytes()).await.expect("sent");
            let mut answer = String::new();
            let read = stream.read_to_string(&mut answer).await;
            read.expect("an answer");
            assert!(answer.starts_with("HTTP/1.1 200"), "{caller}: {answer}");
            let head = heads.recv().await.expect("a request");
            let field = |name: &str| {
                let mut lines = head.lines();
                lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            };
            let found = field("traceparent").map(|parent| &parent[..35]);
            assert_eq!(found, parent, "{caller} {given}: {head}");
            assert_eq!(field("tracestate"), state, "{caller} {given}: {head}");
        };
        let parent = format!("00-{trace}");
        let given = format!("traceparent: {parent}-00f067aa0ba902b7-01\r\n");
        check(&given, Some(&parent), None).await;
        let with_state = format!("{given}tracestate: a=1\r\ntracestate: b=2\r\n");
        check(&with_state, Some(&parent), Some("a=1,b=2")).await;
        check("tracestate: a=1\r\n", None, None).await;
    }
}
