//! The seam between connections and whoever answers requests.

use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;

use super::check::Malformed;
use super::request_body::RequestBody;

/// Answers requests. One value serves every connection.
pub trait Handler: Send + Sync + 'static {
    /// What answers carry.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static;

    /// Answers a request. Dropping the future, or later the answer's body, means that the client is
    /// gone. A failure of the body breaks the answer off visibly: HTTP/1 closes the connection
    /// before the answer's end, HTTP/2 resets the stream.
    fn call(
        &self,
        request: Request<RequestBody>,
        peer: SocketAddr,
    ) -> impl Future<Output = Response<Self::Body>> + Send;

    /// The answer to a request that never gets as far as [`Handler::call`].
    fn refuse(&self, malformed: Malformed) -> Response<Self::Body>;

    /// The most bytes of header fields that any request may have; asked for each new connection.
    fn header_bytes(&self) -> usize;
}
