//! The allocator of the programs that run functions. Whoever links this allocates with it: a request is many small
//! allocations, which mimalloc makes in less time than the C library does. See `docs/decisions/0010-allocator.md`.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The variable of the environment that tells a process how many KiB to reserve at once, a gibibyte of addresses unless it
/// says otherwise; `0` for one that needs little, or whose addresses are limited.
pub const ARENAS: &str = "MIMALLOC_ARENA_RESERVE";

/// Gives memory that is free back to the operating system. By itself the allocator does so only while the program
/// allocates, so that what a program has freed before it comes to rest stays resident. Libraries in C have the
/// C library's allocator, which keeps what is free below anything that is used.
///
/// It looks at every free page, and what is given back costs a page fault when it is next used: this is for a program that
/// has just let go of much and expects little.
pub fn release_memory() {
    // SAFETY: both may be called from any thread at any time, have no precondition, and move nothing that is in use.
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
    fn what_is_free_is_given_back_and_what_is_used_stays() {
        const PIECES: usize = 50_000;
        let mut pieces: Vec<_> = (0..PIECES).map(|piece| Some(vec![piece; 100])).collect();
        let before = resident().expect("the kernel tells it");
        for (number, piece) in pieces.iter_mut().enumerate() {
            // A page of the allocator holds many, so whole runs of them go.
            if number % 1000 > 0 {
                *piece = None;
            }
        }
        release_memory();
        let freed = before.saturating_sub(resident().expect("the kernel tells it"));
        assert!(freed > 20 << 10, "{freed} of {before} KiB");
        for (number, piece) in pieces.iter().enumerate() {
            let expected = (number % 1000 == 0).then(|| vec![number; 100]);
            assert_eq!(*piece, expected, "{number}");
        }
    }

    /// Of this process, in kibibytes.
    fn resident() -> Option<usize> {
        let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").ok()?;
        let line = rollup.lines().find(|line| line.starts_with("Rss:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }
}
