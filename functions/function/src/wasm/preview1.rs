//! The four functions of WASI preview 1 that Rust's standard library calls in a function.
//!
//! It calls them to print a panic message, to look for `RUST_BACKTRACE`, and to end.
//!
//! The linker takes these for the imports of those names. Without them it would add the adapter
//! from preview 1 to 0.2, a core module with twenty imports of its own. Every instance would set
//! that up, and almost none would use it. If a function calls more of the standard library, an
//! import is missing here, and the linker adds the adapter after all.

use core::slice;

use wasip2::cli::stderr::get_stderr;

const SUCCESS: i32 = 0;
const BAD_DESCRIPTOR: i32 = 8;
const IO: i32 = 29;

const STDERR: i32 = 2;

/// The most bytes that one call of the host takes.
const PIECE: usize = 4096;

/// A slice of the bytes to write; preview 1's `ciovec`.
#[repr(C)]
struct Piece {
    bytes: *const u8,
    length: usize,
}

/// `fd_write`, for standard error only.
#[expect(unsafe_code, reason = "the linker finds it by its name")]
#[unsafe(export_name = "__imported_wasi_snapshot_preview1_fd_write")]
extern "C" fn fd_write(descriptor: i32, pieces: i32, count: i32, written: i32) -> i32 {
    if descriptor != STDERR {
        return BAD_DESCRIPTOR;
    }
    let stderr = get_stderr();
    let mut length = 0;
    for index in 0..count as usize {
        // SAFETY: by preview 1, the caller, which is the standard library, passes `count` slices at
        // `pieces`, each with `length` bytes at `bytes`. Nothing changes them during the call.
        let bytes = unsafe {
            let piece = &*(pieces as *const Piece).add(index);
            slice::from_raw_parts(piece.bytes, piece.length)
        };
        for piece in bytes.chunks(PIECE) {
            if stderr.blocking_write_and_flush(piece).is_err() {
                return IO;
            }
        }
        length += bytes.len();
    }
    // SAFETY: by preview 1, the caller passes the address of a size of its own.
    unsafe { *(written as *mut usize) = length };
    SUCCESS
}

/// `environ_sizes_get`: no variables. Functions read their variables from WASI 0.2.
#[expect(unsafe_code, reason = "the linker finds it by its name")]
#[unsafe(export_name = "__imported_wasi_snapshot_preview1_environ_sizes_get")]
extern "C" fn environ_sizes_get(count: i32, bytes: i32) -> i32 {
    // SAFETY: by preview 1, the caller passes the addresses of two sizes of its own.
    unsafe {
        *(count as *mut usize) = 0;
        *(bytes as *mut usize) = 0;
    }
    SUCCESS
}

/// `environ_get`: no variables, so nothing is written.
#[expect(unsafe_code, reason = "the linker finds it by its name")]
#[unsafe(export_name = "__imported_wasi_snapshot_preview1_environ_get")]
extern "C" fn environ_get(_variables: i32, _bytes: i32) -> i32 {
    SUCCESS
}

/// `proc_exit`: a function must not end the program that it is part of, so this is a trap.
#[expect(unsafe_code, reason = "the linker finds it by its name")]
#[unsafe(export_name = "__imported_wasi_snapshot_preview1_proc_exit")]
extern "C" fn proc_exit(_code: i32) -> ! {
    core::arch::wasm32::unreachable()
}
