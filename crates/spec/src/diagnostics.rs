//! What is wrong with a function's file, where, and what to write instead.
//!
//! Refuses to print: whoever calls decides on colours and streams.

use std::fmt;

use crate::shown::Escaped;

/// A place in a text; both count from one, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: u64,
    /// The column.
    pub column: u64,
}

impl Position {
    /// The reader's own location; it counts from one and says zero for "unknown".
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

/// A function's file can't be read. Shows itself as `function.yaml:7:13: what is wrong`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}: {message}", Escaped(origin), At(*position))]
pub struct FileError {
    /// Where the text came from, as the caller called it.
    pub origin: String,
    /// Where in the text; `None` when the text as a whole is at fault.
    pub position: Option<Position>,
    /// What is wrong, as one line.
    pub message: String,
    /// The keys or words that are allowed in that place, when an unknown one was found.
    pub allowed: Vec<&'static str>,
    pub(crate) help: Option<String>,
}

impl FileError {
    /// What to write instead, as one line.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The line, counted from one.
    pub fn line(&self) -> Option<u64> {
        self.position.map(|position| position.line)
    }

    /// The column in characters, counted from one.
    pub fn column(&self) -> Option<u64> {
        self.position.map(|position| position.column)
    }
}

/// A value of a function's file is not allowed. Shows itself as `limits.memory: what is wrong`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Invalid {
    /// The path of the field, such as `limits.memory` or `env[2].name`.
    pub field: String,
    /// Where its value is written, when it came from a text.
    pub position: Option<Position>,
    /// The value as it was written; empty when it is missing.
    pub value: String,
    /// What is wrong, as one line.
    pub message: String,
    pub(crate) help: Option<String>,
}

impl Invalid {
    /// What to write instead, as one line.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The same, said of a named file: `function.yaml:7:13: limits.memory: what is wrong`.
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
    fn says_where_first() {
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
