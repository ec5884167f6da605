//! Reads `function.yaml` into the raw file, or into an error with a position.
//!
//! Features that only an attack needs are rejected: anchors and aliases, merge keys, tags, deep
//! nesting, duplicate keys, several documents, and more than [`MAX_FILE_BYTES`].

use serde::de::DeserializeOwned;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_saphyr::{Error, MessageFormatter, Options, UserMessageFormatter, budget::BudgetBreach};

use crate::diagnostics::{FileError, Position};
use crate::escape::{Shown, ShownSentence};
use crate::file::FunctionFile;
use crate::suggest::nearest;

/// The most bytes of a `function.yaml`.
pub const MAX_FILE_BYTES: usize = 256 * 1024;

/// The deepest nesting of a file's collections: `instances: { reuse: {} }` is three.
const MAX_DEPTH: usize = 8;

/// Reads the text of a `function.yaml`. `origin` is its name in messages. An empty text is a file
/// without keys.
pub fn parse(text: &str, origin: &str) -> Result<FunctionFile, FileError> {
    read(text, origin).map(Option::unwrap_or_default)
}

/// Reads any raw value within the limits of a `function.yaml`; an empty text is `None`.
pub(crate) fn read<T: DeserializeOwned>(text: &str, origin: &str) -> Result<Option<T>, FileError> {
    if text.len() > MAX_FILE_BYTES {
        return Err(FileError {
            origin: origin.to_owned(),
            position: None,
            message: format!(
                "the file has {} bytes, the most is {MAX_FILE_BYTES}",
                text.len()
            ),
            allowed: Vec::new(),
            help: None,
        });
    }
    serde_saphyr::from_str_with_options::<Option<T>>(text, options())
        .map_err(|error| file_error(&error, origin))
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_events: 64 * 1024,
            max_nodes: 32 * 1024,
            max_total_scalar_bytes: MAX_FILE_BYTES,
            max_anchors: 0,
            max_aliases: 0,
            max_documents: 1,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        reject_unsupported_tags: true,
        reject_tagged_field_names: true,
        emit_comments: false,
        with_snippet: false,
    }
}

/// Converts the reader's error.
fn file_error(error: &Error, origin: &str) -> FileError {
    let ErrorText {
        message,
        allowed,
        help,
    } = error_text(error.without_snippet());
    FileError {
        origin: origin.to_owned(),
        position: error.location().as_ref().and_then(Position::of),
        message,
        allowed,
        help,
    }
}

/// The text of an error, without its position.
struct ErrorText {
    message: String,
    allowed: Vec<&'static str>,
    help: Option<String>,
}

impl ErrorText {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            allowed: Vec::new(),
            help: None,
        }
    }

    fn help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..self
        }
    }

    /// An unknown word among a few known ones.
    fn unknown(kind: &str, plural: &str, word: &str, allowed: &[&'static str]) -> Self {
        let list = allowed.join(", ");
        let help = match nearest(word, allowed) {
            Some(near) => format!("did you mean \"{near}\"? {plural} here: {list}"),
            None => format!("{plural} here: {list}"),
        };
        Self {
            allowed: allowed.to_vec(),
            ..Self::new(format!("unknown {kind} \"{}\"", Shown(word)))
        }
        .help(help)
    }
}

fn error_text(error: &Error) -> ErrorText {
    match error {
        Error::SerdeUnknownField {
            field, expected, ..
        } => ErrorText::unknown("key", "keys", field, expected),
        Error::SerdeUnknownVariant {
            variant, expected, ..
        } => ErrorText::unknown("word", "words", variant, expected),
        Error::SerdeMissingField { field, .. } => {
            ErrorText::new(format!("the key \"{field}\" is missing"))
        }
        Error::DuplicateMappingKey { key, .. } => {
            let text = match key {
                Some(key) => ErrorText::new(format!("the key \"{}\" is there twice", Shown(key))),
                None => ErrorText::new("a key is there twice"),
            };
            text.help("keep one of them")
        }
        // `expected` is the reader's own term, such as "mapping start".
        Error::Unexpected { expected, .. } => ErrorText::new(format!("expected {expected}")).help(
            "keys belong below their group as \"key: value\", items in a list as \"- item\", \
             and all else is one value",
        ),
        Error::NullIntoString { .. } => {
            ErrorText::new("a value is missing").help("write \"\" for an empty text")
        }
        Error::MultipleDocuments { .. } => refuse_documents(),
        Error::MergeKeyNotAllowed { .. } => {
            ErrorText::new("merge keys (<<) are not allowed").help("write the keys out")
        }
        Error::UnknownAnchor { .. } => refuse_anchors(),
        Error::Budget { breach, .. } => excess(breach),
        // Syntax errors and others: the library's message, which may repeat a part of the file.
        other => {
            let message = UserMessageFormatter.format_message(other);
            ErrorText::new(ShownSentence(&message).to_string())
        }
    }
}

/// The message for a file that exceeds a limit of the reader.
fn excess(breach: &BudgetBreach) -> ErrorText {
    match breach {
        BudgetBreach::Anchors { .. } | BudgetBreach::Aliases { .. } => refuse_anchors(),
        BudgetBreach::Documents { .. } => refuse_documents(),
        BudgetBreach::Depth { .. } => {
            ErrorText::new(format!("nested deeper than the most allowed, {MAX_DEPTH}"))
        }
        _ => ErrorText::new("the file is larger than any function's description needs to be"),
    }
}

fn refuse_documents() -> ErrorText {
    ErrorText::new("the file has more than one document")
        .help("one file describes one function: remove the --- and what follows")
}

fn refuse_anchors() -> ErrorText {
    ErrorText::new("anchors (&) and aliases (*) are not allowed")
        .help("write the value out, and quote a text that starts with & or *")
}
