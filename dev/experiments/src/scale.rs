//! The scale of a run: the fraction of the published durations and counts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The fraction of `tiny`: everything once.
const TINY: f64 = 0.004;

/// A fraction of the published protocol, above 0 and at most 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scale(f64);

impl Scale {
    /// The scaled duration, in seconds.
    pub(crate) fn seconds(self, full: f64) -> f64 {
        full * self.0
    }

    /// The scaled count, at least one.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a fraction of a small count"
    )]
    pub(crate) fn count(self, full: u32) -> u32 {
        ((f64::from(full) * self.0).round() as u32).max(1)
    }

    /// Whether the run is only a functional test.
    pub(crate) fn is_tiny(self) -> bool {
        self.0 < 0.05
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Scale {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let value = match text {
            "tiny" => Ok(TINY),
            _ => text.parse(),
        };
        match value {
            Ok(value) if value > 0.0 && value <= 1.0 => Ok(Self(value)),
            _ => Err("the scale is a fraction above 0 and at most 1, or `tiny`".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_is_a_fraction_of_the_whole() {
        fn check(text: &str, expected: Option<f64>) {
            let scale: Option<Scale> = text.parse().ok();
            assert_eq!(scale.map(|scale| scale.0), expected, "{text}");
        }
        check("1", Some(1.0));
        check("0.2", Some(0.2));
        check("tiny", Some(TINY));
        check("0", None);
        check("1.1", None);
        check("-1", None);
        check("NaN", None);
        check("all", None);
    }

    #[test]
    fn nothing_is_scaled_away() {
        fn check(text: &str, full: u32, expected: u32) {
            let scale: Scale = text.parse().unwrap();
            assert_eq!(scale.count(full), expected, "{full} at {text}");
        }
        check("1", 100, 100);
        check("0.2", 100, 20);
        check("0.001", 100, 1);
    }
}
