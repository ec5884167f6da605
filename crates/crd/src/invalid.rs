//! The error of a value that a resource may not have.

use serde::Serialize;

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

/// Checks the size of a resource's `spec`: the objects that are made from it have to fit the cluster's store.
///
/// # Errors
///
/// [`Invalid`] when it has more than `most` bytes.
pub(crate) fn check_size(spec: &impl Serialize, most: usize) -> Result<(), Invalid> {
    let bytes = serde_json::to_vec(spec).map_or(usize::MAX, |text| text.len());
    if bytes > most {
        let message = format!("it has {bytes} bytes, the most is {most}");
        return Err(Invalid::new("spec", message));
    }
    Ok(())
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
