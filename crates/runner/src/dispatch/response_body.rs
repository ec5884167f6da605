//! Response body: a function's stream, or text of the runner.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use sampan_engine::CallError;

use super::request_guard::RequestGuard;
use crate::local_reply::refusal::Refusal;
use crate::routing::deployed::Callee;

/// The body of a response. It holds the request's [`RequestGuard`] until it is dropped. A function
/// that goes on then keeps the slot of its request until its end.
pub struct ResponseBody<F: Callee>(Kind<F>);

enum Kind<F: Callee> {
    Function {
        body: F::Body,
        guard: RequestGuard<F>,
    },
    Text {
        text: Option<Bytes>,
        _guard: Option<RequestGuard<F>>,
    },
}

impl<F: Callee> ResponseBody<F> {
    pub(crate) fn function(body: F::Body, guard: RequestGuard<F>) -> Self {
        Self(Kind::Function { body, guard })
    }

    pub(crate) fn text(text: impl Into<Bytes>, guard: Option<RequestGuard<F>>) -> Self {
        Self(Kind::Text {
            text: Some(text.into()),
            _guard: guard,
        })
    }

    /// Makes the whole response of a refusal.
    pub(crate) fn refusal(refusal: &Refusal, guard: Option<RequestGuard<F>>) -> Response<Self> {
        let mut response = Response::new(Self::text(refusal.text(), guard));
        *response.status_mut() = refusal.status();
        *response.headers_mut() = refusal.headers();
        response
    }
}

impl<F: Callee> Drop for ResponseBody<F> {
    fn drop(&mut self) {
        if let Kind::Function { body, guard } = &mut self.0 {
            F::finish(body, || guard.take_slot());
        }
    }
}

impl<F: Callee> Body for ResponseBody<F> {
    type Data = Bytes;
    type Error = CallError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CallError>>> {
        match &mut self.0 {
            Kind::Function { body, guard } => {
                let polled = Pin::new(body).poll_frame(context);
                if let Poll::Ready(Some(Err(error))) = &polled {
                    guard.failed(error.cause());
                }
                polled
            }
            Kind::Text { text, .. } => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Function { body, .. } => body.is_end_stream(),
            Kind::Text { text, .. } => text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Function { body, .. } => body.size_hint(),
            Kind::Text { text, .. } => {
                SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64))
            }
        }
    }
}
