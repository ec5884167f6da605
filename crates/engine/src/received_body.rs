//! Body of an upstream's response, read ahead of the guest up to a limit.
//!
//! A task reads the body, so that a connection is free for another call as soon as its response has
//! arrived, even if the guest reads it later. Without that, a guest that waits for many responses
//! before it reads the first one would wait for ever once its connections are used up. A body
//! beyond the limit is read as the guest reads it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, timeout_at};
use wasmtime_wasi_http::{Error, WasiBody};

use crate::call::OutboundPermit;
use crate::client::exchange_code;

/// The most bytes that are read before the guest takes them. The last frame may go beyond it.
const READ_AHEAD: u32 = 64 << 10;

/// A guest's time limits on the body.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BodyTimes {
    /// When the first byte must have arrived.
    pub(crate) first_by: Option<Instant>,
    /// The most time between two frames.
    pub(crate) between: Option<Duration>,
}

impl BodyTimes {
    /// When the next frame must have arrived.
    fn next_by(self, is_first: bool) -> Option<Instant> {
        let first = self.first_by.filter(|_| is_first);
        let between = self.between.map(|between| Instant::now() + between);
        first.into_iter().chain(between).min()
    }
}

/// The guest's side of a body that a task reads.
struct ReadAhead {
    frames: UnboundedReceiver<Result<Frame<Bytes>, Error>>,
    room: Arc<Semaphore>,
    /// The bytes that are still to come, if their number is known.
    left: Option<u64>,
}

/// Starts to read a body. `permit` is held until the body has arrived or the guest drops it.
pub(crate) fn read_ahead(body: Incoming, times: BodyTimes, permit: OutboundPermit) -> WasiBody {
    if body.is_end_stream() {
        return Empty::<Bytes>::new().map_err(Error::from).boxed_unsync();
    }
    let (sender, frames) = unbounded_channel();
    let room = Arc::new(Semaphore::new(READ_AHEAD as usize));
    let ahead = ReadAhead {
        frames,
        room: Arc::clone(&room),
        left: body.size_hint().exact(),
    };
    tokio::spawn(async move {
        read(body, times, &sender, &room).await;
        drop(permit);
    });
    ahead.boxed_unsync()
}

/// Reads until the body has ended or failed, or the guest has dropped it.
async fn read(
    mut body: Incoming,
    times: BodyTimes,
    guest: &UnboundedSender<Result<Frame<Bytes>, Error>>,
    room: &Semaphore,
) {
    let mut is_first = true;
    loop {
        let frame = tokio::select! {
            frame = next(&mut body, times.next_by(is_first)) => frame,
            () = guest.closed() => return,
        };
        is_first = false;
        let Some(frame) = frame else { return };
        let size = frame.as_ref().map_or(0, size);
        let failed = frame.is_err();
        if guest.send(frame).is_err() || failed || body.is_end_stream() {
            return;
        }
        tokio::select! {
            taken = room.acquire_many(size) => match taken {
                Ok(permit) => permit.forget(),
                // Nothing closes it.
                Err(_) => return,
            },
            () = guest.closed() => return,
        }
    }
}

async fn next(body: &mut Incoming, by: Option<Instant>) -> Option<Result<Frame<Bytes>, Error>> {
    let frame = match by {
        None => body.frame().await,
        Some(by) => match timeout_at(by, body.frame()).await {
            Ok(frame) => frame,
            Err(_) => return Some(Err(Error::ConnectionReadTimeout)),
        },
    };
    frame.map(|frame| frame.map_err(|error| exchange_code(&error)))
}

/// The room that a frame takes. One that is larger than all of it takes all.
fn size(frame: &Frame<Bytes>) -> u32 {
    let bytes = frame.data_ref().map_or(0, Bytes::len);
    u32::try_from(bytes).map_or(READ_AHEAD, |bytes| bytes.min(READ_AHEAD))
}

impl Body for ReadAhead {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(self.frames.poll_recv(context));
        if let Some(Ok(frame)) = &frame {
            self.room.add_permits(size(frame) as usize);
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            self.left = self.left.map(|left| left.saturating_sub(bytes as u64));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_closed() && self.frames.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.left
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
