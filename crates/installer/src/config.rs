//! Adds the runtime to the text of containerd's configuration, and removes it.
//!
//! Pure functions. All other bytes stay, comments included. There are two forms: a drop-in file,
//! which the main file imports, and a marked block at the end of the main file. A configuration
//! that containerd itself can no longer read without a migration is rejected.

use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use crate::runtimes::{RUNTIME, plugin, runtimes};

/// containerd's name of the shim.
const RUNTIME_TYPE: &str = "io.containerd.sampan.v1";
/// First and last line of Sampan's block in a file.
const BEGIN: &str = "# BEGIN sampan (written by sampan-node-installer, which also removes it)\n";
const END: &str = "# END sampan\n";
/// Suffix of a line that Sampan added to a file.
const LINE_SUFFIX: &str = " # sampan";
/// Includes the generated configuration in a template of k3s or RKE2.
const BASE_TEMPLATE: &str = "{{ template \"base\" . }}\n";

/// Reasons why a configuration is not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The text is not TOML, and containerd could not read it either.
    #[error("it is not TOML")]
    Toml(#[source] Box<toml::de::Error>),
    /// The version has no place for the runtime.
    #[error("it has version {0}; versions 2, 3 and 4 are supported")]
    Version(i64),
    /// The name of the runtime is used by another entry.
    #[error("it has a runtime {RUNTIME:?} from another source")]
    NameTaken,
}

/// The keys of a configuration that are read.
#[derive(Debug, Deserialize)]
struct Head {
    #[serde(default)]
    version: Option<i64>,
    #[serde(default)]
    imports: Option<Spanned<Vec<String>>>,
}

/// The entry of the runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The version of the configuration that receives it.
    pub(crate) version: i64,
    /// The shim, as a path of the node.
    pub(crate) shim: String,
}

impl Entry {
    /// The content of the drop-in file.
    pub(crate) fn file(&self) -> String {
        format!("{BEGIN}version = {}\n\n{}{END}", self.version, self.table())
    }

    fn table(&self) -> String {
        let plugin = plugin(self.version);
        format!(
            "[plugins.'{plugin}'.containerd.runtimes.{RUNTIME}]\n  runtime_type = '{RUNTIME_TYPE}'\n  \
             runtime_path = '{}'\n  pod_annotations = ['sampan.dev/*']\n",
            self.shim
        )
    }
}

/// The version of a configuration. A file without one has version 1; an empty file has `default`.
pub(crate) fn version(text: &str, default: i64) -> Result<i64, ConfigError> {
    let head = head(text)?;
    let empty = text.lines().all(|line| {
        let line = line.trim();
        line.is_empty() || line.starts_with('#')
    });
    match head.version {
        Some(version @ 2..=4) => Ok(version),
        Some(version) => Err(ConfigError::Version(version)),
        None if empty => Ok(default),
        None => Err(ConfigError::Version(1)),
    }
}

/// Adds the drop-in file to the imports of the main file. Returns the same text if it is already
/// imported.
pub(crate) fn with_import(text: &str, drop_in: &Path, version: i64) -> Result<String, ConfigError> {
    let text = &without_sampan(text)?;
    let head = head(text)?;
    let drop_in = drop_in.display().to_string();
    let Some(imports) = head.imports else {
        let line = format!("imports = ['{drop_in}']{LINE_SUFFIX}\n");
        // The key belongs to the whole file only before the first table.
        let own_version = match head.version {
            Some(_) => String::new(),
            None => format!("version = {version}{LINE_SUFFIX}\n"),
        };
        return Ok(format!("{own_version}{line}{text}"));
    };
    if imports
        .get_ref()
        .iter()
        .any(|pattern| covers(pattern, &drop_in))
    {
        return Ok(text.clone());
    }
    let mut all = imports.get_ref().clone();
    all.push(drop_in);
    Ok(replaced(text, imports.span(), &array(&all)))
}

/// Adds the block at the end of the main file.
pub(crate) fn with_block(text: &str, entry: &Entry) -> Result<String, ConfigError> {
    let text = without_sampan(text)?;
    if has_runtime(&text, entry.version) {
        return Err(ConfigError::NameTaken);
    }
    let version = match head(&text)?.version {
        Some(_) => String::new(),
        None => format!("version = {}{LINE_SUFFIX}\n", entry.version),
    };
    Ok(format!(
        "{version}{}{BEGIN}{}{END}",
        with_final_newline(&text),
        entry.table()
    ))
}

/// Adds the block at the end of a template of k3s or RKE2.
pub(crate) fn template_with_block(text: Option<&str>, entry: &Entry) -> String {
    let text = without_block(text.unwrap_or(BASE_TEMPLATE));
    format!("{}{BEGIN}{}{END}", with_final_newline(&text), entry.table())
}

/// Removes the block from a template; `None` if the template contained nothing else.
pub(crate) fn template_without_block(text: &str) -> Option<String> {
    let rest = without_block(text);
    (rest != BASE_TEMPLATE || !text.contains(BEGIN)).then_some(rest)
}

/// Removes all changes of Sampan from the main file.
pub(crate) fn without_sampan(text: &str) -> Result<String, ConfigError> {
    let mut text: String = without_block(text)
        .split_inclusive('\n')
        .filter(|line| !line.trim_end().ends_with(LINE_SUFFIX))
        .collect();
    if let Some(imports) = head(&text)?.imports {
        let kept: Vec<String> = imports
            .get_ref()
            .iter()
            .filter(|path| !is_drop_in(path))
            .cloned()
            .collect();
        if kept.len() < imports.get_ref().len() {
            text = replaced(&text, imports.span(), &array(&kept));
        }
    }
    Ok(text)
}

/// Whether a configuration has a runtime with this name, from any source.
fn has_runtime(text: &str, version: i64) -> bool {
    let Ok(table) = text.parse::<toml::Table>() else {
        return false;
    };
    runtimes(&table, plugin(version)).is_some_and(|all| all.contains_key(RUNTIME))
}

/// Whether an import is the drop-in file. No other product uses this file name.
fn is_drop_in(path: &str) -> bool {
    Path::new(path)
        .file_name()
        .is_some_and(|name| name.to_string_lossy().ends_with("sampan.toml"))
}

fn head(text: &str) -> Result<Head, ConfigError> {
    toml::from_str(text).map_err(|error| ConfigError::Toml(Box::new(error)))
}

fn without_block(text: &str) -> String {
    match (text.find(BEGIN), text.find(END)) {
        (Some(begin), Some(end)) if begin < end => {
            format!("{}{}", &text[..begin], &text[end + END.len()..])
        }
        _ => text.to_owned(),
    }
}

/// Adds a missing newline at the end.
fn with_final_newline(text: &str) -> String {
    match text {
        "" => String::new(),
        text if text.ends_with('\n') => text.to_owned(),
        text => format!("{text}\n"),
    }
}

fn array(paths: &[String]) -> String {
    // A string of JSON is one of TOML.
    let quoted: Vec<String> = paths
        .iter()
        .map(|path| serde_json::Value::from(path.as_str()).to_string())
        .collect();
    format!("[{}]", quoted.join(", "))
}

fn replaced(text: &str, span: Range<usize>, by: &str) -> String {
    format!("{}{by}{}", &text[..span.start], &text[span.end..])
}

/// Whether a pattern of the imports (`*` matches anything but a slash) covers a path.
fn covers(pattern: &str, path: &str) -> bool {
    let (mut patterns, mut paths) = (pattern.split('/'), path.split('/'));
    loop {
        match (patterns.next(), paths.next()) {
            (None, None) => return true,
            (Some(pattern), Some(part)) if part_covers(pattern, part) => {}
            _ => return false,
        }
    }
}

fn part_covers(pattern: &str, part: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == part;
    };
    let Some(part) = part.strip_prefix(start) else {
        return false;
    };
    (0..=part.len()).any(|skip| part.is_char_boundary(skip) && part_covers(rest, &part[skip..]))
}

#[cfg(test)]
mod tests;
