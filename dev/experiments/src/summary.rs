//! Statistics of samples in turns: quantiles, and the ratio of two medians with a confidence
//! interval.
//!
//! The interval is a percentile bootstrap with a fixed seed: the same samples always have the same
//! interval. Samples of one turn are not independent, since a disturbance affects its neighbours
//! too. With five turns or more, whole turns are drawn, those of both kinds at the same time
//! together. With fewer, single samples are drawn.

use fastrand::Rng;

/// The count of drawings of the bootstrap.
const DRAWINGS: usize = 2000;
/// The fewest turns that show how turns differ.
const MIN_TURNS: usize = 5;
/// The fraction of the drawings that is outside of the interval on each side.
const TAIL: f64 = 0.025;
/// The seed of the bootstrap's random numbers.
const SEED: u64 = 0x5a6d_7061_6e05;

/// Samples by turn, each turn sorted.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Turns(Vec<Vec<u64>>);

impl Turns {
    /// Turns of samples in any order; empty ones are left out.
    pub(crate) fn new(turns: impl IntoIterator<Item = Vec<u64>>) -> Self {
        let sorted = turns
            .into_iter()
            .filter(|turn| !turn.is_empty())
            .map(|mut turn| {
                turn.sort_unstable();
                turn
            });
        Self(sorted.collect())
    }

    /// All samples in order.
    pub(crate) fn sorted(&self) -> Vec<u64> {
        let mut all: Vec<u64> = self.0.concat();
        all.sort_unstable();
        all
    }
}

/// The usual figures of some samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) count: usize,
    pub(crate) mean: f64,
    pub(crate) p5: f64,
    pub(crate) p25: f64,
    pub(crate) median: f64,
    pub(crate) p75: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
}

impl Summary {
    /// `None` without samples.
    pub(crate) fn of(turns: &Turns) -> Option<Self> {
        let sorted = turns.sorted();
        if sorted.is_empty() {
            return None;
        }
        let sum: f64 = sorted.iter().map(|value| float(*value)).sum();
        Some(Self {
            count: sorted.len(),
            mean: sum / float(sorted.len() as u64),
            p5: quantile(&sorted, 0.05),
            p25: quantile(&sorted, 0.25),
            median: quantile(&sorted, 0.5),
            p75: quantile(&sorted, 0.75),
            p95: quantile(&sorted, 0.95),
            p99: quantile(&sorted, 0.99),
        })
    }
}

/// A quantile of sorted samples, interpolated between the two nearest ones.
///
/// # Panics
///
/// Without samples.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank among samples"
)]
pub(crate) fn quantile(sorted: &[u64], part: f64) -> f64 {
    let rank = float((sorted.len() - 1) as u64) * part;
    let below = sorted[rank.floor() as usize];
    let above = sorted[rank.ceil() as usize];
    float(below) + (float(above) - float(below)) * rank.fract()
}

/// Samples are times and sizes, which a float represents exactly.
#[expect(clippy::cast_precision_loss, reason = "samples are small")]
pub(crate) fn float(value: u64) -> f64 {
    value as f64
}

/// The ratio of two medians, and its interval with a confidence of 95 %.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ratio {
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Ratio {
    /// `None` when one side has no samples, or the divisor's median is zero.
    pub(crate) fn of(ours: &Turns, theirs: &Turns) -> Option<Self> {
        let (all, rival) = (Summary::of(ours)?, Summary::of(theirs)?);
        if rival.median <= 0.0 {
            return None;
        }
        let mut random = seeded();
        let mut drawn: Vec<f64> = (0..DRAWINGS)
            .filter_map(|_| draw(ours, theirs, &mut random))
            .collect();
        drawn.sort_by(f64::total_cmp);
        let at = |part: f64| between(&drawn, part);
        Some(Self {
            value: all.median / rival.median,
            low: at(TAIL)?,
            high: at(1.0 - TAIL)?,
        })
    }
}

/// The ratio of one drawing; `None` when its divisor is zero.
fn draw(ours: &Turns, theirs: &Turns, random: &mut Rng) -> Option<f64> {
    let turns = ours.0.len().min(theirs.0.len());
    let (ours, theirs) = if turns >= MIN_TURNS {
        let chosen: Vec<usize> = (0..turns).map(|_| random.usize(..turns)).collect();
        (median_of(ours, &chosen), median_of(theirs, &chosen))
    } else {
        (resampled(ours, random), resampled(theirs, random))
    };
    (theirs > 0.0).then(|| ours / theirs)
}

/// The median of some turns together, each as often as it is chosen, by bisection of the range of
/// values.
fn median_of(turns: &Turns, chosen: &[usize]) -> f64 {
    let chosen: Vec<&Vec<u64>> = chosen
        .iter()
        .filter_map(|index| turns.0.get(*index))
        .collect();
    let count: usize = chosen.iter().map(|turn| turn.len()).sum();
    let smallest_with = |rank: usize| {
        let mut low = 0;
        let mut high = chosen
            .iter()
            .filter_map(|turn| turn.last())
            .max()
            .copied()
            .unwrap_or(0);
        while low < high {
            let middle = low + (high - low) / 2;
            let at_most: usize = chosen
                .iter()
                .map(|turn| turn.partition_point(|value| *value <= middle))
                .sum();
            if at_most >= rank {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        float(low)
    };
    f64::midpoint(
        smallest_with(count.div_ceil(2)),
        smallest_with(count / 2 + 1),
    )
}

/// The median of a resample of the same size.
fn resampled(turns: &Turns, random: &mut Rng) -> f64 {
    let all = turns.sorted();
    let mut drawn: Vec<u64> = all.iter().map(|_| all[random.usize(..all.len())]).collect();
    drawn.sort_unstable();
    quantile(&drawn, 0.5)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank among drawings"
)]
fn between(sorted: &[f64], part: f64) -> Option<f64> {
    let rank = float(sorted.len().checked_sub(1)? as u64) * part;
    sorted.get(rank.round() as usize).copied()
}

/// A generator of random numbers with the fixed seed.
pub(crate) fn seeded() -> Rng {
    Rng::with_seed(SEED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(of: &[&[u64]]) -> Turns {
        Turns::new(of.iter().map(|turn| turn.to_vec()))
    }

    #[test]
    fn quantiles_lie_between_the_nearest_samples() {
        fn check(samples: &[u64], part: f64, expected: f64) {
            let found = quantile(samples, part);
            assert!(
                (found - expected).abs() < 1e-9,
                "{samples:?} {part}: {found}"
            );
        }
        check(&[7], 0.5, 7.0);
        check(&[1, 2, 3, 10], 0.5, 2.5);
        check(&[0, 100], 0.95, 95.0);
        check(&[1, 2, 3], 1.0, 3.0);
        check(&[1, 2, 3], 0.0, 1.0);
    }

    #[test]
    fn a_summary_is_of_all_turns_together() {
        let summary = Summary::of(&turns(&[&[9, 1], &[], &[5]])).unwrap();
        assert_eq!(summary.count, 3);
        assert!((summary.mean - 5.0).abs() < 1e-9);
        assert!((summary.median - 5.0).abs() < 1e-9);
        assert_eq!(Summary::of(&turns(&[&[]])), None);
    }

    #[test]
    fn the_median_of_turns_is_that_of_their_samples() {
        fn check(of: &[&[u64]], chosen: &[usize]) {
            let turns = turns(of);
            let mut all: Vec<u64> = chosen
                .iter()
                .flat_map(|index| of[*index].to_vec())
                .collect();
            all.sort_unstable();
            let (found, expected) = (median_of(&turns, chosen), quantile(&all, 0.5));
            assert!(
                (found - expected).abs() < 1e-9,
                "{of:?} {chosen:?}: {found}"
            );
        }
        check(&[&[1, 2, 3]], &[0]);
        check(&[&[1, 2, 3, 4]], &[0]);
        check(&[&[1, 2, 3], &[10, 20]], &[0, 1, 1]);
        check(&[&[5, 5], &[5]], &[0, 1]);
        check(&[&[0], &[u64::MAX >> 1]], &[1]);
    }

    #[test]
    fn an_interval_holds_its_ratio_and_is_the_same_again() {
        fn check(ours: &Turns, theirs: &Turns, expected: f64, width: f64) {
            let ratio = Ratio::of(ours, theirs).unwrap();
            assert!((ratio.value - expected).abs() < 0.02, "{ratio:?}");
            assert!(
                ratio.low <= ratio.value && ratio.value <= ratio.high,
                "{ratio:?}"
            );
            assert!(ratio.high - ratio.low < width, "{ratio:?}");
            assert_eq!(Ratio::of(ours, theirs), Some(ratio));
        }
        let few = |base: u64| Turns::new([(0..100).map(|step| base + step % 10).collect()]);
        check(&few(200), &few(100), 1.96, 0.2);
        let many = |base: u64| Turns::new((0..8).map(|turn| vec![base + turn, base + 9 - turn]));
        check(&many(1000), &many(2000), 0.5, 0.05);
        check(&turns(&[&[10]]), &turns(&[&[20]]), 0.5, 0.01);
    }

    #[test]
    fn empty_samples_have_no_ratio() {
        assert_eq!(Ratio::of(&turns(&[&[1]]), &turns(&[])), None);
        assert_eq!(Ratio::of(&turns(&[&[1]]), &turns(&[&[0]])), None);
    }
}
