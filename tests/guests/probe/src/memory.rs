//! Taking memory, and looking for what an earlier request left in it.

use std::hint::black_box;

const PIECE: usize = 1 << 20;

/// How much is left behind.
const LEFT: usize = 512 << 10;

/// The secret, which stands nowhere in the module: each byte is the bit-wise complement of its own.
const COMPLEMENT: [u8; 16] = [
    0x8c, 0x9a, 0x9c, 0x8d, 0x9a, 0x8b, 0xd2, 0xcf, 0xce, 0xcd, 0xcc, 0xcb, 0xca, 0xc9, 0xc8, 0xc7,
];

/// Takes memory until it is refused; the number of mebibytes that it got.
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

/// Takes memory and does not ask whether it may.
pub(crate) fn exhaust() -> usize {
    let mut all = Vec::new();
    loop {
        all.push(black_box(vec![1_u8; PIECE]));
        if all.len() == usize::MAX {
            return all.len();
        }
    }
}

/// Leaves the secret all over the place.
pub(crate) fn leave() {
    let secret = COMPLEMENT.map(|byte| !black_box(byte));
    let copies = secret.repeat(LEFT / secret.len());
    std::mem::forget(black_box(copies));
}

/// How often the secret is in memory. Looking for it makes one copy of it.
#[expect(unsafe_code, reason = "looking at all of memory is what this is for")]
pub(crate) fn scan() -> usize {
    let secret = COMPLEMENT.map(|byte| !black_box(byte));
    let size = core::arch::wasm32::memory_size(0) * 65536;
    // SAFETY: linear memory has this size, and nothing else runs while it is looked at. It begins at
    // a page's distance from zero, which no slice may begin with.
    let memory = unsafe { core::slice::from_raw_parts(65536 as *const u8, size - 65536) };
    black_box(memory)
        .windows(secret.len())
        .filter(|window| *window == secret)
        .count()
}
