//! Body of an upstream's response, read ahead of the guest up to a limit.
//!
//! A task reads the body, so that a connection is free for another call as soon as its request has
//! left and its response has arrived, even if the guest reads it later. Without that, a guest that waits for many responses
//! before it reads the first one would wait for ever once its connections are used up. A body
//! beyond the limit is read as the guest reads it.
//!
//! All bodies of a call share a budget. A body that arrives beyond it keeps its connection until
//! the guest takes it, so `limits.outboundConnections` bounds how many there are.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};
use wasmtime_wasi_http::{Error, WasiBody};

use super::client::exchange_code;

/// The most bytes of a body that are read before the guest takes them. The last frame may go beyond
/// it.
const READ_AHEAD: u32 = 64 << 10;

/// What a frame, and each field of a frame with trailers, counts in addition to its bytes: a place in the
/// queue and allocations. A server may send one byte in each frame.
const FRAME_OVERHEAD: usize = 256;

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

/// A frame that the guest has not taken yet.
type Queued = (Result<Frame<Bytes>, Error>, Held);

/// The part of the call's budget for a frame, until the guest takes the frame.
enum Held {
    Charged {
        _part: OwnedSemaphorePermit,
    },
    /// The budget was used up. The reading task waits for the drop of this before it ends.
    Waits {
        _taken: oneshot::Sender<()>,
    },
}

/// The guest's side of a body that a task reads.
struct ReadAhead {
    frames: UnboundedReceiver<Queued>,
    room: Arc<Semaphore>,
    /// The bytes that are still to come, if their number is known.
    left: Option<u64>,
}

/// Starts to read a body. `permit` is held until the body has arrived within the call's `budget`, the
/// guest has taken what is beyond it, or the guest drops the body.
pub(crate) fn read_ahead(
    body: Incoming,
    times: BodyTimes,
    budget: Arc<Semaphore>,
    permit: impl Send + 'static,
) -> WasiBody {
    if body.is_end_stream() {
        return Empty::<Bytes>::new().map_err(Error::from).boxed_unsync();
    }
    start(body, times, budget, permit).boxed_unsync()
}

fn start(
    body: Incoming,
    times: BodyTimes,
    budget: Arc<Semaphore>,
    permit: impl Send + 'static,
) -> ReadAhead {
    let (sender, frames) = unbounded_channel();
    let room = Arc::new(Semaphore::new(READ_AHEAD as usize));
    let ahead = ReadAhead {
        frames,
        room: Arc::clone(&room),
        left: body.size_hint().exact(),
    };
    tokio::spawn(async move {
        read(body, times, &sender, &room, &budget).await;
        drop(permit);
    });
    ahead
}

/// Reads until the body has ended or failed, and no frame beyond the budget is left, or the guest has
/// dropped the body.
async fn read(
    mut body: Incoming,
    times: BodyTimes,
    guest: &UnboundedSender<Queued>,
    room: &Semaphore,
    budget: &Arc<Semaphore>,
) {
    let mut is_first = true;
    // Ends when the guest has taken the last frame beyond the budget.
    let mut taken = None;
    loop {
        let frame = tokio::select! {
            frame = next(&mut body, times.next_by(is_first)) => frame,
            () = guest.closed() => return,
        };
        is_first = false;
        let Some(frame) = frame else { break };
        let size = size(&frame);
        let failed = frame.is_err();
        let held = if let Ok(part) = Arc::clone(budget).try_acquire_many_owned(size) {
            Held::Charged { _part: part }
        } else {
            let (sender, receiver) = oneshot::channel();
            taken = Some(receiver);
            Held::Waits { _taken: sender }
        };
        if guest.send((frame, held)).is_err() {
            return;
        }
        if failed || body.is_end_stream() {
            break;
        }
        tokio::select! {
            free = room.acquire_many(size) => match free {
                Ok(permit) => permit.forget(),
                // Nothing closes it.
                Err(_) => return,
            },
            () = guest.closed() => return,
        }
    }
    if let Some(taken) = taken {
        // Nothing is sent: this is the drop of the sender.
        let _ = taken.await;
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
    // A copy, because the original keeps the whole buffer into which its connection reads.
    frame.map(|frame| match frame {
        Ok(frame) => Ok(frame.map_data(|data| Bytes::copy_from_slice(&data))),
        Err(error) => Err(exchange_code(&error)),
    })
}

/// The room that a frame takes. One that is larger than all of it takes all.
fn size(frame: &Result<Frame<Bytes>, Error>) -> u32 {
    let content = frame.as_ref().map_or(0, content);
    u32::try_from(content + FRAME_OVERHEAD).map_or(READ_AHEAD, |size| size.min(READ_AHEAD))
}

fn content(frame: &Frame<Bytes>) -> usize {
    let data = frame.data_ref().map_or(0, Bytes::len);
    let fields = frame.trailers_ref().into_iter().flatten();
    let trailers = fields.map(|(name, value)| name.as_str().len() + value.len() + FRAME_OVERHEAD);
    data + trailers.sum::<usize>()
}

impl Body for ReadAhead {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some((frame, _held)) = ready!(self.frames.poll_recv(context)) else {
            return Poll::Ready(None);
        };
        self.room.add_permits(size(&frame) as usize);
        if let Ok(frame) = &frame {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            self.left = self.left.map(|left| left.saturating_sub(bytes as u64));
        }
        Poll::Ready(Some(frame))
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_closed() && self.frames.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.left
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests {
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::*;

    /// The body of this response.
    async fn received(response: Vec<u8>) -> Incoming {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it has one");
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut request = [0; 1024];
            let read = stream.read(&mut request).await.expect("a request");
            assert!(read > 0);
            stream.write_all(&response).await.expect("it is read");
            // Open until its client closes it.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        });
        let stream = TcpStream::connect(address).await.expect("it connects");
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .expect("HTTP/1.1 starts");
        tokio::spawn(connection);
        let request = http::Request::new(Empty::<Bytes>::new());
        let response = sender.send_request(request).await.expect("a response");
        response.into_body()
    }

    /// Guards a test against hanging.
    async fn soon<T>(what: impl Future<Output = T>) -> T {
        let limit = Duration::from_mins(1);
        timeout(limit, what).await.expect("it happens soon")
    }

    #[tokio::test]
    async fn frames_of_a_byte_fill_the_room_and_keep_no_buffer() {
        // Each chunk is a frame.
        let count = 1000;
        let mut response = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        response.extend(b"1\r\na\r\n".repeat(count));
        response.extend(b"0\r\n\r\n");
        let budget = Arc::new(Semaphore::new(2 * READ_AHEAD as usize));
        let mut ahead = start(received(response).await, BodyTimes::default(), budget, ());
        // Nothing is free once the task waits for room.
        soon(async {
            while ahead.room.available_permits() > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let most = READ_AHEAD as usize / (FRAME_OVERHEAD + 1) + 1;
        assert_eq!(ahead.frames.len(), most);
        let mut bytes = 0;
        while let Some(frame) = soon(ahead.frame()).await {
            let data = frame.expect("no failure").into_data().expect("no trailers");
            assert!(data.is_unique());
            bytes += data.len();
        }
        assert_eq!(bytes, count);
    }

    #[tokio::test]
    async fn a_body_beyond_the_budget_keeps_its_permit_until_it_is_taken() {
        let response = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody";
        let size = FRAME_OVERHEAD + 4;
        for (left, is_kept) in [(size, false), (size - 1, true), (0, true)] {
            let budget = Arc::new(Semaphore::new(left));
            let begin = async || {
                let (permit, released) = oneshot::channel::<()>();
                let body = received(response.to_vec()).await;
                let times = BodyTimes::default();
                (start(body, times, Arc::clone(&budget), permit), released)
            };
            let (mut ahead, mut released) = begin().await;
            let (frame, held) = soon(ahead.frames.recv()).await.expect("a frame");
            let data = frame.expect("no failure").into_data().expect("data");
            assert_eq!(data, "body");
            if is_kept {
                assert_eq!(
                    released.try_recv(),
                    Err(oneshot::error::TryRecvError::Empty)
                );
                drop(held);
                assert!(soon(released).await.is_err(), "it is dropped");
            } else {
                assert!(soon(released).await.is_err(), "it is dropped");
                drop(held);
            }
            assert_eq!(budget.available_permits(), left);
            // A body that the guest does not want.
            let (ahead, released) = begin().await;
            drop(ahead);
            assert!(soon(released).await.is_err(), "it is dropped");
        }
    }

    #[test]
    fn every_frame_counts() {
        let check = |frame: Result<Frame<Bytes>, Error>, expected: usize| {
            assert_eq!(size(&frame) as usize, expected, "{frame:?}");
        };
        let data = |length| Ok(Frame::data(Bytes::from(vec![0; length])));
        check(data(1), FRAME_OVERHEAD + 1);
        check(data(1000), FRAME_OVERHEAD + 1000);
        check(data(1 << 20), READ_AHEAD as usize);
        let field = (
            http::HeaderName::from_static("digest"),
            http::HeaderValue::from_static("none"),
        );
        let trailers = http::HeaderMap::from_iter([field]);
        check(Ok(Frame::trailers(trailers)), 2 * FRAME_OVERHEAD + 10);
        check(Err(Error::ConnectionReadTimeout), FRAME_OVERHEAD);
    }
}
