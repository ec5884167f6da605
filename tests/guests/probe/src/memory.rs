//! Allocates memory, and searches it for what an earlier request left.

use std::hint::black_box;

const PIECE: usize = 1 << 20;

/// The total size of the copies that are left behind.
const LEFT: usize = 512 << 10;

/// The complement of the secret. The module does not contain the secret itself.
const COMPLEMENT: [u8; 16] = [
    0x8c, 0x9a, 0x9c, 0x8d, 0x9a, 0x8b, 0xd2, 0xcf, 0xce, 0xcd, 0xcc, 0xcb, 0xca, 0xc9, 0xc8, 0xc7,
];

/// Grows memory until that fails, and returns the count of mebibytes that it got.
pub(crate) fn grow() -> usize {
    let mut all: Vec<Vec<u8>> = Vec::new();
    loop {
        let mut piece = Vec::new();
        if piece.try_reserve_exact(PIECE).is_err() {
            return all.len();
        }
        piece.resize(PIECE, 1);
        all.push(black_box(piece));
    }
}

/// Grows memory without checking for failure.
pub(crate) fn exhaust() -> usize {
    let mut all = Vec::new();
    loop {
        all.push(black_box(vec![1_u8; PIECE]));
        if all.len() == usize::MAX {
            return all.len();
        }
    }
}

/// Fills memory with copies of the secret.
pub(crate) fn leave() {
    let secret = COMPLEMENT.map(|byte| !black_box(byte));
    let copies = secret.repeat(LEFT / secret.len());
    std::mem::forget(black_box(copies));
}

/// Counts the copies of the secret in memory. The search itself makes one copy.
#[expect(unsafe_code, reason = "looking at all of memory is what this is for")]
pub(crate) fn scan() -> usize {
    let secret = COMPLEMENT.map(|byte| !black_box(byte));
    let size = core::arch::wasm32::memory_size(0) * 65536;
    // SAFETY: linear memory has this size, and nothing else runs during the search. It begins one
    // page above zero, because a slice must not begin at address zero.
    let memory = unsafe { core::slice::from_raw_parts(65536 as *const u8, size - 65536) };
    black_box(memory)
        .windows(secret.len())
        .filter(|window| *window == secret)
        .count()
}
