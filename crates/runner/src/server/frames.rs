//! Scans HTTP/2 frame heads for incomplete frames and for floods of non-request frames.
//!
//! It checks nothing else: the `h2` crate implements the protocol on the same bytes.

use std::time::{Duration, Instant};

const PREFACE: usize = 24;
const FRAME_HEAD: usize = 9;

/// The period in which frames are counted.
const WINDOW: Duration = Duration::from_secs(10);
/// More PING, SETTINGS, PRIORITY, CONTINUATION, empty DATA and unknown frames than this within a
/// window are a flood.
const MAX_NOISE: u32 = 1_000;
/// More cancelled requests than this within a window are a flood, if they are also more than half.
const MAX_RESETS: u32 = 200;

/// The parse state of the incoming bytes.
#[derive(Debug)]
pub(super) struct Frames {
    preface_left: usize,
    head: [u8; FRAME_HEAD],
    head_filled: usize,
    payload_left: usize,
    /// Whether the arriving payload is of a DATA frame, which may take its time.
    data: bool,
    /// Whether HEADERS arrived without its last CONTINUATION.
    header_block: bool,
    /// Frames that arrived in full and left no header block open.
    whole: u64,
    flood: Flood,
}

#[derive(Debug)]
struct Flood {
    since: Instant,
    noise: u32,
    resets: u32,
    requests: u32,
}

/// The result of one chunk of incoming bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameScan {
    /// Whether the client owes the rest of a frame or of a header block.
    pub(super) partial: bool,
    /// Whether at least one frame, with its header block if it has one, arrived in full.
    pub(super) progress: bool,
    /// Whether the client is flooding.
    pub(super) flood: bool,
}

impl Frames {
    /// Makes the state of a connection before its preface.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            preface_left: PREFACE,
            head: [0; FRAME_HEAD],
            head_filled: 0,
            payload_left: 0,
            data: false,
            header_block: false,
            whole: 0,
            flood: Flood {
                since: now,
                noise: 0,
                resets: 0,
                requests: 0,
            },
        }
    }

    /// Scans the next bytes. Calls `now` only to distinguish a flood from a busy client.
    pub(super) fn feed(&mut self, mut bytes: &[u8], now: impl Fn() -> Instant) -> FrameScan {
        let whole = self.whole;
        let mut flood = false;
        let preface = self.preface_left.min(bytes.len());
        self.preface_left -= preface;
        bytes = &bytes[preface..];
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let payload = self.payload_left.min(bytes.len());
                self.payload_left -= payload;
                bytes = &bytes[payload..];
            } else {
                let missing = (FRAME_HEAD - self.head_filled).min(bytes.len());
                self.head[self.head_filled..][..missing].copy_from_slice(&bytes[..missing]);
                self.head_filled += missing;
                bytes = &bytes[missing..];
                if self.head_filled < FRAME_HEAD {
                    break;
                }
                self.head_filled = 0;
                flood |= self.begin_frame(&now);
            }
            if self.payload_left == 0 && !self.header_block {
                self.whole += 1;
            }
        }
        FrameScan {
            partial: self.is_partial(),
            progress: self.whole > whole,
            flood,
        }
    }

    fn is_partial(&self) -> bool {
        let inside = self.head_filled > 0 || (self.payload_left > 0 && !self.data);
        // The first frame must follow the preface as part of the client's connection preface.
        self.whole == 0 || inside || self.header_block
    }

    /// Parses a frame's head. Returns whether it completes a flood.
    fn begin_frame(&mut self, now: &impl Fn() -> Instant) -> bool {
        const END_STREAM: u8 = 0x1;
        const END_HEADERS: u8 = 0x4;
        let [high, middle, low, kind, flags, ..] = self.head;
        let length = u32::from_be_bytes([0, high, middle, low]);
        self.payload_left = length as usize;
        self.data = kind == 0;
        let flood = &mut self.flood;
        match kind {
            // DATA
            0 if length > 0 || flags & END_STREAM != 0 => {}
            // HEADERS
            1 => {
                flood.requests += 1;
                self.header_block = flags & END_HEADERS == 0;
            }
            // RST_STREAM
            3 => flood.resets += 1,
            // GOAWAY, and WINDOW_UPDATE, of which a client that reads much sends many
            7 | 8 => {}
            // CONTINUATION
            9 => {
                flood.noise += 1;
                self.header_block &= flags & END_HEADERS == 0;
            }
            _ => flood.noise += 1,
        }
        flood.is_over(now)
    }
}

impl Flood {
    fn is_over(&mut self, now: &impl Fn() -> Instant) -> bool {
        if self.noise <= MAX_NOISE && self.resets <= MAX_RESETS {
            return false;
        }
        let now = now();
        let over = self.noise > MAX_NOISE || self.resets > self.requests / 2;
        if over && now.duration_since(self.since) < WINDOW {
            return true;
        }
        *self = Self {
            since: now,
            noise: 0,
            resets: 0,
            requests: 0,
        };
        false
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{FRAME_HEAD, FrameScan, Frames, MAX_NOISE, MAX_RESETS, PREFACE};

    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const SETTINGS: u8 = 4;
    const PING: u8 = 6;
    const WINDOW_UPDATE: u8 = 8;
    const CONTINUATION: u8 = 9;
    const END_HEADERS: u8 = 4;

    fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
        frame.resize(FRAME_HEAD + usize::from(length), 0);
        frame
    }

    fn greeting() -> Vec<u8> {
        [vec![0; PREFACE], frame(SETTINGS, 0, 6)].concat()
    }

    /// Feeds the greeting and `bytes` in chunks of every size, and expects the same result.
    fn check(bytes: &[u8], partial: bool) {
        let bytes = [greeting(), bytes.to_vec()].concat();
        let now = Instant::now();
        for size in 1..=bytes.len() {
            let mut frames = Frames::new(now);
            let mut last = None;
            for piece in bytes.chunks(size) {
                last = Some(frames.feed(piece, || now));
            }
            let last = last.unwrap();
            assert_eq!(
                (last.partial, last.flood),
                (partial, false),
                "pieces of {size}: {bytes:?}"
            );
        }
    }

    #[test]
    fn an_incomplete_frame_is_partial() {
        check(&[], false);
        check(&frame(PING, 0, 8), false);
        check(&frame(PING, 0, 8)[..16], true);
        check(&frame(PING, 0, 8)[..3], true);
        check(&frame(HEADERS, END_HEADERS, 20), false);
        check(&frame(HEADERS, END_HEADERS, 20)[..28], true);
        check(&frame(HEADERS, 0, 20), true);
        let continued = [frame(HEADERS, 0, 20), frame(CONTINUATION, 0, 5)].concat();
        check(&continued, true);
        check(
            &[continued, frame(CONTINUATION, END_HEADERS, 0)].concat(),
            false,
        );
        // A body may take its time: its own timeout limits it.
        check(&frame(DATA, 0, 20)[..15], false);
        check(&frame(DATA, 0, 20)[..5], true);
    }

    #[test]
    fn a_greeting_has_a_preface_and_a_frame() {
        let now = Instant::now();
        let whole = greeting();
        for length in 0..whole.len() {
            let seen = Frames::new(now).feed(&whole[..length], || now);
            assert_eq!(
                seen,
                FrameScan {
                    partial: true,
                    progress: false,
                    flood: false
                },
                "{length}"
            );
        }
    }

    #[test]
    fn a_header_block_is_progress_only_when_it_is_whole() {
        let now = Instant::now();
        let mut frames = Frames::new(now);
        assert!(frames.feed(&greeting(), || now).progress);
        assert!(!frames.feed(&frame(HEADERS, 0, 3), || now).progress);
        assert!(!frames.feed(&frame(CONTINUATION, 0, 3), || now).progress);
        assert!(
            frames
                .feed(&frame(CONTINUATION, END_HEADERS, 3), || now)
                .progress
        );
    }

    /// Feeds `round` `count` times, `gap` apart, and expects a flood to be detected or not.
    fn check_flood(round: &[Vec<u8>], count: u32, gap: Duration, expected: bool) {
        let start = Instant::now();
        let mut frames = Frames::new(start);
        frames.feed(&greeting(), || start);
        let round = round.concat();
        let flood = (0..count).any(|index| frames.feed(&round, || start + gap * index).flood);
        assert_eq!(flood, expected, "{count} of {round:?}");
    }

    #[test]
    fn floods_are_distinguished_from_busy_clients() {
        let quick = Duration::from_micros(1);
        let slow = Duration::from_millis(20);
        let request = frame(HEADERS, END_HEADERS, 10);
        let reset = frame(RST_STREAM, 0, 4);

        check_flood(&[frame(PING, 0, 8)], MAX_NOISE - 1, quick, false);
        check_flood(&[frame(PING, 0, 8)], MAX_NOISE + 1, quick, true);
        check_flood(&[frame(PING, 0, 8)], 20 * MAX_NOISE, slow, false);
        check_flood(&[frame(SETTINGS, 0, 0)], 2 * MAX_NOISE, quick, true);
        check_flood(&[frame(CONTINUATION, 0, 0)], 2 * MAX_NOISE, quick, true);
        check_flood(&[frame(DATA, 0, 0)], 2 * MAX_NOISE, quick, true);
        check_flood(&[frame(0xbe, 0, 1)], 2 * MAX_NOISE, quick, true);
        check_flood(&[frame(DATA, 0, 1)], 2 * MAX_NOISE, quick, false);
        check_flood(&[frame(WINDOW_UPDATE, 0, 4)], 20 * MAX_NOISE, quick, false);

        check_flood(&[request.clone(), reset.clone()], MAX_RESETS, quick, false);
        check_flood(
            &[request.clone(), reset.clone()],
            MAX_RESETS + 2,
            quick,
            true,
        );
        let third = [request.clone(), request.clone(), request.clone(), reset];
        check_flood(&third, 20 * MAX_RESETS, quick, false);
        check_flood(&[request], 20 * MAX_NOISE, quick, false);
    }
}
