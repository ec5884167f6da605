//! Parses a CGI response from a command's standard output while the command writes it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::header::{HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::io::AsyncWrite;
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

use crate::context::call_state::Call;
use crate::error::CallError;

/// The largest response head, in bytes.
const MAX_HEAD: usize = 64 << 10;

/// Chunks of the body that wait for a slow client before the command blocks.
const BUFFERED_CHUNKS: usize = 4;

/// The command's standard output.
#[derive(Clone)]
pub(super) struct Writer {
    answer: Arc<Mutex<Answer>>,
    body: PollSender<Bytes>,
}

/// Checks at the end of the command that it wrote a response.
pub(super) struct Finish(Arc<Mutex<Answer>>);

struct Answer {
    call: Arc<Call>,
    /// The head as far as it has been written; `None` once it is complete.
    head: Option<Vec<u8>>,
    receiver: Option<mpsc::Receiver<Bytes>>,
    failure: Option<&'static str>,
}

/// Makes a writer for the response to `call`.
pub(super) fn answer_to(call: Arc<Call>) -> (Writer, Finish) {
    let (sender, receiver) = mpsc::channel(BUFFERED_CHUNKS);
    let answer = Arc::new(Mutex::new(Answer {
        call,
        head: Some(Vec::new()),
        receiver: Some(receiver),
        failure: None,
    }));
    let writer = Writer {
        answer: Arc::clone(&answer),
        body: PollSender::new(sender),
    };
    (writer, Finish(answer))
}

impl Finish {
    /// Checks that the output so far is a response or the start of one.
    pub(super) fn check(&self) -> Result<(), CallError> {
        let answer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answer
            .failure
            .map_or(Ok(()), |failure| Err(CallError::Cgi(failure)))
    }

    /// Checks the output of a command that exited with success.
    pub(super) fn finish(self) -> Result<(), CallError> {
        let answer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &answer.head {
            Some(head) if head.is_empty() => Err(CallError::Cgi("it wrote nothing")),
            Some(_) => Err(CallError::Cgi("no empty line ends its head")),
            None => Ok(()),
        }
    }
}

impl Answer {
    /// Consumes the part of `bytes` that belongs to the head; returns its length.
    fn take_head(&mut self, bytes: &[u8]) -> Result<usize, &'static str> {
        let Some(head) = &mut self.head else {
            return Ok(0);
        };
        let before = head.len();
        head.extend_from_slice(bytes);
        let Some(end) = end_of_head(head) else {
            if head.len() > MAX_HEAD {
                return Err("its head is too long");
            }
            return Ok(bytes.len());
        };
        let parsed = parse(&head[..end])?;
        self.head = None;
        let receiver = self.receiver.take().ok_or("its head came twice")?;
        let pieces = tokio_stream(receiver).map(|piece| Ok(Frame::data(piece)));
        self.call
            .answer(Ok(parsed.map(|()| StreamBody::new(pieces).boxed_unsync())));
        Ok(end - before)
    }
}

fn tokio_stream(
    mut receiver: mpsc::Receiver<Bytes>,
) -> impl futures_util::Stream<Item = Bytes> + Send {
    futures_util::stream::poll_fn(move |context| receiver.poll_recv(context))
}

/// The offset after the empty line that ends the head. Lines end in LF or CRLF.
fn end_of_head(head: &[u8]) -> Option<usize> {
    let mut start = 0;
    for (index, byte) in head.iter().enumerate() {
        if *byte != b'\n' {
            continue;
        }
        let line = &head[start..index];
        if line.is_empty() || line == b"\r" {
            return Some(index + 1);
        }
        start = index + 1;
    }
    None
}

/// Parses a head (RFC 3875, section 6). The header `Status` sets the status; `Location` without it
/// redirects.
fn parse(head: &[u8]) -> Result<Response<()>, &'static str> {
    let mut response = Response::new(());
    let mut status = None;
    for line in head.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let colon = line
            .iter()
            .position(|byte| *byte == b':')
            .ok_or("a head line has no colon")?;
        let name = HeaderName::from_bytes(&line[..colon]).map_err(|_| "a bad header name")?;
        let value = line[colon + 1..].trim_ascii();
        if name == "status" {
            let code = value
                .split(u8::is_ascii_whitespace)
                .next()
                .unwrap_or_default();
            status = Some(StatusCode::from_bytes(code).map_err(|_| "a bad Status")?);
            continue;
        }
        if wasmtime_wasi_http::DEFAULT_FORBIDDEN_HEADERS.contains(&name) {
            continue;
        }
        let value = HeaderValue::from_bytes(value).map_err(|_| "a bad header value")?;
        response.headers_mut().append(name, value);
    }
    if response.headers().is_empty() && status.is_none() {
        return Err("its head is empty");
    }
    let redirects = response.headers().contains_key(http::header::LOCATION);
    *response.status_mut() = status.unwrap_or(if redirects {
        StatusCode::FOUND
    } else {
        StatusCode::OK
    });
    Ok(response)
}

impl IsTerminal for Writer {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Writer {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for Writer {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let taken = {
            let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
            if answer.failure.is_some() {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            match answer.take_head(bytes) {
                Ok(taken) => taken,
                Err(failure) => {
                    answer.failure = Some(failure);
                    return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
                }
            }
        };
        if taken > 0 || bytes.is_empty() {
            return Poll::Ready(Ok(taken));
        }
        match self.body.poll_reserve(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(_)) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Poll::Ready(Ok(())) => {
                let sent = self.body.send_item(Bytes::copy_from_slice(bytes));
                Poll::Ready(
                    sent.map(|()| bytes.len())
                        .map_err(|_| io::ErrorKind::BrokenPipe.into()),
                )
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_ends_at_its_first_empty_line() {
        let check = |head: &[u8], expected| assert_eq!(end_of_head(head), expected);
        check(b"a: b\n\nbody", Some(6));
        check(b"a: b\r\n\r\nbody", Some(8));
        check(b"a: b\n", None);
        check(b"\nbody", Some(1));
    }

    #[test]
    fn a_head_sets_status_and_headers() {
        let check = |head: &[u8], expected: Result<(u16, usize), &str>| {
            let parsed = parse(head).map(|head| (head.status().as_u16(), head.headers().len()));
            assert_eq!(parsed, expected, "{}", String::from_utf8_lossy(head));
        };
        check(b"Content-Type: text/plain\n", Ok((200, 1)));
        check(
            b"Status: 404 Not Found\r\nContent-Type: text/plain\r\n",
            Ok((404, 1)),
        );
        check(b"Location: /elsewhere\n", Ok((302, 1)));
        check(b"Status: 201\nLocation: /new\n", Ok((201, 1)));
        check(b"Transfer-Encoding: chunked\nX-A: 1\n", Ok((200, 1)));
        check(b"no colon\n", Err("a head line has no colon"));
        check(b"Status: many\n", Err("a bad Status"));
        check(b"\n", Err("its head is empty"));
    }
}
