//! The body of a function's HTTP response. Polling it runs the guest.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use wasmtime_wasi_http::WasiBody;

use crate::error::CallError;
use crate::guest::Guest;

/// The body of a function's response. Reading it runs the guest; dropping it cancels the guest.
///
/// An error means that the response broke off after its head. It must reach the client as a broken
/// connection or a reset stream, never as a normal end. The observer has already received the
/// error.
pub struct GuestBody(State);

enum State {
    /// The whole response is here, and the guest has ended.
    Whole(Option<Bytes>),
    Streaming(Streaming),
    Ended,
}

struct Streaming {
    first: Option<Frame<Bytes>>,
    body: WasiBody,
    guest: Guest,
}

impl GuestBody {
    pub(crate) fn new(mut body: WasiBody, guest: Guest) -> Self {
        if !guest.has_ended() {
            return Self(State::Streaming(Streaming {
                first: None,
                body,
                guest,
            }));
        }
        // The guest has ended, so all of its output is usually here. The length is then known, and
        // head and body leave together.
        let mut context = Context::from_waker(Waker::noop());
        let first = match Pin::new(&mut body).poll_frame(&mut context) {
            Poll::Ready(None) => return Self(State::Whole(None)),
            Poll::Ready(Some(Ok(frame))) => Some(frame),
            // The first read returns the error.
            Poll::Ready(Some(Err(error))) => {
                return Self(State::Streaming(Streaming {
                    first: None,
                    body: failed_body(error),
                    guest,
                }));
            }
            Poll::Pending => None,
        };
        match first {
            Some(frame) if frame.is_data() && body.is_end_stream() => {
                Self(State::Whole(frame.into_data().ok()))
            }
            Some(frame) if frame.is_data() => match Pin::new(&mut body).poll_frame(&mut context) {
                Poll::Ready(None) => Self(State::Whole(frame.into_data().ok())),
                Poll::Pending => Self(State::Streaming(Streaming {
                    first: Some(frame),
                    body,
                    guest,
                })),
                Poll::Ready(Some(second)) => {
                    let body = prepended(second, body);
                    Self(State::Streaming(Streaming {
                        first: Some(frame),
                        body,
                        guest,
                    }))
                }
            },
            first => Self(State::Streaming(Streaming { first, body, guest })),
        }
    }
}

fn failed_body(error: wasmtime_wasi_http::Error) -> WasiBody {
    use http_body_util::BodyExt;
    http_body_util::StreamBody::new(futures_util::stream::iter([Err(error)])).boxed_unsync()
}

/// `body`, preceded by a frame that was already read from it.
fn prepended(frame: Result<Frame<Bytes>, wasmtime_wasi_http::Error>, body: WasiBody) -> WasiBody {
    use futures_util::StreamExt as _;
    use http_body_util::BodyExt as _;
    let rest = http_body_util::BodyStream::new(body);
    http_body_util::StreamBody::new(futures_util::stream::iter([frame]).chain(rest)).boxed_unsync()
}

impl Streaming {
    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CallError>>> {
        if let Some(frame) = self.first.take() {
            return Poll::Ready(Some(Ok(frame)));
        }
        // The guest runs on only after its output was read: this is the backpressure.
        loop {
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => return Poll::Ready(Some(Ok(frame))),
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Some(Err(CallError::Body(error.to_string()))));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending if self.guest.has_ended() => {
                    return self
                        .guest
                        .poll_deadline(context)
                        .map(|error| Some(Err(error)));
                }
                Poll::Pending => {}
            }
            match self.guest.poll(context) {
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
                // The guest has ended: one more poll of the body yields the rest.
                Poll::Ready(Ok(())) => {}
                Poll::Pending => {
                    // The guest ran and may have written.
                    return match Pin::new(&mut self.body).poll_frame(context) {
                        Poll::Ready(Some(Err(error))) => {
                            Poll::Ready(Some(Err(CallError::Body(error.to_string()))))
                        }
                        Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(Ok(frame))),
                        Poll::Ready(None) => Poll::Ready(None),
                        Poll::Pending => Poll::Pending,
                    };
                }
            }
        }
    }
}

impl Body for GuestBody {
    type Data = Bytes;
    type Error = CallError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CallError>>> {
        let polled = match &mut self.0 {
            State::Whole(data) => Poll::Ready(data.take().map(|data| Ok(Frame::data(data)))),
            State::Streaming(streaming) => streaming.poll_frame(context),
            State::Ended => return Poll::Ready(None),
        };
        let ended = match &polled {
            Poll::Pending => false,
            Poll::Ready(Some(Ok(_))) => matches!(self.0, State::Whole(_)),
            Poll::Ready(None | Some(Err(_))) => true,
        };
        if !ended {
            return polled;
        }
        let state = std::mem::replace(&mut self.0, State::Ended);
        match (state, polled) {
            (State::Streaming(streaming), Poll::Ready(Some(Err(error)))) => {
                Poll::Ready(Some(Err(streaming.guest.call.failed(error))))
            }
            (State::Streaming(streaming), polled) => {
                streaming.guest.finish_in_background();
                polled
            }
            (_, polled) => polled,
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            State::Whole(data) => data.is_none(),
            State::Streaming(_) => false,
            State::Ended => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            State::Whole(data) => {
                SizeHint::with_exact(data.as_ref().map_or(0, |data| data.len() as u64))
            }
            State::Streaming(_) => SizeHint::default(),
            State::Ended => SizeHint::with_exact(0),
        }
    }
}
