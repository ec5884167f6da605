//! The memory allocator of the programs that run functions: mimalloc.
//!
//! A program that links this crate allocates with it. A request makes many small allocations, which mimalloc serves
//! in less time than the C library. [`release_memory`] returns free memory to the operating system. See
//! `docs/decisions/0010-allocator.md`.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The environment variable with the address space that a process reserves at once, in KiB. The
/// default is a gibibyte; `0` is for a process that needs little or has a limited address
/// space.
pub const ARENAS: &str = "MIMALLOC_ARENA_RESERVE";

/// Returns free memory to the operating system.
///
/// By itself the allocator does so only while the program allocates. Memory that a program has
/// freed before it becomes idle thus stays resident. Libraries in C use the C library's allocator,
/// which keeps free memory below any used block.
///
/// The call reads every free page, and each returned page costs a page fault on its next use. It is
/// for a program that has just freed much and expects little work.
pub fn release_memory() {
    // SAFETY: both may be called from any thread at any time, have no precondition, and move no
    // used memory.
    #[expect(unsafe_code, reason = "calls of C")]
    unsafe {
        libmimalloc_sys::mi_collect(true);
        #[cfg(target_env = "gnu")]
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_memory_is_returned_and_used_memory_stays() {
        const PIECES: usize = 50_000;
        let mut pieces: Vec<_> = (0..PIECES).map(|piece| Some(vec![piece; 100])).collect();
        let before = resident().expect("the kernel has smaps_rollup");
        for (number, piece) in pieces.iter_mut().enumerate() {
            // A page of the allocator holds many blocks, so whole runs of them are freed.
            if number % 1000 > 0 {
                *piece = None;
            }
        }
        release_memory();
        let freed = before.saturating_sub(resident().expect("the kernel has smaps_rollup"));
        assert!(freed > 20 << 10, "{freed} of {before} KiB");
        for (number, piece) in pieces.iter().enumerate() {
            let expected = (number % 1000 == 0).then(|| vec![number; 100]);
            assert_eq!(*piece, expected, "{number}");
        }
    }

    /// Resident memory of this process, in kibibytes.
    fn resident() -> Option<usize> {
        let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").ok()?;
        let line = rollup.lines().find(|line| line.starts_with("Rss:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }
}
