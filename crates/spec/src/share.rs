//! Share of a function in the processors that all functions of a process use.

use std::fmt;
use std::str::FromStr;

use crate::bound::Bound;

/// The weight of a function against others that want the same processors.
pub const SHARE_WEIGHT: Bound = Bound::count(100, 1, 1_000);

/// A function's share of the processors of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessorShare {
    /// Its weight, within [`SHARE_WEIGHT`].
    pub weight: u32,
    /// The most that it uses over time; `None` for no cap.
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

/// A number of processors in thousandths, as Kubernetes writes it: `500m`, `2` or `1.5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processors(u32);

/// Reasons why a text is no number of processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProcessorsError {
    /// It is not written as a number of processors.
    #[error("it is no number of processors (write 500m, 2 or 1.5, with three decimals at most)")]
    Malformed,
    /// It is outside of the range.
    #[error("it is not allowed (10m to 1024)")]
    OutOfRange,
}

impl Processors {
    const LEAST: u32 = 10;
    const MOST: u32 = 1024 * 1000;

    /// The number in thousandths of a processor.
    pub fn millis(self) -> u32 {
        self.0
    }
}

impl FromStr for Processors {
    type Err = ProcessorsError;

    fn from_str(text: &str) -> Result<Self, ProcessorsError> {
        /// More than any number in the range has.
        const MAX_DIGITS: usize = 8;
        let number = |digits: &str| {
            let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            if !is_number {
                return Err(ProcessorsError::Malformed);
            }
            if digits.len() > MAX_DIGITS {
                return Err(ProcessorsError::OutOfRange);
            }
            digits
                .parse::<u64>()
                .map_err(|_| ProcessorsError::Malformed)
        };
        let millis = match (text.strip_suffix('m'), text.split_once('.')) {
            (Some(millis), _) => number(millis)?,
            (None, None) => number(text)? * 1000,
            (None, Some((whole, decimals))) if (1..=3).contains(&decimals.len()) => {
                number(whole)? * 1000 + number(&format!("{decimals:0<3}"))?
            }
            (None, Some(_)) => return Err(ProcessorsError::Malformed),
        };
        match u32::try_from(millis) {
            Ok(millis) if (Self::LEAST..=Self::MOST).contains(&millis) => Ok(Self(millis)),
            Ok(_) | Err(_) => Err(ProcessorsError::OutOfRange),
        }
    }
}

impl fmt::Display for Processors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 1000, self.0 % 1000) {
            (whole, 0) => write!(f, "{whole}"),
            _ => write!(f, "{}m", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_written_as_in_kubernetes() {
        use ProcessorsError::{Malformed, OutOfRange};
        let check = |text: &str, expected: Result<u32, ProcessorsError>| {
            let parsed = text.parse::<Processors>();
            assert_eq!(parsed.map(Processors::millis), expected, "{text}");
        };
        check("500m", Ok(500));
        check("10m", Ok(10));
        check("2", Ok(2000));
        check("1.5", Ok(1500));
        check("0.25", Ok(250));
        check("1024", Ok(1_024_000));
        check("9m", Err(OutOfRange));
        check("0", Err(OutOfRange));
        check("1025", Err(OutOfRange));
        check("99999999999999999999", Err(OutOfRange));
        for text in ["", "m", "-1", "1.", ".5", "1.5m", "1.0000", "1 ", "+1", "½"] {
            check(text, Err(Malformed));
        }
    }

    #[test]
    fn printed_processors_are_parsed_again() {
        for (millis, text) in [(500, "500m"), (2000, "2"), (1500, "1500m")] {
            let processors = Processors(millis);
            assert_eq!(processors.to_string(), text);
            assert_eq!(text.parse(), Ok(processors));
        }
    }
}
