//! The body of an answer: a function's, or the runner's own text.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use sampan_engine::CallError;

use crate::deployed::Callee;
use crate::turn::Turn;

/// What an answer carries. It holds the request's turn until it is dropped.
pub struct AnswerBody<F: Callee>(Kind<F>);

enum Kind<F: Callee> {
    Function {
        body: F::Body,
        turn: Turn<F>,
    },
    Text {
        text: Option<Bytes>,
        _turn: Option<Turn<F>>,
    },
}

impl<F: Callee> AnswerBody<F> {
    pub(crate) fn function(body: F::Body, turn: Turn<F>) -> Self {
        Self(Kind::Function { body, turn })
    }

    pub(crate) fn text(text: impl Into<Bytes>, turn: Option<Turn<F>>) -> Self {
        Self(Kind::Text {
            text: Some(text.into()),
            _turn: turn,
        })
    }
}

impl<F: Callee> Body for AnswerBody<F> {
    type Data = Bytes;
    type Error = CallError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CallError>>> {
        match &mut self.0 {
            Kind::Function { body, turn } => {
                let polled = Pin::new(body).poll_frame(context);
                if let Poll::Ready(Some(Err(error))) = &polled {
                    turn.failed(error.cause());
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
