//! Errors of a function's file, with position and advice.
//!
//! Callers print them and choose colours and streams.

use std::fmt;

use crate::escape::Escaped;

/// A position in a text. Both numbers start at one; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: u64,
    /// The column.
    pub column: u64,
}

impl Position {
    /// Converts the reader's location, which starts at one and uses zero for "unknown".
    pub(crate) fn of(location: &serde_saphyr::Location) -> Option<Self> {
        (location.line() > 0).then(|| Self {
            line: location.line(),
            column: location.column(),
        })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A function's file that cannot be read. Formatted as `function.yaml:7:13: MESSAGE`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}: {message}", Escaped(origin), At(*position))]
pub struct FileError {
    /// The origin of the text, as given by the caller.
    pub origin: String,
    /// The position; `None` if the whole text is at fault.
    pub position: Option<Position>,
    /// The mistake, in one line.
    pub message: String,
    /// The allowed keys or words, if an unknown one was found.
    pub allowed: Vec<&'static str>,
    pub(crate) help: Option<String>,
}

impl FileError {
    /// Advice, in one line.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The line, starting at one.
    pub fn line(&self) -> Option<u64> {
        self.position.map(|position| position.line)
    }

    /// The column in characters, starting at one.
    pub fn column(&self) -> Option<u64> {
        self.position.map(|position| position.column)
    }
}

/// A value of a function's file that is not allowed. Formatted as `limits.memory: MESSAGE`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Invalid {
    /// The path of the field, such as `limits.memory` or `env[2].name`.
    pub field: String,
    /// The position of its value, if it comes from a text.
    pub position: Option<Position>,
    /// The value as written; empty if it is missing.
    pub value: String,
    /// The mistake, in one line.
    pub message: String,
    pub(crate) help: Option<String>,
}

impl Invalid {
    /// Advice, in one line.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// Adds the name of a file: `function.yaml:7:13: limits.memory: MESSAGE`.
    pub fn in_file(self, origin: &str) -> FileError {
        FileError {
            message: self.to_string(),
            origin: origin.to_owned(),
            position: self.position,
            allowed: Vec::new(),
            help: self.help,
        }
    }
}

/// The `:7:13` of a message, or nothing.
struct At(Option<Position>);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |position| write!(f, ":{position}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Invalid, Position};

    #[test]
    fn the_position_comes_first() {
        let mut invalid = Invalid {
            field: "limits.memory".to_owned(),
            position: Some(Position {
                line: 7,
                column: 13,
            }),
            value: "5Ti".to_owned(),
            message: "5Ti is more than the most allowed, 4Gi".to_owned(),
            help: None,
        };
        let error = invalid.clone().in_file("function.yaml");
        assert_eq!(
            error.to_string(),
            "function.yaml:7:13: limits.memory: 5Ti is more than the most allowed, 4Gi"
        );
        assert_eq!((error.line(), error.column()), (Some(7), Some(13)));

        invalid.position = None;
        assert_eq!(
            invalid.in_file("function.yaml").to_string(),
            "function.yaml: limits.memory: 5Ti is more than the most allowed, 4Gi"
        );
    }
}
