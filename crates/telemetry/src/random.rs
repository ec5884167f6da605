//! Random numbers for identifiers: one generator for each thread, without locks and system calls.
//!
//! Not for secrets: some of the numbers suffice to compute the others.

use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};

use fastrand::Rng;

thread_local! {
    // The standard library seeds `RandomState` from the operating system. fastrand's own seed is the
    // time since the boot, which two nodes may share: their identifiers would then be the same.
    static GENERATOR: RefCell<Rng> =
        RefCell::new(Rng::with_seed(RandomState::new().hash_one(std::process::id())));
}

/// A random number other than zero, which means "no identifier" in W3C's trace context.
pub fn random() -> u64 {
    GENERATOR.with_borrow_mut(|generator| generator.u64(1..))
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
