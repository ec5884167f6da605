//! Response body that keeps its request in progress until it is dropped, and that is empty where
//! HTTP allows no content.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};

use super::stream;
use super::watch::Busy;

#[derive(Debug)]
pub(super) struct OutgoingBody<B> {
    body: B,
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
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(_))) = polled {
            stream::note_frame();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.is_bodiless || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_bodiless {
            SizeHint::with_exact(0)
        } else {
            self.body.size_hint()
        }
    }
}
