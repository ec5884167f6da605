//! What a guest prints: cut into lines, made harmless, bounded, and told to the function's observer.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::call::Call;
use crate::function::Inner;
use crate::observer::Stream;

/// A line longer than this is told in pieces.
const LINE: usize = 8 << 10;

/// Bytes that a guest may offer in one write.
const WRITE: usize = 64 << 10;

/// One of a guest's output streams, over all calls that its instance serves.
pub(crate) struct Output {
    stream: Stream,
    function: Arc<Inner>,
    state: Mutex<State>,
}

struct State {
    request_id: Option<Box<str>>,
    line: Vec<u8>,
    /// Bytes that this call may still print.
    left: u64,
    truncated: bool,
}

impl Output {
    pub(crate) fn new(stream: Stream, call: &Call) -> Self {
        let state = State {
            request_id: call.request_id.clone(),
            line: Vec::new(),
            left: call.function.spec.limits.output.bytes(),
            truncated: false,
        };
        Self {
            stream,
            function: Arc::clone(&call.function),
            state: Mutex::new(state),
        }
    }

    /// Ends the last call's output and gives the next call its own allowance.
    pub(crate) fn begin(&self, call: &Call) {
        self.finish();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.request_id.clone_from(&call.request_id);
        state.left = call.function.spec.limits.output.bytes();
        state.truncated = false;
    }

    /// Tells a last line that has no end.
    pub(crate) fn finish(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.line.is_empty() {
            self.tell(&mut state);
        }
    }

    fn write(&self, bytes: &[u8]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let allowed = usize::try_from(state.left)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        state.left -= allowed as u64;
        for piece in bytes[..allowed].split_inclusive(|byte| *byte == b'\n') {
            for part in piece.chunks(LINE) {
                let full = state.line.len() + part.len() > LINE;
                if full {
                    self.tell(&mut state);
                }
                state.line.extend_from_slice(part);
            }
            if piece.ends_with(b"\n") {
                state.line.pop();
                self.tell(&mut state);
            }
        }
        if allowed < bytes.len() && !state.truncated {
            state.truncated = true;
            if !state.line.is_empty() {
                self.tell(&mut state);
            }
            let limit = self.function.spec.limits.output;
            let notice = format!("[output cut here: limits.output allows {limit} a request]");
            self.function
                .observer
                .output(self.stream, &notice, state.request_id.as_deref());
        }
    }

    fn tell(&self, state: &mut State) {
        let line = harmless(&state.line);
        state.line.clear();
        self.function
            .observer
            .output(self.stream, &line, state.request_id.as_deref());
    }
}

/// The text with every control character but the tab written as an escape, so that a terminal which
/// shows it obeys none.
fn harmless(bytes: &[u8]) -> String {
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

/// What wasmtime's WASI holds of an [`Output`].
#[derive(Clone)]
pub(crate) struct Handle(pub(crate) Arc<Output>);

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
        Ok(WRITE)
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
    use super::harmless;

    #[test]
    fn control_characters_are_written_as_escapes() {
        let check = |bytes: &[u8], expected: &str| assert_eq!(harmless(bytes), expected);
        check(b"plain\ttext\r", "plain\ttext");
        check(b"\x1b[2J\x07", "\\u{1b}[2J\\u{7}");
        check("\u{9b}31m ü".as_bytes(), "\\u{9b}31m ü");
        check(b"\xff\xfe", "\u{fffd}\u{fffd}");
    }
}
