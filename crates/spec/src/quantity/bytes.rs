//! Sizes in bytes, in Kubernetes' notation.
//!
//! `MB` and `K` are rejected, because their meaning is ambiguous.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Decimal, QuantityError, refuse_negative};
use crate::escape::Shown;

/// A number of bytes: `65536`, `64Ki`, `1.5Gi`, `10M`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// The powers of 1024, largest first.
const BINARY: [(&str, u64); 6] = [
    ("Ei", 1 << 60),
    ("Pi", 1 << 50),
    ("Ti", 1 << 40),
    ("Gi", 1 << 30),
    ("Mi", 1 << 20),
    ("Ki", 1 << 10),
];

/// The powers of 1000, and one.
const DECIMAL: [(&str, u64); 7] = [
    ("E", 1_000_000_000_000_000_000),
    ("P", 1_000_000_000_000_000),
    ("T", 1_000_000_000_000),
    ("G", 1_000_000_000),
    ("M", 1_000_000),
    ("k", 1_000),
    ("", 1),
];

impl ByteSize {
    /// The syntax of a size, as a regular expression for the schema.
    pub(crate) const PATTERN: &str = "^[0-9]+(\\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E)?$";

    /// The syntax of a size, as text.
    pub(crate) const HELP: &str = "a size is a number with Ki, Mi or Gi (powers of 1024), k, M or G (powers of 1000), or bytes";

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        refuse_negative(text)?;
        let (number, unit) = Decimal::split(text)?;
        let (_, factor) = BINARY
            .iter()
            .chain(&DECIMAL)
            .find(|(name, _)| *name == unit)
            .ok_or_else(|| QuantityError::UnknownUnit {
                unit: Shown(unit).to_string(),
            })?;
        let bytes = number
            .times(u128::from(*factor))
            .ok_or(QuantityError::NotWhole { of: " of bytes" })?;
        u64::try_from(bytes)
            .map(Self)
            .map_err(|_| QuantityError::TooLarge)
    }
}

/// Uses the largest power of 1024 that leaves a whole number, which parses to the same size.
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = BINARY
            .iter()
            .find(|(_, factor)| self.0 != 0 && self.0.is_multiple_of(*factor));
        match fits {
            Some((unit, factor)) => f.pad(&format!("{}{unit}", self.0 / factor)),
            None => f.pad(&self.0.to_string()),
        }
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Accepts the text form, and the plain number that JSON writers prefer.
        struct Either;

        impl Visitor<'_> for Either {
            type Value = ByteSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as 64Mi")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(|error| {
                    E::custom(format_args!("\"{}\" is not a size: {error}", Shown(text)))
                })
            }

            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(bytes))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"], "pattern": Self::PATTERN, "minimum": 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::{BINARY, ByteSize, DECIMAL, QuantityError};

    fn check(input: &str, expected: Result<u64, QuantityError>) {
        assert_eq!(
            input.parse::<ByteSize>(),
            expected.map(ByteSize),
            "{input:?}"
        );
    }

    fn unknown(unit: &str) -> Result<u64, QuantityError> {
        Err(QuantityError::UnknownUnit {
            unit: unit.to_owned(),
        })
    }

    #[test]
    fn parses_kubernetes_quantities() {
        check("0", Ok(0));
        check("0Gi", Ok(0));
        check("1024", Ok(1024));
        check("1k", Ok(1000));
        check("64Ki", Ok(65_536));
        check("10M", Ok(10_000_000));
        check("128Mi", Ok(134_217_728));
        check("1.5Gi", Ok(1_610_612_736));
        check("0.5k", Ok(500));
        check("1.000", Ok(1));
        check("4Ti", Ok(4 << 40));
        check("15Ei", Ok(15 << 60));
        check("16Ei", Err(QuantityError::TooLarge));
        check("18446744073709551615", Ok(u64::MAX));
        check("18446744073709551616", Err(QuantityError::TooLarge));
        check("99999999999999999999Ei", Err(QuantityError::TooLarge));
        check(
            "0.99999999999999999999Ei",
            Err(QuantityError::NotWhole { of: " of bytes" }),
        );
    }

    #[test]
    fn rejects_ambiguous_units() {
        for unit in [
            "K", "KB", "MB", "MiB", "m", "B", "mi", "gi", "e3", " Mi", "Mi ", "_000", ",5",
        ] {
            check(&format!("64{unit}"), unknown(unit));
        }
        check("1.5", Err(QuantityError::NotWhole { of: " of bytes" }));
        check("0.0001Ki", Err(QuantityError::NotWhole { of: " of bytes" }));
        check("-1Mi", Err(QuantityError::Negative));
        check("", Err(QuantityError::Empty));
        for text in ["Mi", "+1", ".5Mi", "1.Mi", "0x", "６４Mi", "\u{1b}"] {
            let refused = text.parse::<ByteSize>();
            assert!(refused.is_err(), "{text:?}: {refused:?}");
        }
        assert!("9".repeat(1 << 20).parse::<ByteSize>().is_err());
        assert!(
            format!("0.{}", "1".repeat(1 << 20))
                .parse::<ByteSize>()
                .is_err()
        );
    }

    #[test]
    fn shows_the_shortest_exact_form() {
        fn check(bytes: u64, expected: &str) {
            assert_eq!(ByteSize(bytes).to_string(), expected);
        }
        check(0, "0");
        check(1, "1");
        check(1000, "1000");
        check(1024, "1Ki");
        check(1025, "1025");
        check(1536, "1536");
        check(3 << 29, "1536Mi");
        check(1 << 32, "4Gi");
        check(u64::MAX, "18446744073709551615");
    }

    #[test]
    fn every_size_reads_back_as_itself() {
        let mut interesting: Vec<u64> = BINARY
            .iter()
            .chain(&DECIMAL)
            .flat_map(|(_, factor)| [factor - 1, *factor, factor + 1, factor * 15])
            .chain([u64::MAX])
            .collect();
        // The same walk over all magnitudes in every run.
        let mut random = fastrand::Rng::with_seed(1);
        for step in 0..10_000_u32 {
            interesting.push((random.u64(..) >> (step % 64)) << (step % 41));
        }
        for bytes in interesting {
            let size = ByteSize(bytes);
            assert_eq!(size.to_string().parse(), Ok(size), "{bytes}");
            let json = serde_json::to_string(&size).expect("it is valid");
            assert_eq!(
                serde_json::from_str::<ByteSize>(&json).expect("it is valid"),
                size
            );
        }
    }
}
