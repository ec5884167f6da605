//! What can be wrong with a parameter, as the line of text that a 400 answers. The line is ASCII and short whatever the
//! caller sent.

use std::fmt;

/// The longest piece of the caller's value that is repeated to them.
const SHOWN: usize = 40;

/// A parameter that is not as the function needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterError {
    /// The parameter's name.
    pub name: &'static str,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It is required and absent.
    Missing,
    /// It is there twice, so its value is anybody's guess.
    Repeated,
    /// It is not percent-encoded UTF-8.
    Encoding,
    /// Its value is of the wrong kind or out of range.
    Unexpected {
        /// What would have been accepted.
        expected: String,
        /// The value, decoded.
        value: String,
    },
}

impl ParameterError {
    pub(crate) fn unexpected(name: &'static str, expected: String, value: &str) -> Self {
        ParameterError {
            name,
            problem: Problem::Unexpected {
                expected,
                value: value.to_owned(),
            },
        }
    }

    /// A value that is in its own range, but not together with another parameter's.
    pub fn combination(name: &'static str, expected: String, value: impl fmt::Display) -> Self {
        ParameterError::unexpected(name, expected, &value.to_string())
    }
}

impl fmt::Display for ParameterError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "parameter `{}` ", self.name)?;
        match &self.problem {
            Problem::Missing => formatter.write_str("is missing"),
            Problem::Repeated => formatter.write_str("is given more than once"),
            Problem::Encoding => formatter.write_str("is not percent-encoded UTF-8"),
            Problem::Unexpected { expected, value } => {
                let cut = value.char_indices().nth(SHOWN);
                let (shown, rest) = match cut {
                    Some((end, _)) => (&value[..end], "..."),
                    None => (value.as_str(), ""),
                };
                write!(
                    formatter,
                    "must be {expected}, not `{}{rest}`",
                    shown.escape_default()
                )
            }
        }
    }
}

impl std::error::Error for ParameterError {}
