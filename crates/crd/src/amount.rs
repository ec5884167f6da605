//! A number, or a text with a unit, as written in a resource.
//!
//! The table of limits validates it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A number such as `100`, or a text such as `64Mi` or `10s`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Amount {
    /// A whole number.
    Number(i64),
    /// A number with a fraction, which no limit accepts; kept for the error message.
    Fraction(f64),
    /// A text.
    Text(String),
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Fraction(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl From<&str> for Amount {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Amount {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}
