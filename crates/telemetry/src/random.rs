//! Random numbers for identifiers: one state for each thread, without locks and system calls.
//!
//! Not for secrets: some of the numbers suffice to compute the others.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

thread_local! {
    // The standard library seeds `RandomState` from the operating system, once for each thread.
    static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(std::process::id()));
}

/// A random number other than zero, which means "no identifier" in W3C's trace context.
pub fn random() -> u64 {
    STATE.with(|state| {
        loop {
            // SplitMix64 (Steele, Lea and Flood, 2014).
            let next = state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
            state.set(next);
            let mut mixed = next;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^= mixed >> 31;
            if mixed != 0 {
                return mixed;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::random;

    #[test]
    fn numbers_differ_between_calls_and_threads() {
        let threads: Vec<_> = (0..4)
            .map(|_| std::thread::spawn(|| (0..1000).map(|_| random()).collect()))
            .collect();
        let mut seen = HashSet::new();
        for thread in threads {
            let numbers: Vec<u64> = thread.join().unwrap();
            for number in numbers {
                assert_ne!(number, 0);
                assert!(seen.insert(number), "{number} came twice");
            }
        }
    }
}
