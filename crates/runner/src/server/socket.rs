//! Socket of a connection: detects HTTP/1 or HTTP/2 by the first bytes, records traffic, and closes
//! gracefully.

use std::io::{self, IoSlice};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::config::MAX_URI_BYTES;
use super::frames::Frames;
use super::half_close::HalfClosed;
use super::scheduler_load;
use super::watch::Watch;

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The longest request line: the longest allowed target, with ample room for the method, the
/// version and two spaces.
const MAX_LINE_BYTES: usize = MAX_URI_BYTES + 256;

/// The protocol of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// The parse state of the incoming bytes.
#[derive(Debug)]
enum Incoming {
    /// The protocol is not known yet.
    Unknown,
    /// HTTP/1, with the length of an incomplete request line; `None` after its end.
    Http1 {
        line: Option<usize>,
    },
    Http2(Frames),
}

#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts about reading and about writing, each independent of the others"
)]
pub(super) struct Socket {
    stream: TcpStream,
    watch: Arc<Watch>,
    incoming: Incoming,
    /// Bytes that were read to detect the protocol, which reads them once more.
    first: [u8; PREFACE.len()],
    first_filled: usize,
    first_taken: usize,
    /// Set when the client has closed its sending side before it had its response.
    half_closed: Option<HalfClosed>,
    /// The write side is closed.
    shut: bool,
    line_too_long: bool,
    /// Whether bytes were read since the last write: the next write then responds to them.
    answers: bool,
    /// A write waits until other tasks have run.
    delayed: bool,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, watch: Arc<Watch>) -> Self {
        Self {
            stream,
            watch,
            incoming: Incoming::Unknown,
            first: [0; PREFACE.len()],
            first_filled: 0,
            first_taken: 0,
            half_closed: None,
            shut: false,
            line_too_long: false,
            answers: false,
            delayed: false,
        }
    }

    /// Reads until the client's protocol is certain. `Ok(None)` when the client has closed before.
    pub(super) fn poll_protocol(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Option<Protocol>>> {
        loop {
            let mut buffer = ReadBuf::new(&mut self.first[self.first_filled..]);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
            let count = buffer.filled().len();
            if count == 0 {
                return Poll::Ready(Ok(None));
            }
            self.first_filled += count;
            let first = &self.first[..self.first_filled];
            if !PREFACE.starts_with(first) {
                self.incoming = Incoming::Http1 { line: Some(0) };
                return Poll::Ready(Ok(Some(Protocol::Http1)));
            }
            if first.len() == PREFACE.len() {
                self.incoming = Incoming::Http2(Frames::new(Instant::now()));
                return Poll::Ready(Ok(Some(Protocol::Http2)));
            }
        }
    }

    /// Whether reading failed because a request line was longer than allowed.
    pub(super) fn line_is_too_long(&self) -> bool {
        self.line_too_long
    }

    /// Stops reading from a flooding client. Pending output is still sent.
    fn poll_read_bytes(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.watch.is_flooded() {
            return Poll::Pending;
        }
        let first = &self.first[self.first_taken..self.first_filled];
        if first.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let count = first.len().min(buffer.remaining());
        buffer.put_slice(&first[..count]);
        self.first_taken += count;
        Poll::Ready(Ok(()))
    }

    /// Holds the end of the input back while the client may still wait for a response. hyper takes
    /// the end for a client that has gone away.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let is_http1 = matches!(self.incoming, Incoming::Http1 { .. });
        let is_responding = self.watch.is_busy() || self.watch.is_blocked() || self.delayed;
        if !is_http1 || !is_responding {
            return Poll::Ready(());
        }
        self.watch.half_close();
        self.half_closed
            .get_or_insert_with(|| HalfClosed::new(&self.watch))
            .poll(&self.watch, context)
    }

    /// Ready when a response may be written.
    fn poll_may_write(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // A write is delayed once, even if more of a request arrives meanwhile.
        if mem::take(&mut self.answers) && !self.delayed {
            self.delayed = true;
            ready!(scheduler_load::poll_may_respond(context));
        }
        self.delayed = false;
        Poll::Ready(())
    }

    /// Records bytes that were read. Returns an error for input that hyper accepts but the server
    /// does not.
    fn note(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.incoming {
            Incoming::Unknown => {}
            Incoming::Http1 { line } => {
                if bytes.is_empty() || self.watch.is_busy() {
                    // The end, a body, or the next request before this one's response.
                    *line = None;
                    return Ok(());
                }
                if !self.watch.is_partial() {
                    self.watch.head_begun();
                    *line = Some(0);
                }
                if let Some(length) = line {
                    *length += bytes.len();
                    if bytes.contains(&b'\n') {
                        *line = None;
                    } else if *length > MAX_LINE_BYTES {
                        self.line_too_long = true;
                        return Err(io::Error::from(io::ErrorKind::InvalidData));
                    }
                }
            }
            Incoming::Http2(frames) => {
                let seen = frames.feed(bytes, Instant::now);
                if seen.progress {
                    self.watch.head_arrived();
                }
                if seen.partial {
                    self.watch.head_begun();
                }
                if seen.flood {
                    self.watch.flood();
                }
            }
        }
        Ok(())
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(self.poll_read_bytes(context, buffer))?;
        if buffer.filled().len() == before {
            ready!(self.poll_end(context));
        }
        self.answers = true;
        Poll::Ready(self.note(&buffer.filled()[before..]))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_may_write(context));
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch.note_write(&polled);
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_may_write(context));
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.watch.note_write(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// Closes the write side, then reads until the client closes as well. Otherwise the kernel
    /// would reset the connection of a client that still sends, and discard the response. The
    /// watchdog ends the wait.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.shut {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
            self.shut = true;
        }
        if !self.watch.is_unread() && !self.watch.is_partial() {
            return Poll::Ready(Ok(()));
        }
        self.watch.linger();
        let mut waste = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut waste);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl Watch {
    fn note_write(&self, polled: &Poll<io::Result<usize>>) {
        match polled {
            Poll::Ready(Ok(count)) => self.wrote(*count),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.block(),
        }
    }
}
