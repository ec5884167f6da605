//! Errors of parameters, as the line of text of a 400 answer. The line is short ASCII for any
//! input.

use std::fmt;

/// The greatest length of the part of the value that the error repeats.
const MAX_SHOWN_LENGTH: usize = 40;

/// An error of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterError {
    /// The parameter's name.
    pub name: &'static str,
    /// The error.
    pub problem: Problem,
}

/// The kind of error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It is required and absent.
    Missing,
    /// It is given twice, so its value is ambiguous.
    Repeated,
    /// It is not percent-encoded UTF-8.
    Encoding,
    /// Its value is of the wrong kind or out of range.
    Unexpected {
        /// A description of the accepted values.
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
                let cut = value.char_indices().nth(MAX_SHOWN_LENGTH);
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
