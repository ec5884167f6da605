//! Share of a function in the processors that all functions of a process use.

use std::ops::RangeInclusive;

use crate::bound::Bound;
use crate::processors::Processors;

/// The weight of a function against others that want the same processors.
pub const SHARE_WEIGHT: Bound = Bound::count(100, 1, 1_000);

/// The most processors that a function uses over time.
pub const SHARE_PROCESSORS: RangeInclusive<Processors> =
    Processors::from_milli(10)..=Processors::from_milli(1024 * 1000);

/// A function's share of the processors of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessorShare {
    /// Its weight, within [`SHARE_WEIGHT`].
    pub weight: u32,
    /// The most that it uses over time, within [`SHARE_PROCESSORS`]; `None` for no cap.
    pub processors: Option<Processors>,
}

impl Default for ProcessorShare {
    fn default() -> Self {
        Self {
            weight: u32::try_from(SHARE_WEIGHT.default).expect("it is a count"),
            processors: None,
        }
    }
}
