//! Rest of a call after its answer: runs the guest on, and discards what it still writes.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use wasmtime_wasi_http::WasiBody;

use super::guest::Guest;

/// The most frames that a poll discards before other tasks run.
const MOST_DISCARDED: usize = 16;

/// The most bytes that are read for no one. A guest that writes on then finds its body closed, as if
/// the client had disconnected.
const MOST_BYTES: usize = 1024 * 1024;

/// The rest of a call after its answer.
pub(super) struct Rest {
    guest: Guest,
    /// What the guest still writes; `None` once that has ended. No client gets it: it follows the
    /// end of the answer, or the answer has no content. Yet the guest must be able to write it.
    body: Option<WasiBody>,
    /// How many bytes more are read.
    left: usize,
}

impl Rest {
    pub(super) fn new(mut guest: Guest, body: Option<WasiBody>) -> Self {
        guest.outlive_answer();
        Self {
            guest,
            body,
            left: MOST_BYTES,
        }
    }

    /// Reads what the guest has written. Returns whether there may be more at once.
    fn discard(&mut self, context: &mut Context<'_>) -> bool {
        for _ in 0..MOST_DISCARDED {
            let Some(body) = &mut self.body else {
                return false;
            };
            match http_body::Body::poll_frame(Pin::new(body), context) {
                Poll::Ready(Some(Ok(frame))) => {
                    let read = frame.data_ref().map_or(0, Bytes::len);
                    match self.left.checked_sub(read) {
                        Some(left) => self.left = left,
                        None => self.body = None,
                    }
                }
                // The client has all that it was to get, so an error here concerns no one.
                Poll::Ready(Some(Err(_)) | None) => self.body = None,
                Poll::Pending => return false,
            }
        }
        true
    }
}

impl Future for Rest {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let more = self.discard(context);
        match self.guest.poll(context) {
            Poll::Ready(Ok(())) => Poll::Ready(()),
            Poll::Ready(Err(error)) => {
                self.guest.call.failed(error);
                Poll::Ready(())
            }
            Poll::Pending => {
                if more {
                    context.waker().wake_by_ref();
                }
                Poll::Pending
            }
        }
    }
}
