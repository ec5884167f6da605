//! Parses and prints sizes and times: `64Mi`, `1m30s`.
//!
//! Units are required where ambiguous, and values are not rounded.

mod bytes;
mod time;

pub use bytes::ByteSize;
pub use time::Timespan;

/// Reasons why a text is not a size, time or number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuantityError {
    /// There is no text.
    #[error("it is empty")]
    Empty,
    /// Characters other than digits where a number is expected.
    #[error("it doesn't start with a number such as 10 or 1.5")]
    NotANumber,
    /// A fraction where a whole number is expected.
    #[error("it isn't a whole number{of}")]
    NotWhole {
        /// The items of the number, such as " of bytes"; may be empty.
        of: &'static str,
    },
    /// An undefined unit.
    #[error("the unit \"{unit}\" isn't known")]
    UnknownUnit {
        /// The unit, safe to print.
        unit: String,
    },
    /// A time without a unit.
    #[error("it has no unit")]
    MissingUnit,
    /// A number below zero.
    #[error("it is negative")]
    Negative,
    /// A number that overflows.
    #[error("it is too large")]
    TooLarge,
}

/// The most digits of a part of a number, without leading and trailing zeros. 10^20 times the
/// largest unit (2^60) still fits 128 bits.
const MAX_DIGITS: usize = 20;

/// An unsigned decimal number, `whole + fraction / 10^digits`.
#[derive(Clone, Copy)]
struct Decimal {
    whole: u128,
    fraction: u128,
    digits: u32,
}

impl Decimal {
    /// Splits the number from the front of `text`: `1.5Gi` is 1.5 and `Gi`.
    fn split(text: &str) -> Result<(Self, &str), QuantityError> {
        if text.is_empty() {
            return Err(QuantityError::Empty);
        }
        let (whole, rest) = digits(text);
        if whole.is_empty() {
            return Err(QuantityError::NotANumber);
        }
        let (fraction, rest) = match rest.strip_prefix('.') {
            Some(rest) => match digits(rest) {
                ("", _) => return Err(QuantityError::NotANumber),
                split => split,
            },
            None => ("", rest),
        };
        let whole = whole.trim_start_matches('0');
        let fraction = fraction.trim_end_matches('0');
        if whole.len() > MAX_DIGITS {
            return Err(QuantityError::TooLarge);
        }
        if fraction.len() > MAX_DIGITS {
            return Err(QuantityError::NotWhole { of: "" });
        }
        let number = |digits: &str| {
            digits
                .bytes()
                .fold(0_u128, |sum, digit| sum * 10 + u128::from(digit - b'0'))
        };
        let digits = u32::try_from(fraction.len()).map_err(|_| QuantityError::TooLarge)?;
        Ok((
            Self {
                whole: number(whole),
                fraction: number(fraction),
                digits,
            },
            rest,
        ))
    }

    /// The number times `unit`, if that is whole.
    fn times(self, unit: u128) -> Option<u128> {
        let scale = 10_u128.pow(self.digits);
        let fraction = self.fraction * unit;
        fraction
            .is_multiple_of(scale)
            .then(|| self.whole * unit + fraction / scale)
    }
}

/// Parses a whole number without a unit.
pub(crate) fn parse_count(text: &str) -> Result<u64, QuantityError> {
    refuse_negative(text)?;
    let (number, rest) = Decimal::split(text)?;
    if !rest.is_empty() {
        return Err(QuantityError::NotWhole { of: "" });
    }
    let number = number.times(1).ok_or(QuantityError::NotWhole { of: "" })?;
    u64::try_from(number).map_err(|_| QuantityError::TooLarge)
}

/// Rejects a leading minus with its own error: the text is a number, but out of every range.
fn refuse_negative(text: &str) -> Result<(), QuantityError> {
    match text.strip_prefix('-') {
        Some(rest) if rest.starts_with(|first: char| first.is_ascii_digit()) => {
            Err(QuantityError::Negative)
        }
        _ => Ok(()),
    }
}

/// The digits at the front of `text`, and the rest.
fn digits(text: &str) -> (&str, &str) {
    let end = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::{QuantityError, parse_count};

    #[expect(
        clippy::needless_pass_by_value,
        reason = "the table below stays readable"
    )]
    fn check(input: &str, expected: Result<u64, QuantityError>) {
        assert_eq!(parse_count(input), expected, "{input:?}");
    }

    #[test]
    fn counts_are_whole_and_plain() {
        let not_whole = || Err(QuantityError::NotWhole { of: "" });
        check("0", Ok(0));
        check("100", Ok(100));
        check("007", Ok(7));
        check("5.0", Ok(5));
        check("18446744073709551615", Ok(u64::MAX));
        check("18446744073709551616", Err(QuantityError::TooLarge));
        check(&"9".repeat(1 << 16), Err(QuantityError::TooLarge));
        check("1.5", not_whole());
        check("100Mi", not_whole());
        check("1_000", not_whole());
        check("1e3", not_whole());
        check("-1", Err(QuantityError::Negative));
        check("", Err(QuantityError::Empty));
        for text in ["-", "--1", "+1", "ten", " 1", "٣", ".5", "5.", "true"] {
            check(text, Err(QuantityError::NotANumber));
        }
    }
}
