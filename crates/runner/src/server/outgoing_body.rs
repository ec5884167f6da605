//! Response body that keeps its request in progress until it is dropped, that is empty where HTTP
//! allows no content, and that breaks off after its head.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};

use super::scheduler_load;
use super::stream;
use super::watch::Busy;

/// How often a failure waits for all other ready tasks. When the body fails together with its head,
/// hyper would drop both: the client would see no answer where the log has a status. The first wait
/// lets the connection write, and the second one is for a write that [`scheduler_load`] delays. A stream of HTTP/2
/// has a task of its own, so a connection on another thread may still be later.
const FAILURE_WAITS: u8 = 2;

#[derive(Debug)]
pub(super) struct OutgoingBody<B: Body> {
    body: B,
    /// The failure of the body, and how often it still waits.
    failure: Option<(Box<B::Error>, u8)>,
    /// Whether the response has no content (RFC 9110, section 6.4.1), so that its body is never
    /// read. On HTTP/1, hyper leaves content out by itself.
    is_bodiless: bool,
    _busy: Busy,
}

impl<B: Body> OutgoingBody<B> {
    /// Makes the response to send. `to_head` says that the request's method was HEAD, and `version`
    /// is the request's.
    pub(super) fn respond(
        response: Response<B>,
        to_head: bool,
        version: Version,
        busy: Busy,
    ) -> Response<Self> {
        let (mut head, body) = response.into_parts();
        let has_no_content = matches!(
            head.status,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        );
        if head.status == StatusCode::NO_CONTENT {
            // RFC 9110, section 8.6.
            head.headers.remove(CONTENT_LENGTH);
        }
        let is_bodiless = version == Version::HTTP_2 && (to_head || has_no_content);
        if is_bodiless && !has_no_content {
            // The length that a response to GET would have, as hyper adds it on HTTP/1.
            if let Some(length @ 1..) = body.size_hint().exact() {
                head.headers
                    .entry(CONTENT_LENGTH)
                    .or_insert_with(|| HeaderValue::from(length));
            }
        }
        let body = Self {
            body,
            failure: None,
            is_bodiless,
            _busy: busy,
        };
        Response::from_parts(head, body)
    }
}

impl<B: Body + Unpin> Body for OutgoingBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        if self.is_bodiless {
            return Poll::Ready(None);
        }
        stream::note_poll();
        let (error, waits) = match self.failure.take() {
            Some(failure) => failure,
            None => match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Err(error))) => (Box::new(error), FAILURE_WAITS),
                polled => {
                    if let Poll::Ready(Some(Ok(_))) = polled {
                        stream::note_frame();
                    }
                    return polled;
                }
            },
        };
        if waits == 0 {
            return Poll::Ready(Some(Err(*error)));
        }
        self.failure = Some((error, waits - 1));
        scheduler_load::wake_after_others(context);
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.is_bodiless || (self.failure.is_none() && self.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_bodiless {
            SizeHint::with_exact(0)
        } else {
            self.body.size_hint()
        }
    }
}
