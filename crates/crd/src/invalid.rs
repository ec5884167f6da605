//! The error of a value that a resource may not have.

/// A value of a resource that is not allowed. Formatted as one line with the field's path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Invalid {
    /// The path, such as `spec.limits.memory`.
    pub field: String,
    /// The mistake, and what to write instead.
    pub message: String,
}

impl Invalid {
    pub(crate) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }
}

impl From<sampan_spec::Invalid> for Invalid {
    fn from(invalid: sampan_spec::Invalid) -> Self {
        let field = match invalid.field.as_str() {
            "name" => "metadata.name".to_owned(),
            field => format!("spec.{field}"),
        };
        let message = match invalid.help() {
            Some(help) => format!("{} ({help})", invalid.message),
            None => invalid.message.clone(),
        };
        Self { field, message }
    }
}
