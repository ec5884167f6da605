//! Formats figures in the units of their series.

use crate::sample::Series;

/// The unit of a series' values in the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Milliseconds,
    Microseconds,
    Kilobytes,
    Mebibytes,
}

impl Unit {
    pub(super) fn of(series: Series) -> Self {
        match series {
            Series::Response
            | Series::CreatedToStarted
            | Series::CreatedToAnswer
            | Series::RuntimeCalls
            | Series::BurstAnswer
            | Series::BurstAll => Self::Milliseconds,
            Series::Processor => Self::Microseconds,
            Series::Fetched | Series::Stored => Self::Kilobytes,
            Series::IdleMemory
            | Series::PeakMemory
            | Series::PodMemory
            | Series::FurtherPodMemory => Self::Mebibytes,
        }
    }

    /// A value of the series in this unit.
    pub(super) fn scaled(series: Series, value: f64) -> f64 {
        match series {
            Series::IdleMemory | Series::PeakMemory => value / f64::from(1 << 20),
            Series::PodMemory | Series::FurtherPodMemory => value / 1024.0,
            // Microseconds to milliseconds, nanoseconds to microseconds, or bytes to kilobytes.
            _ => value / 1000.0,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::Microseconds => "us",
            Self::Kilobytes => "KB",
            Self::Mebibytes => "MiB",
        }
    }
}

/// A value with three significant digits.
pub(super) fn shown(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// A ratio; a small one is shown as a fraction.
pub(super) fn shown_ratio(ratio: f64) -> String {
    if ratio < 0.1 {
        format!("1/{:.0}", 1.0 / ratio)
    } else {
        format!("{ratio:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_three_digits() {
        fn check(value: f64, expected: &str) {
            assert_eq!(shown(value), expected);
        }
        check(1234.5, "1234");
        check(123.4, "123");
        check(12.34, "12.3");
        check(1.234, "1.23");
        check(0.1234, "0.123");
        check(0.0, "0.000");
    }
}
