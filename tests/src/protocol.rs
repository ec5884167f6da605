//! Sends requests by HTTP/1.1 or HTTP/2.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::process::TEST_TIMEOUT;

/// A protocol version of HTTP, over a connection without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
}

impl Protocol {
    /// Both.
    pub const ALL: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

    /// Sends a request over a connection of its own, and returns the response when its head is
    /// here. The request's target names scheme and host.
    pub async fn send<B>(self, address: SocketAddr, request: Request<B>) -> Response<Incoming>
    where
        B: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
    {
        let stream = TcpStream::connect(address).await.expect("it listens");
        let io = TokioIo::new(stream);
        // The task of a connection ends with its sender and its last body.
        let answer = async {
            match self {
                Protocol::Http1 => {
                    let (mut sender, connection) = http1::handshake(io).await?;
                    tokio::spawn(connection);
                    sender.send_request(request).await
                }
                Protocol::Http2 => {
                    let (mut sender, connection) =
                        http2::handshake(TokioExecutor::new(), io).await?;
                    tokio::spawn(connection);
                    sender.send_request(request).await
                }
            }
        };
        let answer = timeout(TEST_TIMEOUT, answer).await;
        answer.expect("it answers in time").expect("it answers")
    }
}
