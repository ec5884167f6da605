//! Default and range of a quantity, with one check.
//!
//! A value outside its range is an error; it is not clamped.

use std::fmt;
use std::time::Duration;

use crate::quantity::{ByteSize, QuantityError, Timespan, parse_count};

/// The unit of a bounded number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Nanoseconds.
    Time,
    /// A number of items.
    Count,
}

impl Unit {
    /// Formats a number of this unit.
    pub fn show(self, value: u64) -> String {
        match self {
            Self::Bytes => ByteSize(value).to_string(),
            Self::Time => Timespan(Duration::from_nanos(value)).to_string(),
            Self::Count => value.to_string(),
        }
    }

    fn parse(self, text: &str) -> Result<u64, QuantityError> {
        match self {
            Self::Bytes => text.parse::<ByteSize>().map(ByteSize::bytes),
            Self::Time => text
                .parse::<Timespan>()
                .map(Timespan::nanoseconds_saturating),
            Self::Count => parse_count(text),
        }
    }

    /// The name of a number of this unit.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Bytes => "size",
            Self::Time => "time",
            Self::Count => "number",
        }
    }

    /// The syntax of a number of this unit.
    pub(crate) fn help(self) -> &'static str {
        match self {
            Self::Bytes => ByteSize::HELP,
            Self::Time => Timespan::HELP,
            Self::Count => "a number has only digits",
        }
    }
}

/// Default, minimum and maximum of a quantity, in its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The unit.
    pub unit: Unit,
    /// The value if none is given.
    pub default: u64,
    /// The smallest allowed value.
    pub least: u64,
    /// The largest allowed value.
    pub most: u64,
}

impl Bound {
    /// Bounds on bytes.
    pub(crate) const fn bytes(default: u64, least: u64, most: u64) -> Self {
        Self {
            unit: Unit::Bytes,
            default,
            least,
            most,
        }
    }

    /// Bounds on a time, in milliseconds.
    pub(crate) const fn milliseconds(default: u64, least: u64, most: u64) -> Self {
        const MILLISECOND: u64 = 1_000_000;
        Self {
            unit: Unit::Time,
            default: default * MILLISECOND,
            least: least * MILLISECOND,
            most: most * MILLISECOND,
        }
    }

    /// Bounds on a number of items. They fit 32 bits, as do the bounded fields.
    pub(crate) const fn count(default: u32, least: u32, most: u32) -> Self {
        Self {
            unit: Unit::Count,
            default: default as u64,
            least: least as u64,
            most: most as u64,
        }
    }

    /// Whether `value` lies in the range.
    pub fn check(&self, value: u64) -> Result<(), OutOfBound> {
        if value < self.least {
            Err(OutOfBound::Less {
                least: self.unit.show(self.least),
            })
        } else if value > self.most {
            Err(OutOfBound::More {
                most: self.unit.show(self.most),
            })
        } else {
            Ok(())
        }
    }

    /// Parses a value and checks that it lies in the range.
    pub fn parse(&self, text: &str) -> Result<u64, OutOfBound> {
        match self.unit.parse(text) {
            Ok(value) => self.check(value).map(|()| value),
            // Numbers that overflow are still numbers out of range.
            Err(QuantityError::Negative) => Err(OutOfBound::Less {
                least: self.unit.show(self.least),
            }),
            Err(QuantityError::TooLarge) => Err(OutOfBound::More {
                most: self.unit.show(self.most),
            }),
            Err(error) => Err(OutOfBound::Unreadable {
                noun: self.unit.noun(),
                error,
            }),
        }
    }

    /// The range and the default as text.
    pub(crate) fn range(&self) -> String {
        let Self {
            unit,
            default,
            least,
            most,
        } = self;
        let [default, least, most] = [default, least, most].map(|value| unit.show(*value));
        format!("allowed: {least} to {most}; default: {default}")
    }
}

/// Reasons why a value is not allowed. Each message continues the value: "5Ti is more than ...".
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutOfBound {
    /// It is below the range.
    Less {
        /// The smallest allowed value.
        least: String,
    },
    /// It is above the range.
    More {
        /// The largest allowed value.
        most: String,
    },
    /// It cannot be parsed.
    Unreadable {
        /// The name of the expected value.
        noun: &'static str,
        /// The cause.
        error: QuantityError,
    },
}

impl fmt::Display for OutOfBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Less { least } => write!(f, "is less than the least allowed, {least}"),
            Self::More { most } => write!(f, "is more than the most allowed, {most}"),
            Self::Unreadable { noun, error } => write!(f, "is not a {noun}: {error}"),
        }
    }
}

impl std::error::Error for OutOfBound {}
