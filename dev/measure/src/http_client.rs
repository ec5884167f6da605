//! An HTTP/1.1 connection that measures the time of each request.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A connection that is kept until dropped.
pub struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    host: String,
}

impl Connection {
    /// Connects to a server on this machine.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("failed to connect to {address}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // It ends with the sender; a failure is also one of the request in progress.
        tokio::spawn(connection);
        Ok(Self {
            sender,
            host: address.to_string(),
        })
    }

    /// Gets a path, and returns the whole answer and the time from the request to its end.
    pub async fn get(&mut self, path: &str) -> Result<(Response<Bytes>, Duration)> {
        self.get_as(path, "*/*").await
    }

    /// The same, with the accepted content types.
    pub async fn get_as(
        &mut self,
        path: &str,
        accept: &str,
    ) -> Result<(Response<Bytes>, Duration)> {
        self.sender.ready().await?;
        let request = Request::get(path)
            .header(http::header::HOST, &self.host)
            .header(http::header::ACCEPT, accept)
            .body(Empty::new())?;
        let begun = Instant::now();
        let answer = self.sender.send_request(request).await?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok((Response::from_parts(head, body), begun.elapsed()))
    }
}
