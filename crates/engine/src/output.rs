//! Output of a guest: splits it into lines, escapes control characters, limits it, and passes it to
//! the observer.

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

/// Longer lines are split.
const MAX_LINE: usize = 8 << 10;

/// The most bytes of one write.
const MAX_WRITE: usize = 64 << 10;

/// One output stream of a guest, over all calls that its instance serves.
pub(crate) struct Output {
    stream: Stream,
    function: Arc<Inner>,
    state: Mutex<State>,
}

struct State {
    request_id: Option<Box<str>>,
    line: Vec<u8>,
    /// Bytes that this call may still write.
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

    /// Ends the output of the last call and starts the limit of the next one.
    pub(crate) fn begin(&self, call: &Call) {
        self.finish();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.request_id.clone_from(&call.request_id);
        state.left = call.function.spec.limits.output.bytes();
        state.truncated = false;
    }

    /// Publishes a last line without line break.
    pub(crate) fn finish(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.line.is_empty() {
            self.publish(&mut state);
        }
    }

    fn write(&self, bytes: &[u8]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let allowed = usize::try_from(state.left)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        state.left -= allowed as u64;
        for piece in bytes[..allowed].split_inclusive(|byte| *byte == b'\n') {
            for part in piece.chunks(MAX_LINE) {
                let full = state.line.len() + part.len() > MAX_LINE;
                if full {
                    self.publish(&mut state);
                }
                state.line.extend_from_slice(part);
            }
            if piece.ends_with(b"\n") {
                state.line.pop();
                self.publish(&mut state);
            }
        }
        if allowed < bytes.len() && !state.truncated {
            state.truncated = true;
            if !state.line.is_empty() {
                self.publish(&mut state);
            }
            let limit = self.function.spec.limits.output;
            let notice = format!("[output cut here: limits.output allows {limit} a request]");
            self.function
                .observer
                .output(self.stream, &notice, state.request_id.as_deref());
        }
    }

    fn publish(&self, state: &mut State) {
        let line = escape_control(&state.line);
        state.line.clear();
        self.function
            .observer
            .output(self.stream, &line, state.request_id.as_deref());
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
    use super::escape_control;

    #[test]
    fn control_characters_are_written_as_escapes() {
        let check = |bytes: &[u8], expected: &str| assert_eq!(escape_control(bytes), expected);
        check(b"plain\ttext\r", "plain\ttext");
        check(b"\x1b[2J\x07", "\\u{1b}[2J\\u{7}");
        check("\u{9b}31m ü".as_bytes(), "\\u{9b}31m ü");
        check(b"\xff\xfe", "\u{fffd}\u{fffd}");
    }
}
