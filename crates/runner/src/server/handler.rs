//! Interface between connections and the code that serves requests.

use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;

use super::check::Malformed;
use super::request_body::RequestBody;

/// Serves requests. One value serves every connection.
pub trait Handler: Send + Sync + 'static {
    /// The body of responses.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>> + Send>
        + Send
        + Unpin
        + 'static;

    /// Serves a request. The future, or later the response's body, is dropped when the client
    /// disconnects, and the body also when it is no longer needed. An error of the body breaks the response off visibly: HTTP/1 closes the
    /// connection before the response's end, HTTP/2 resets the stream.
    fn call(
        &self,
        request: Request<RequestBody>,
        peer: SocketAddr,
    ) -> impl Future<Output = Response<Self::Body>> + Send;

    /// The response to a request that is rejected before [`Handler::call`]. Its body stays unread.
    fn refuse(
        &self,
        request: Request<()>,
        malformed: Malformed,
        peer: SocketAddr,
    ) -> Response<Self::Body>;

    /// The largest header size of any request, in bytes. Queried for each new connection.
    fn header_bytes(&self) -> usize;

    /// Waits until no request has work left that goes on after its response. Called once all
    /// connections are closed.
    fn work_ended(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Ends such work, because the time to stop is over. Returns how many requests had some.
    /// Requests that are still in progress are dropped afterwards.
    fn cut_work(&self) -> usize {
        0
    }
}
