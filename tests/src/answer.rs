//! Sends one request over a connection of its own, and reads the whole answer.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::pending::Pending;
use crate::process::TEST_TIMEOUT;

/// An answer that was read to its end.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }

    /// The value of `Content-Type`.
    pub fn media_type(&self) -> &str {
        let value = self.headers.get(CONTENT_TYPE);
        let value = value.expect("the answer has a Content-Type");
        value.to_str().expect("the Content-Type is ASCII")
    }
}

/// Gets a path of a server, with the header `Host: HOST`.
pub fn get<'a>(address: SocketAddr, host: &'a str, path: &'a str) -> Pending<'a, Answer> {
    send(Method::GET, address, host, path)
}

/// Sends a request without a body. The `Host` header is `host`, independent of the address.
pub fn send<'a>(
    method: Method,
    address: SocketAddr,
    host: &'a str,
    path: &'a str,
) -> Pending<'a, Answer> {
    Box::pin(async move {
        let what = format!("{method} {path} at {address} as {host}");
        let exchange = exchange(method, address, host, path);
        let answer = timeout(TEST_TIMEOUT, exchange).await;
        let answer = answer.unwrap_or_else(|_| panic!("{what}: no answer in {TEST_TIMEOUT:?}"));
        answer.unwrap_or_else(|error| panic!("{what}: {error}"))
    })
}

async fn exchange(
    method: Method,
    address: SocketAddr,
    host: &str,
    path: &str,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // The task ends with the sender, and a failure of it is also one of the request.
    tokio::spawn(connection);
    let request = Request::builder().method(method).uri(path);
    let request = request.header(HOST, host).body(Empty::<Bytes>::new())?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        body: body.collect().await?.to_bytes(),
    })
}
