//! Body of an outbound request, which can be sent again as long as little of it was read.
//!
//! hyper drops a body of unknown length when the method is GET, HEAD or CONNECT, because clients
//! often have such a body without content. Here the content decides: [`Content::of`] waits for the
//! first bytes, and a body with content has `Transfer-Encoding: chunked`.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use wasmtime_wasi_http::{Error, WasiBody};

use super::read_frames::ReadFrames;

/// What is held until a connection has sent a body.
pub(crate) type Held = Arc<dyn Send + Sync>;

/// The content of a request that is about to be sent.
pub(crate) struct Content {
    /// Frames that come before the rest: one that was read to see whether there is content, or those that a
    /// connection has lost.
    ahead: VecDeque<Frame<Bytes>>,
    rest: WasiBody,
}

impl Content {
    /// The content of a guest's body; `None` if there is none.
    ///
    /// Most requests of these methods have no content (RFC 9110, section 9.3). For them this waits
    /// until the guest has written the first bytes or has finished the body. Other requests are
    /// sent without waiting.
    ///
    /// # Errors
    ///
    /// The failure of the guest's body.
    pub(crate) async fn of(method: &Method, mut body: WasiBody) -> Result<Option<Self>, Error> {
        let seldom = [
            Method::GET,
            Method::HEAD,
            Method::DELETE,
            Method::OPTIONS,
            Method::TRACE,
        ];
        if body.is_end_stream() {
            return Ok(None);
        }
        let mut ahead = VecDeque::new();
        // An announced length is known to mean content.
        if seldom.contains(method) && body.size_hint().exact().is_none() {
            loop {
                match body.frame().await.transpose()? {
                    None => return Ok(None),
                    Some(frame) if frame.data_ref().is_some_and(Bytes::is_empty) => {}
                    Some(frame) => {
                        ahead.push_back(frame);
                        break;
                    }
                }
            }
        }
        Ok(Some(Self { ahead, rest: body }))
    }

    /// Announces content of unknown length, for methods where hyper would send none.
    pub(crate) fn announce(&self, headers: &mut HeaderMap) {
        if !headers.contains_key(CONTENT_LENGTH) && self.size_hint().exact().is_none() {
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
    }

    fn size_hint(&self) -> SizeHint {
        let ahead = self.ahead.iter().filter_map(Frame::data_ref);
        let ahead: usize = ahead.map(Bytes::len).sum();
        match self.rest.size_hint().exact() {
            Some(rest) => SizeHint::with_exact(rest + ahead as u64),
            None => SizeHint::default(),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty() && self.rest.is_end_stream()
    }
}

/// The body of a request on a connection.
#[derive(Clone)]
pub(crate) struct SentBody {
    /// `None` for a request without content.
    shared: Option<Arc<Mutex<Lent>>>,
    /// Held until the connection has sent the body: a server may answer before that.
    permit: Option<Held>,
}

/// A content that a connection sends and its owner may take back.
struct Lent {
    /// `None` once it was taken back.
    content: Option<Content>,
    read: ReadFrames,
}

/// A claim to a body that was given to a connection. Nothing is kept any more once it is dropped.
pub(super) struct Claim(SentBody);

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(shared) = &self.0.shared {
            lock(shared).read = ReadFrames::TooMuch;
        }
    }
}

impl SentBody {
    pub(crate) fn new(content: Option<Content>) -> Self {
        let lent = |content| Lent {
            content: Some(content),
            read: ReadFrames::Anything,
        };
        Self {
            shared: content.map(|content| Arc::new(Mutex::new(lent(content)))),
            permit: None,
        }
    }

    /// Holds a permit until the body is dropped.
    pub(crate) fn hold(&mut self, permit: Held) {
        self.permit = Some(permit);
    }

    /// A claim by which the body can be sent again. From now on, what a connection reads is kept.
    pub(super) fn claim(&self) -> Claim {
        if let Some(shared) = &self.shared {
            let read = &mut lock(shared).read;
            if matches!(read, ReadFrames::Anything) {
                *read = ReadFrames::Kept(Vec::new(), 0);
            }
        }
        Claim(self.clone())
    }
}

impl Claim {
    /// The body for another connection, from its beginning; `None` when more of it was read than is
    /// kept. The first connection gets nothing of it any more.
    pub(super) fn take_back(self) -> Option<SentBody> {
        let SentBody { shared, permit } = &self.0;
        let content = match shared {
            None => None,
            Some(shared) => {
                let mut lent = lock(shared);
                let ReadFrames::Kept(frames, _) = &mut lent.read else {
                    return None;
                };
                let frames = std::mem::take(frames);
                let mut content = lent.content.take()?;
                for frame in frames.into_iter().rev() {
                    content.ahead.push_front(frame);
                }
                Some(content)
            }
        };
        let mut body = SentBody::new(content);
        body.permit.clone_from(permit);
        Some(body)
    }
}

fn lock(shared: &Mutex<Lent>) -> MutexGuard<'_, Lent> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Body for SentBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(shared) = &self.shared else {
            return Poll::Ready(None);
        };
        let mut lent = lock(shared);
        let Lent { content, read } = &mut *lent;
        let Some(content) = content else {
            // The connection has failed, and its request is sent on another one.
            return Poll::Ready(Some(Err(Error::ConnectionTerminated)));
        };
        let polled = match content.ahead.pop_front() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => Pin::new(&mut content.rest).poll_frame(context),
        };
        if let Poll::Ready(frame) = &polled {
            read.record(frame.as_ref());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        let Some(shared) = &self.shared else {
            return true;
        };
        let lent = lock(shared);
        lent.content.as_ref().is_some_and(Content::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let Some(shared) = &self.shared else {
            return SizeHint::with_exact(0);
        };
        let lent = lock(shared);
        lent.content
            .as_ref()
            .map_or_else(SizeHint::default, Content::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::{Empty, Full, StreamBody};

    use super::super::read_frames::MAX_KEPT;
    use super::*;

    /// A body of unknown length with these frames.
    fn streamed(pieces: &[&'static str]) -> WasiBody {
        let frames: Vec<Result<Frame<Bytes>, Error>> = pieces
            .iter()
            .map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes()))))
            .collect();
        StreamBody::new(stream::iter(frames)).boxed_unsync()
    }

    fn whole(text: &'static str) -> WasiBody {
        Full::<Bytes>::from(text)
            .map_err(Error::from)
            .boxed_unsync()
    }

    async fn text(body: SentBody) -> String {
        let bytes = body.collect().await.expect("it is whole").to_bytes();
        String::from_utf8(bytes.to_vec()).expect("it is text")
    }

    #[tokio::test]
    async fn content_decides_how_a_request_is_framed() {
        let check = async |method: Method, body: WasiBody, expected: Option<(&str, bool)>| {
            let content = Content::of(&method, body).await.expect("no failure");
            let mut headers = HeaderMap::new();
            if let Some(content) = &content {
                content.announce(&mut headers);
            }
            let chunked = headers.contains_key(TRANSFER_ENCODING);
            let found = content.is_some();
            let sent = text(SentBody::new(content)).await;
            let found = found.then_some((sent.as_str(), chunked));
            assert_eq!(found, expected, "{method}");
        };
        let all = [
            Method::GET,
            Method::HEAD,
            Method::DELETE,
            Method::OPTIONS,
            Method::POST,
            Method::PATCH,
            Method::from_bytes(b"PURGE").expect("a token"),
        ];
        for method in all {
            check(
                method.clone(),
                streamed(&["", "a", "b"]),
                Some(("ab", true)),
            )
            .await;
            check(method.clone(), whole("abc"), Some(("abc", false))).await;
            let empty = Empty::<Bytes>::new().map_err(Error::from).boxed_unsync();
            check(method, empty, None).await;
        }
        check(Method::GET, streamed(&[]), None).await;
        check(Method::DELETE, streamed(&["", ""]), None).await;
        // Its guest may write only once the server has answered.
        check(Method::POST, streamed(&[]), Some(("", true))).await;
    }

    #[tokio::test]
    async fn an_announced_length_stays() {
        let content = Content::of(&Method::GET, streamed(&["abc"])).await;
        let content = content.expect("no failure").expect("there is some");
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("3"));
        content.announce(&mut headers);
        assert!(!headers.contains_key(TRANSFER_ENCODING));
    }

    #[tokio::test]
    async fn the_failure_of_a_body_is_that_of_its_request() {
        let failing: [Result<Frame<Bytes>, Error>; 1] = [Err(Error::HttpProtocolError)];
        let body = StreamBody::new(stream::iter(failing)).boxed_unsync();
        let failed = Content::of(&Method::GET, body).await;
        assert!(matches!(failed, Err(Error::HttpProtocolError)));
    }

    #[tokio::test]
    async fn a_body_is_taken_back_whole_until_more_was_read_than_is_kept() {
        async fn read(body: &mut SentBody) -> Option<Bytes> {
            let frame = body.frame().await.expect("a frame").expect("no failure");
            frame.into_data().ok()
        }
        let sent = SentBody::new(None);
        let again = sent.claim().take_back().expect("there is nothing to read");
        assert!(again.is_end_stream());

        let content = Content::of(&Method::PUT, streamed(&["a", "b"])).await;
        let mut first = SentBody::new(content.expect("no failure"));
        let claim = first.claim();
        assert_eq!(read(&mut first).await, Some(Bytes::from_static(b"a")));
        let mut second = claim.take_back().expect("little was read");
        assert!(first.frame().await.is_some_and(|frame| frame.is_err()));
        let claim = second.claim();
        assert_eq!(read(&mut second).await, Some(Bytes::from_static(b"a")));
        assert_eq!(read(&mut second).await, Some(Bytes::from_static(b"b")));
        assert!(second.frame().await.is_none());
        let third = claim.take_back().expect("little was read");
        assert_eq!(text(third).await, "ab");

        // The length that was announced stays that of the whole.
        let content = Content::of(&Method::PUT, whole("abc")).await;
        let mut first = SentBody::new(content.expect("no failure"));
        let claim = first.claim();
        assert_eq!(read(&mut first).await, Some(Bytes::from_static(b"abc")));
        let second = claim.take_back().expect("little was read");
        assert_eq!(second.size_hint().exact(), Some(3));
        assert!(!second.is_end_stream());
        assert_eq!(text(second).await, "abc");

        // Empty frames are not kept, and small ones count more than their data.
        for (piece, pieces, is_kept) in [("", 10_000, true), ("y", 10_000, false)] {
            let content = Content::of(&Method::PUT, streamed(&vec![piece; pieces])).await;
            let mut first = SentBody::new(content.expect("no failure"));
            let claim = first.claim();
            while first.frame().await.is_some() {}
            assert_eq!(claim.take_back().is_some(), is_kept, "{piece:?}");
        }

        // Without a claim, nothing is kept.
        let content = Content::of(&Method::PUT, streamed(&["a"])).await;
        let mut first = SentBody::new(content.expect("no failure"));
        drop(first.claim());
        assert_eq!(read(&mut first).await, Some(Bytes::from_static(b"a")));
        assert!(first.claim().take_back().is_none());

        let large: &str = Box::leak("x".repeat(MAX_KEPT).into_boxed_str());
        let content = Content::of(&Method::PUT, streamed(&["y", large])).await;
        let mut first = SentBody::new(content.expect("no failure"));
        let claim = first.claim();
        assert_eq!(read(&mut first).await, Some(Bytes::from_static(b"y")));
        assert!(read(&mut first).await.is_some());
        assert!(claim.take_back().is_none());

        // A read that has to wait reads nothing.
        let pending = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Error>>());
        let content = Content::of(&Method::PUT, pending.boxed_unsync()).await;
        let mut waiting = SentBody::new(content.expect("no failure"));
        let claim = waiting.claim();
        let mut context = Context::from_waker(std::task::Waker::noop());
        let polled = Pin::new(&mut waiting).poll_frame(&mut context);
        assert!(polled.is_pending() && claim.take_back().is_some());
    }
}
