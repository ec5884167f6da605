//! Durations in Go's notation.
//!
//! A number without a unit is rejected, because `30` could mean seconds or milliseconds.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Decimal, QuantityError, refuse_negative};
use crate::escape::Shown;

/// A duration: `10s`, `250ms`, `1m30s`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timespan(pub Duration);

/// The units for output, in nanoseconds, largest first.
const UNITS: [(&str, u128); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// The micro sign and the Greek letter, which look the same.
const MICRO: [(&str, u128); 2] = [("\u{b5}s", 1_000), ("\u{3bc}s", 1_000)];

impl Timespan {
    /// The syntax of a time, as a regular expression for the schema.
    pub(crate) const PATTERN: &str = "^(0|([0-9]+(\\.[0-9]+)?(h|m|s|ms|us|\u{b5}s|\u{3bc}s|ns))+)$";

    /// The syntax of a time, as text.
    pub(crate) const HELP: &str = "a time is a number with ms, s, m or h, such as 500ms or 1m30s";

    /// The time in nanoseconds; the maximum if it overflows.
    pub(crate) fn nanoseconds_saturating(self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl FromStr for Timespan {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        refuse_negative(text)?;
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        let mut total = 0_u64;
        let mut rest = text;
        loop {
            let (number, after) = Decimal::split(rest)?;
            let end = after
                .find(|character: char| character.is_ascii_digit() || character == '.')
                .unwrap_or(after.len());
            let (unit, after) = after.split_at(end);
            if unit.is_empty() {
                return Err(QuantityError::MissingUnit);
            }
            let (_, factor) = UNITS
                .iter()
                .chain(&MICRO)
                .find(|(name, _)| *name == unit)
                .ok_or_else(|| QuantityError::UnknownUnit {
                    unit: Shown(unit).to_string(),
                })?;
            let nanoseconds = number.times(*factor).ok_or(QuantityError::NotWhole {
                of: " of nanoseconds",
            })?;
            total = u64::try_from(nanoseconds)
                .ok()
                .and_then(|nanoseconds| total.checked_add(nanoseconds))
                .ok_or(QuantityError::TooLarge)?;
            if after.is_empty() {
                return Ok(Self(Duration::from_nanos(total)));
            }
            rest = after;
        }
    }
}

/// Uses whole numbers of descending units, such as `1m30s`, which parse to the same time.
impl fmt::Display for Timespan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_nanos();
        if rest == 0 {
            return f.pad("0s");
        }
        let mut text = String::new();
        for (unit, factor) in UNITS {
            if rest >= factor {
                write!(text, "{}{unit}", rest / factor)?;
                rest %= factor;
            }
        }
        f.pad(&text)
    }
}

impl Serialize for Timespan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timespan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'_, str>::deserialize(deserializer)?;
        text.parse().map_err(|error| {
            de::Error::custom(format_args!("\"{}\" is not a time: {error}", Shown(&text)))
        })
    }
}

impl JsonSchema for Timespan {
    fn schema_name() -> Cow<'static, str> {
        "Timespan".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": Self::PATTERN })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{QuantityError, Timespan, UNITS};

    fn check(input: &str, expected: Result<Duration, QuantityError>) {
        assert_eq!(
            input.parse::<Timespan>(),
            expected.map(Timespan),
            "{input:?}"
        );
    }

    #[test]
    fn parses_go_durations() {
        check("0", Ok(Duration::ZERO));
        check("0s", Ok(Duration::ZERO));
        check("1ns", Ok(Duration::from_nanos(1)));
        check("5us", Ok(Duration::from_micros(5)));
        check("5\u{b5}s", Ok(Duration::from_micros(5)));
        check("5\u{3bc}s", Ok(Duration::from_micros(5)));
        check("250ms", Ok(Duration::from_millis(250)));
        check("10s", Ok(Duration::from_secs(10)));
        check("1.5s", Ok(Duration::from_millis(1500)));
        check("1m30s", Ok(Duration::from_secs(90)));
        check("1m0.5s", Ok(Duration::from_millis(60_500)));
        check("2h", Ok(Duration::from_hours(2)));
        check("18446744073709551615ns", Ok(Duration::from_nanos(u64::MAX)));
        check("18446744073709551616ns", Err(QuantityError::TooLarge));
        check("18446744073709551615ns1ns", Err(QuantityError::TooLarge));
        check("99999999999999999999h", Err(QuantityError::TooLarge));
    }

    #[test]
    fn rejects_ambiguous_units() {
        let unknown = |unit: &str| {
            Err(QuantityError::UnknownUnit {
                unit: unit.to_owned(),
            })
        };
        check("30", Err(QuantityError::MissingUnit));
        check("1m30", Err(QuantityError::MissingUnit));
        check("1d", unknown("d"));
        check("10 s", unknown(" s"));
        check("10S", unknown("S"));
        check("10min", unknown("min"));
        check("1h-5m", unknown("h-"));
        check("10s ", unknown("s "));
        check("-1s", Err(QuantityError::Negative));
        check(
            "0.1ns",
            Err(QuantityError::NotWhole {
                of: " of nanoseconds",
            }),
        );
        check("", Err(QuantityError::Empty));
        for text in ["s", "+1s", "forever", ".5s", "1.s", "10s.", "１s"] {
            let refused = text.parse::<Timespan>();
            assert!(refused.is_err(), "{text:?}: {refused:?}");
        }
        assert!("1s".repeat(1 << 16).parse::<Timespan>().is_ok());
    }

    #[test]
    fn shows_falling_units() {
        fn check(duration: Duration, expected: &str) {
            assert_eq!(Timespan(duration).to_string(), expected);
        }
        check(Duration::ZERO, "0s");
        check(Duration::from_nanos(1), "1ns");
        check(Duration::from_millis(1500), "1s500ms");
        check(Duration::from_secs(90), "1m30s");
        check(Duration::from_hours(1), "1h");
        check(Duration::from_hours(25), "25h");
        check(Duration::from_secs(3601), "1h1s");
    }

    #[test]
    fn every_time_reads_back_as_itself() {
        let mut interesting: Vec<u64> = UNITS
            .iter()
            .filter_map(|(_, factor)| u64::try_from(*factor).ok())
            .flat_map(|factor| [factor - 1, factor, factor + 1, factor * 59])
            .chain([u64::MAX])
            .collect();
        // The same walk over all magnitudes in every run.
        let mut random = fastrand::Rng::with_seed(1);
        for step in 0..10_000_u32 {
            interesting.push(random.u64(..) >> (step % 64));
        }
        for nanoseconds in interesting {
            let time = Timespan(Duration::from_nanos(nanoseconds));
            assert_eq!(time.to_string().parse(), Ok(time), "{nanoseconds}");
            let json = serde_json::to_string(&time).expect("it is valid");
            assert_eq!(
                serde_json::from_str::<Timespan>(&json).expect("it is valid"),
                time
            );
        }
    }
}
