//! Waits before an attempt is repeated.

use std::time::Duration;

/// The wait after a failure: it doubles with each earlier one, up to the longest.
pub(crate) fn doubled(first: Duration, longest: Duration, earlier: u32) -> Duration {
    first.saturating_mul(1 << earlier.min(16)).min(longest)
}

/// Six to ten tenths of a wait, at random: the pods of a pool ask at different times.
pub(crate) fn spread(wait: Duration, random: u64) -> Duration {
    wait / 10 * (10 - u32::try_from(random % 5).unwrap_or(0))
}
