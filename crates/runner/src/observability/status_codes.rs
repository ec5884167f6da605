//! Requests by status code.
//!
//! The counts of a class are made with its first request, so an idle function has none.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The first status code, the number of possible classes, and the codes of each.
const FIRST_CODE: u16 = 100;
const CLASSES: usize = 9;
const CODES: usize = 100;

#[derive(Debug, Default)]
pub(super) struct StatusCodes([OnceLock<Box<[AtomicU64; CODES]>>; CLASSES]);

impl StatusCodes {
    pub(super) fn count(&self, code: u16) {
        // `http::StatusCode` ranges from 100 to 999.
        let place = usize::from(code.wrapping_sub(FIRST_CODE));
        if let Some(class) = self.0.get(place / CODES) {
            let counts = class.get_or_init(|| Box::new([const { AtomicU64::new(0) }; CODES]));
            counts[place % CODES].fetch_add(1, Relaxed);
        }
    }

    /// The codes that have occurred, with their counts.
    pub(super) fn counted(&self) -> impl Iterator<Item = (u16, u64)> {
        let classes = (FIRST_CODE..).step_by(CODES).zip(&self.0);
        let made = classes.filter_map(|(first, class)| Some((first, class.get()?)));
        made.flat_map(|(first, counts)| (first..).zip(counts.iter()))
            .map(|(code, count)| (code, count.load(Relaxed)))
            .filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::StatusCodes;

    #[test]
    fn codes_of_all_classes_are_counted() {
        fn check(codes: &[u16], expected: &[(u16, u64)]) {
            let counts = StatusCodes::default();
            for code in codes {
                counts.count(*code);
            }
            assert_eq!(counts.counted().collect::<Vec<_>>(), expected, "{codes:?}");
        }
        check(&[], &[]);
        check(&[200], &[(200, 1)]);
        check(&[503, 200, 503, 100], &[(100, 1), (200, 1), (503, 2)]);
        check(&[999, 199, 99, 1000, 0, u16::MAX], &[(199, 1), (999, 1)]);
    }
}
