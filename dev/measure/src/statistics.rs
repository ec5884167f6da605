//! Computes medians, percentiles and geometric means of small sets of samples.

use serde::Serialize;

/// The median and the extremes of some samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub greatest: f64,
}

impl Spread {
    /// # Panics
    ///
    /// Without samples.
    pub fn of(samples: &[f64]) -> Self {
        Self {
            median: percentile(samples, 50.0),
            least: percentile(samples, 0.0),
            greatest: percentile(samples, 100.0),
        }
    }
}

/// The `percent`th percentile by the nearest rank, and the mean of the two middle ones for an even
/// median.
///
/// # Panics
///
/// Without samples.
pub fn percentile(samples: &[f64], percent: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len() - 1;
    if (percent - 50.0).abs() < f64::EPSILON {
        return f64::midpoint(sorted[last / 2], sorted[last.div_ceil(2)]);
    }
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank among few samples"
    )]
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted[rank.saturating_sub(1).min(last)]
}

/// The geometric mean.
pub fn geometric_mean(samples: &[f64]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "few samples")]
    let count = samples.len() as f64;
    (samples.iter().map(|sample| sample.ln()).sum::<f64>() / count).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_and_medians_lie_between() {
        fn check(samples: &[f64], percent: f64, expected: f64) {
            let found = percentile(samples, percent);
            assert!(
                (found - expected).abs() < 1e-9,
                "{samples:?} {percent}: {found}"
            );
        }
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        check(&[3.0], 50.0, 3.0);
        check(&[1.0, 9.0, 2.0], 50.0, 2.0);
        check(&[1.0, 2.0, 3.0, 9.0], 50.0, 2.5);
        check(&hundred, 99.0, 99.0);
        check(&hundred, 100.0, 100.0);
        check(&hundred, 0.0, 1.0);
    }

    #[test]
    fn a_geometric_mean_of_ratios_is_fair_to_both_sides() {
        assert!((geometric_mean(&[0.5, 2.0]) - 1.0).abs() < 1e-9);
    }
}
