//! An amount of processors, such as `500m` or `1.5`.

use std::fmt;
use std::str::FromStr;

/// Processors, in thousandths of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Processors {
    milli: u32,
}

/// Reasons why a text is no amount of processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProcessorsError {
    /// It is not a number with at most three digits after the point, or a whole number and an `m`.
    #[error("it is no amount of processors: write 500m, 0.5 or 2")]
    Malformed,
    /// The number overflows.
    #[error("it is too large")]
    TooLarge,
}

impl Processors {
    /// That many thousandths of a processor.
    pub const fn from_milli(milli: u32) -> Self {
        Self { milli }
    }

    /// The thousandths of a processor.
    pub const fn milli(self) -> u32 {
        self.milli
    }

    /// The number of processors.
    pub fn as_f64(self) -> f64 {
        f64::from(self.milli) / 1_000.0
    }

    /// The nearest amount to this number of processors. Numbers that are none, or below zero, are zero.
    pub fn nearest(processors: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a conversion of a number that is too large, negative or none ends at a bound"
        )]
        let milli = (processors * 1_000.0).round() as u32;
        Self { milli }
    }
}

impl FromStr for Processors {
    type Err = ProcessorsError;

    fn from_str(text: &str) -> Result<Self, ProcessorsError> {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
        let (whole, thousandths) = match text.strip_suffix('m') {
            Some(milli) => ("0", milli.to_owned()),
            None => match text.split_once('.') {
                Some((whole, fraction)) if is_number(fraction) && fraction.len() <= 3 => {
                    (whole, format!("{fraction:0<3}"))
                }
                Some(_) => return Err(ProcessorsError::Malformed),
                None => (text, "0".to_owned()),
            },
        };
        if !is_number(whole) || !is_number(&thousandths) {
            return Err(ProcessorsError::Malformed);
        }
        // Only a number that overflows cannot be parsed.
        let number = |text: &str| text.parse::<u32>().map_err(|_| ProcessorsError::TooLarge);
        let milli = number(whole)?
            .checked_mul(1_000)
            .and_then(|whole| whole.checked_add(number(&thousandths).ok()?))
            .ok_or(ProcessorsError::TooLarge)?;
        Ok(Self { milli })
    }
}

impl fmt::Display for Processors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.milli.is_multiple_of(1_000) {
            write!(f, "{}", self.milli / 1_000)
        } else {
            write!(f, "{}m", self.milli)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Processors, ProcessorsError};

    #[test]
    fn amounts_are_whole_thousandths() {
        fn check(text: &str, expected: Result<u32, ProcessorsError>) {
            let found = text.parse::<Processors>().map(Processors::milli);
            assert_eq!(found, expected, "{text:?}");
        }
        check("0", Ok(0));
        check("2", Ok(2_000));
        check("500m", Ok(500));
        check("1500m", Ok(1_500));
        check("0.5", Ok(500));
        check("1.5", Ok(1_500));
        check("1.05", Ok(1_050));
        check("0.001", Ok(1));
        check("10m", Ok(10));
        check("0.25", Ok(250));
        check("1024", Ok(1_024_000));
        check("4294967295m", Ok(u32::MAX));
        for text in ["4294967296m", "4294968", "9999999999999999999999"] {
            check(text, Err(ProcessorsError::TooLarge));
        }
        for text in [
            "", "m", "-1", "+1", "1.", ".5", "0.0001", "1.0000", "1.5m", "5k", "1e3", " 1", "1 ",
            "½", "٣",
        ] {
            check(text, Err(ProcessorsError::Malformed));
        }
    }

    #[test]
    fn an_amount_reads_back_as_itself() {
        for (milli, text) in [(0, "0"), (100, "100m"), (1_500, "1500m"), (2_000, "2")] {
            assert_eq!(Processors::from_milli(milli).to_string(), text);
            assert_eq!(text.parse(), Ok(Processors::from_milli(milli)));
        }
    }

    #[test]
    fn a_measured_number_is_rounded() {
        let check = |number, milli| assert_eq!(Processors::nearest(number).milli(), milli);
        check(0.0004, 0);
        check(0.0005, 1);
        check(1.2344, 1_234);
        check(-1.0, 0);
        check(f64::NAN, 0);
        check(f64::INFINITY, u32::MAX);
    }
}
