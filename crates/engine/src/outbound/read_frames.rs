//! Frames of an outbound request's body that a connection has read, which are kept to send them again.

use bytes::Bytes;
use http_body::Frame;
use wasmtime_wasi_http::Error;

/// The most bytes of a body that are kept to send them again. Each frame counts its own size as well.
pub(super) const MAX_KEPT: usize = 64 << 10;

/// The part of a content that a connection has read.
pub(super) enum ReadFrames {
    /// Any part. It is not kept, because there is no claim.
    Anything,
    /// These frames, which are all that was read, and the bytes that they count.
    Kept(Vec<Frame<Bytes>>, usize),
    /// More than is kept, or the content's failure.
    TooMuch,
}

impl ReadFrames {
    /// Keeps a frame that a connection has just read.
    pub(super) fn record(&mut self, read: Option<&Result<Frame<Bytes>, Error>>) {
        let Self::Kept(frames, bytes) = self else {
            return;
        };
        let frame = match read {
            None => return,
            Some(Ok(frame)) => frame,
            Some(Err(_)) => return *self = Self::TooMuch,
        };
        let copy = match (frame.data_ref(), frame.trailers_ref()) {
            // A connection sends nothing for it.
            (Some(data), _) if data.is_empty() => return,
            (Some(data), _) => {
                *bytes += data.len();
                Frame::data(data.clone())
            }
            (None, Some(trailers)) => Frame::trailers(trailers.clone()),
            (None, None) => return *self = Self::TooMuch,
        };
        *bytes += size_of::<Frame<Bytes>>();
        if *bytes > MAX_KEPT {
            *self = Self::TooMuch;
        } else {
            frames.push(copy);
        }
    }
}
