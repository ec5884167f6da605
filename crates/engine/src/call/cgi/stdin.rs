//! The request's body as standard input of a CGI command.

use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http_body::Body as _;
use tokio::io::{AsyncRead, ReadBuf};
use wasmtime_wasi::cli::AsyncStdinStream;
use wasmtime_wasi_http::WasiBody;

/// Streams the body. Reads nothing before the command does.
pub(super) fn body(body: WasiBody) -> AsyncStdinStream {
    AsyncStdinStream::new(Reader {
        body: Mutex::new(body),
        left: Bytes::new(),
    })
}

struct Reader {
    /// Never locked, only reached through a unique reference. The mutex makes the reader `Sync`,
    /// which wasmtime's standard input requires and a body is not.
    body: Mutex<WasiBody>,
    left: Bytes,
}

impl AsyncRead for Reader {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { body, left } = self.get_mut();
        let body = body.get_mut().unwrap_or_else(PoisonError::into_inner);
        while left.is_empty() {
            match ready!(Pin::new(&mut *body).poll_frame(context)) {
                None => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error.to_string()))),
                // Standard input cannot carry trailers.
                Some(Ok(frame)) => *left = frame.into_data().unwrap_or_default(),
            }
        }
        let count = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..count]);
        left.advance(count);
        Poll::Ready(Ok(()))
    }
}
