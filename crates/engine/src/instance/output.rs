//! Output of a guest: splits it into lines, escapes control characters, limits it, and passes it to
//! the observer.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::context::call_state::Call;
use crate::context::function_context::FunctionContext;
use crate::observer::Stream;
use crate::request_id::RequestId;

/// Longer lines are split, between two characters.
const MAX_LINE: usize = 8 << 10;

/// The most bytes of one write.
const MAX_WRITE: usize = 64 << 10;

/// One output stream of a guest, over all calls that its instance serves.
pub(super) struct Output {
    stream: Stream,
    function: Arc<FunctionContext>,
    state: Mutex<State>,
}

struct State {
    request_id: Option<RequestId>,
    line: LineBuffer,
    /// Bytes that this call may still write.
    left: u64,
    truncated: bool,
}

impl Output {
    pub(super) fn new(stream: Stream, call: &Call) -> Self {
        let state = State {
            request_id: call.request_id.clone(),
            line: LineBuffer::default(),
            left: call.function.spec.limits.output.bytes(),
            truncated: false,
        };
        Self {
            stream,
            function: Arc::clone(&call.function),
            state: Mutex::new(state),
        }
    }

    /// Ends the output of the last call and starts the limit of the next one.
    pub(super) fn begin(&self, call: &Call) {
        self.finish();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.request_id.clone_from(&call.request_id);
        state.left = call.function.spec.limits.output.bytes();
        state.truncated = false;
    }

    /// Publishes a last line without line break.
    pub(super) fn finish(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State {
            request_id, line, ..
        } = &mut *state;
        line.finish(|line| self.publish(line, request_id.as_ref()));
    }

    fn write(&self, bytes: &[u8]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State {
            request_id,
            line,
            left,
            truncated,
        } = &mut *state;
        let request_id = request_id.as_ref();
        let allowed = usize::try_from(*left)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        *left -= allowed as u64;
        line.push(&bytes[..allowed], |line| self.publish(line, request_id));
        if allowed < bytes.len() && !*truncated {
            *truncated = true;
            line.drop_unfinished_character();
            line.finish(|line| self.publish(line, request_id));
            let limit = self.function.spec.limits.output;
            let notice = format!("[output cut here: limits.output allows {limit} a request]");
            self.function
                .observer
                .output(self.stream, &notice, request_id);
        }
    }

    fn publish(&self, line: &[u8], request_id: Option<&RequestId>) {
        let line = escape_control(line);
        self.function
            .observer
            .output(self.stream, &line, request_id);
    }
}

/// The incomplete last line of a stream, of at most [`MAX_LINE`] bytes.
#[derive(Default)]
struct LineBuffer(Vec<u8>);

impl LineBuffer {
    /// Adds bytes. Publishes each line that they complete, and each part of a line that is too long.
    fn push(&mut self, bytes: &[u8], mut publish: impl FnMut(&[u8])) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (mut text, complete) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            while self.0.len() + text.len() > MAX_LINE {
                let (fitting, rest) = text.split_at(MAX_LINE - self.0.len());
                self.0.extend_from_slice(fitting);
                let cut = self.0.len() - unfinished_character(&self.0);
                publish(&self.0[..cut]);
                self.0.drain(..cut);
                text = rest;
            }
            self.0.extend_from_slice(text);
            if complete {
                publish(&self.0);
                self.0.clear();
            }
        }
    }

    /// Publishes the line, unless it is empty.
    fn finish(&mut self, publish: impl FnOnce(&[u8])) {
        if !self.0.is_empty() {
            publish(&self.0);
            self.0.clear();
        }
    }

    /// Removes the bytes of an incomplete character at the end.
    fn drop_unfinished_character(&mut self) {
        let end = self.0.len() - unfinished_character(&self.0);
        self.0.truncate(end);
    }
}

/// The number of bytes at the end of `bytes` that are the beginning of one UTF-8 character.
fn unfinished_character(bytes: &[u8]) -> usize {
    let is_continuation = |byte: u8| byte & 0b1100_0000 == 0b1000_0000;
    let Some(start) = bytes.iter().rposition(|byte| !is_continuation(*byte)) else {
        return 0;
    };
    match std::str::from_utf8(&bytes[start..]) {
        // Without an error length the bytes are valid as far as they go.
        Err(error) if error.error_len().is_none() => bytes.len() - start,
        _ => 0,
    }
}

/// Escapes every control character but the tab, so that a terminal obeys none of them.
fn escape_control(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.strip_suffix('\r').unwrap_or(&text);
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && character != '\t' {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// The stream handle for wasmtime's WASI.
#[derive(Clone)]
pub(super) struct Handle(pub(super) Arc<Output>);

impl IsTerminal for Handle {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Handle {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl OutputStream for Handle {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.write(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_WRITE)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Handle {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Handle {
    fn poll_write(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.0.write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::{LineBuffer, MAX_LINE, escape_control};

    #[test]
    fn long_lines_are_split_between_characters() {
        fn check(writes: &[&[u8]], expected: &[&[u8]]) {
            let mut published = Vec::new();
            let mut line = LineBuffer::default();
            for bytes in writes {
                line.push(bytes, |line| published.push(line.to_vec()));
            }
            line.finish(|line| published.push(line.to_vec()));
            let lengths: Vec<usize> = published.iter().map(Vec::len).collect();
            assert_eq!(published, expected, "lines of {lengths:?} bytes");
        }
        fn line(length: usize, end: &str) -> Vec<u8> {
            let mut bytes = vec![b'x'; length];
            bytes.extend_from_slice(end.as_bytes());
            bytes
        }
        let full = line(MAX_LINE, "");
        let almost = line(MAX_LINE - 1, "");
        check(&[b"a\nb\n\nc"], &[b"a", b"b", b"", b"c"]);
        check(&[b"a", b"b\n"], &[b"ab"]);
        check(&[&line(MAX_LINE, "\n")], &[&full]);
        check(&[&line(MAX_LINE, "yz\n")], &[&full, b"yz"]);
        check(&[&line(3 * MAX_LINE, "")], &[&full, &full, &full]);
        check(&[b"yz\n", &line(MAX_LINE, "\n")], &[b"yz", &full]);
        for character in ["ü", "€", "🦀"] {
            let bytes = character.as_bytes();
            let text = line(MAX_LINE - 1, character);
            check(&[&text], &[&almost, bytes]);
            check(&[&almost, bytes, b"\n"], &[&almost, bytes]);
            check(
                &[&almost, &bytes[..1], &bytes[1..], b"\n"],
                &[&almost, bytes],
            );
        }
        // Bytes that are not UTF-8 are cut anywhere.
        let invalid = vec![0xff; MAX_LINE + 1];
        check(&[&invalid], &[&invalid[1..], b"\xff"]);
        let continuations = vec![0x80; MAX_LINE + 1];
        check(&[&continuations], &[&continuations[1..], b"\x80"]);
    }

    #[test]
    fn a_limit_cuts_before_a_character_that_does_not_fit() {
        fn check(bytes: &[u8], expected: &[u8]) {
            let mut line = LineBuffer::default();
            line.push(bytes, |_| panic!("no line is complete"));
            line.drop_unfinished_character();
            assert_eq!(line.0, expected, "{bytes:?}");
        }
        check(b"", b"");
        check(b"ab", b"ab");
        check("aü".as_bytes(), "aü".as_bytes());
        check(&"aü".as_bytes()[..2], b"a");
        check(&"a🦀".as_bytes()[..4], b"a");
        check(b"a\xff", b"a\xff");
        check(b"a\xe2\xff", b"a\xe2\xff");
        check(b"\x80\x80", b"\x80\x80");
    }

    #[test]
    fn control_characters_are_written_as_escapes() {
        let check = |bytes: &[u8], expected: &str| assert_eq!(escape_control(bytes), expected);
        check(b"plain\ttext\r", "plain\ttext");
        check(b"\x1b[2J\x07", "\\u{1b}[2J\\u{7}");
        check("\u{9b}31m ü".as_bytes(), "\\u{9b}31m ü");
        check(b"\xff\xfe", "\u{fffd}\u{fffd}");
    }
}
