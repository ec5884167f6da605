//! The body of a function's HTTP response. Polling it runs the guest.

use std::collections::VecDeque;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use wasmtime_wasi_http::WasiBody;

use super::guest::Guest;
use super::length::Length;
use super::rest::Rest;
use crate::error::CallError;

/// The most frames that are read before the head leaves: more than any guest leaves at its end.
const MOST_AHEAD: usize = 8;

/// The body of a function's response. Reading it runs the guest.
///
/// Dropping it cancels the guest, because the client has disconnected. If the client has got
/// everything, call [`GuestBody::finish_in_background`] before: a guest may work on after its
/// answer.
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
    ahead: Ahead,
    /// `None` once it has ended.
    body: Option<WasiBody>,
    length: Length,
    guest: Guest,
}

/// Frames that were read and not yet returned.
#[derive(Default)]
struct Ahead {
    /// Most bodies have one frame, which then costs no allocation.
    first: Option<Frame<Bytes>>,
    others: VecDeque<Frame<Bytes>>,
}

impl GuestBody {
    /// Makes the response of a guest that has answered. `to_head` says that the method was HEAD.
    ///
    /// # Errors
    ///
    /// [`CallError::Body`], when what is already here of the body does not fit the head: nothing
    /// has left yet, so the whole call fails. The observer has received it.
    pub(super) fn respond(
        response: http::Response<WasiBody>,
        guest: Guest,
        to_head: bool,
    ) -> Result<http::Response<Self>, CallError> {
        let (head, body) = response.into_parts();
        let length = match Length::of(to_head, head.status, &head.headers) {
            Ok(length) => length,
            Err(error) => return Err(guest.fail(error)),
        };
        let mut streaming = Streaming {
            ahead: Ahead::default(),
            body: Some(body),
            length,
            guest,
        };
        match streaming.read_ahead() {
            Ok(()) => Ok(http::Response::from_parts(head, Self(streaming.begin()))),
            Err(error) => Err(streaming.guest.fail(error)),
        }
    }

    /// Lets the guest work on if the client has got the whole answer, as far as this body knows.
    /// The guest then runs in a task of its own, within its limits, and what `hold` returns is
    /// dropped after its end. Otherwise cancels the guest. The body has ended in either case.
    ///
    /// An answer is complete when its end was read, or as many bytes as its `content-length` says.
    /// One without content (to HEAD, or with status 204 or 304) is complete without being read.
    pub fn finish_in_background<T: Send + 'static>(&mut self, hold: impl FnOnce() -> T) {
        let state = std::mem::replace(&mut self.0, State::Ended);
        let State::Streaming(streaming) = state else {
            return;
        };
        if streaming.is_complete() && !streaming.guest.has_ended() {
            let Streaming { body, guest, .. } = streaming;
            let call = Arc::clone(&guest.call);
            let mut rest = Rest::new(guest, body);
            // Most guests have only to notice that their last bytes were taken: they need no task.
            // A task polls first, so this poll needs no waker.
            let mut context = Context::from_waker(Waker::noop());
            if Pin::new(&mut rest).poll(&mut context).is_pending() {
                call.function.guests().spawn(rest, hold());
            }
        }
    }
}

impl Ahead {
    fn push(&mut self, frame: Frame<Bytes>) {
        if self.first.is_none() && self.others.is_empty() {
            self.first = Some(frame);
        } else {
            self.others.push_back(frame);
        }
    }

    fn pop(&mut self) -> Option<Frame<Bytes>> {
        self.first.take().or_else(|| self.others.pop_front())
    }

    fn is_empty(&self) -> bool {
        self.first.is_none() && self.others.is_empty()
    }

    fn frames(&self) -> impl Iterator<Item = &Frame<Bytes>> {
        self.first.iter().chain(&self.others)
    }
}

impl Streaming {
    /// The state after reading ahead.
    fn begin(mut self) -> State {
        let is_whole = self.guest.has_ended() && self.body.is_none();
        if !is_whole || !self.ahead.others.is_empty() {
            return State::Streaming(self);
        }
        match self.ahead.first.take().map(Frame::into_data) {
            None => State::Whole(None),
            Some(Ok(data)) => State::Whole(Some(data)),
            Some(Err(trailers)) => {
                self.ahead.first = Some(trailers);
                State::Streaming(self)
            }
        }
    }

    /// Reads what is here already. The length is then usually known, and head and body leave
    /// together. The guest does not run meanwhile.
    fn read_ahead(&mut self) -> Result<(), CallError> {
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..MOST_AHEAD {
            match self.poll_body(&mut context) {
                Poll::Ready(Some(Ok(frame))) => self.ahead.push(frame),
                Poll::Ready(Some(Err(error))) => return Err(error),
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        Ok(())
    }

    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CallError>>> {
        if let Some(frame) = self.ahead.pop() {
            return Poll::Ready(Some(Ok(frame)));
        }
        // The guest runs on only after its output was read: this is the backpressure.
        loop {
            if let Poll::Ready(read) = self.poll_body(context) {
                return Poll::Ready(read);
            }
            if self.guest.has_ended() {
                if self.length.is_reached() {
                    return Poll::Ready(None);
                }
                return self
                    .guest
                    .poll_deadline(context)
                    .map(|error| Some(Err(error)));
            }
            match self.guest.poll(context) {
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
                // The guest has ended: one more poll of the body yields the rest.
                Poll::Ready(Ok(())) => {}
                // The guest ran and may have written. After the last declared byte the client waits
                // for trailers alone, and trailers that are not here do not hold the answer back.
                Poll::Pending => {
                    return match self.poll_body(context) {
                        Poll::Pending if self.length.is_reached() => Poll::Ready(None),
                        read => read,
                    };
                }
            }
        }
    }

    /// Reads the next frame, and checks it against the declared length.
    fn poll_body(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CallError>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = match ready!(Pin::new(&mut *body).poll_frame(context)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                self.body = None;
                let concerns_client = self.length != Length::Bodiless;
                let error = concerns_client.then(|| Err(CallError::Body(error.to_string())));
                return Poll::Ready(error);
            }
            None => {
                self.body = None;
                return Poll::Ready(self.length.end().err().map(Err));
            }
        };
        let is_last = frame.is_trailers() || body.is_end_stream();
        let mut fits = self.length.receive(&frame);
        if is_last {
            self.body = None;
            fits = fits.and_then(|()| self.length.end());
        }
        Poll::Ready(Some(fits.map(|()| frame)))
    }

    /// Whether the client has got the whole answer.
    fn is_complete(&self) -> bool {
        let is_read = self.ahead.is_empty() && (self.body.is_none() || self.length.is_reached());
        is_read || self.length == Length::Bodiless
    }

    /// Whether all of the body was read and returned.
    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty() && self.body.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let is_known = self.body.is_none() && !self.ahead.frames().any(Frame::is_trailers);
        if !is_known {
            return SizeHint::default();
        }
        let sizes = self.ahead.frames().filter_map(Frame::data_ref);
        SizeHint::with_exact(sizes.map(|data| data.len() as u64).sum())
    }
}

impl Body for GuestBody {
    type Data = Bytes;
    type Error = CallError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CallError>>> {
        let error = match &mut self.0 {
            State::Whole(data) => {
                return Poll::Ready(data.take().map(|data| Ok(Frame::data(data))));
            }
            State::Streaming(streaming) => match ready!(streaming.poll_frame(context)) {
                Some(Err(error)) => error,
                read => return Poll::Ready(read),
            },
            State::Ended => return Poll::Ready(None),
        };
        let state = std::mem::replace(&mut self.0, State::Ended);
        Poll::Ready(Some(Err(match state {
            State::Streaming(streaming) => streaming.guest.fail(error),
            State::Whole(_) | State::Ended => error,
        })))
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            State::Whole(data) => data.is_none(),
            State::Streaming(streaming) => streaming.is_end_stream(),
            State::Ended => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            State::Whole(data) => {
                SizeHint::with_exact(data.as_ref().map_or(0, |data| data.len() as u64))
            }
            State::Streaming(streaming) => streaming.size_hint(),
            State::Ended => SizeHint::with_exact(0),
        }
    }
}
