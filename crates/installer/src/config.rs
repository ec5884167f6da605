//! containerd's configuration as text: how our runtime gets in and out of it.
//!
//! Pure. What is not ours keeps every byte, comments included. There are two ways in: a file of our own, which
//! the main file imports, and a marked block at the end of the main file. Refuses configurations that containerd
//! itself no longer reads without changing them.

use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

/// The name of the runtime, in containerd and as RuntimeClass handler.
pub(crate) const RUNTIME: &str = "sampan";
/// containerd's name of the shim.
const RUNTIME_TYPE: &str = "io.containerd.sampan.v1";
/// First and last line of what is ours in a file of others.
const BEGIN: &str = "# BEGIN sampan (written by sampan-node-installer, which also removes it)\n";
const END: &str = "# END sampan\n";
/// Behind a line of ours in a file of others.
const OURS: &str = " # sampan";
/// How a template of k3s or RKE2 takes in what they would write themselves.
const BASE: &str = "{{ template \"base\" . }}\n";

/// Why a configuration is left alone.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// containerd could not read it either.
    #[error("it is not TOML")]
    Toml(#[source] Box<toml::de::Error>),
    /// Of a version that has no place for us.
    #[error("it has version {0}, and versions 2, 3 and 4 are understood")]
    Version(i64),
    /// Somebody else's entry.
    #[error("it has a runtime of the name {RUNTIME:?} that is not ours")]
    Taken,
}

/// What is read of a configuration.
#[derive(Debug, Deserialize)]
struct Head {
    #[serde(default)]
    version: Option<i64>,
    #[serde(default)]
    imports: Option<Spanned<Vec<String>>>,
}

/// The entry of our runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Of the configuration that it goes into.
    pub(crate) version: i64,
    /// The shim, as a path of the node.
    pub(crate) shim: String,
}

impl Entry {
    /// Our own file.
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

/// The plugin that has the runtimes of the kubelet's pods.
pub(crate) fn plugin(version: i64) -> &'static str {
    if version == 2 {
        "io.containerd.grpc.v1.cri"
    } else {
        "io.containerd.cri.v1.runtime"
    }
}

/// The version of a configuration. A file without one is of the first version, but an empty one is of any.
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

/// The main file with our own file among its imports. The same text if it is imported already.
pub(crate) fn with_import(text: &str, drop_in: &Path, version: i64) -> Result<String, ConfigError> {
    let text = &without_ours(text)?;
    let head = head(text)?;
    let drop_in = drop_in.display().to_string();
    let Some(imports) = head.imports else {
        let line = format!("imports = ['{drop_in}']{OURS}\n");
        // Only before the first table is it a key of the whole file.
        let own_version = match head.version {
            Some(_) => String::new(),
            None => format!("version = {version}{OURS}\n"),
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

/// The main file with our block at its end.
pub(crate) fn with_block(text: &str, entry: &Entry) -> Result<String, ConfigError> {
    let text = without_ours(text)?;
    if taken(&text, entry.version) {
        return Err(ConfigError::Taken);
    }
    let version = match head(&text)?.version {
        Some(_) => String::new(),
        None => format!("version = {}{OURS}\n", entry.version),
    };
    Ok(format!(
        "{version}{}{BEGIN}{}{END}",
        closed(&text),
        entry.table()
    ))
}

/// A template of k3s or RKE2 with our block at its end.
pub(crate) fn template_with_block(text: Option<&str>, entry: &Entry) -> String {
    let text = without_block(text.unwrap_or(BASE));
    format!("{}{BEGIN}{}{END}", closed(&text), entry.table())
}

/// A template without our block; nothing if all of it was ours.
pub(crate) fn template_without_ours(text: &str) -> Option<String> {
    let rest = without_block(text);
    (rest != BASE || !text.contains(BEGIN)).then_some(rest)
}

/// The main file as it was before us.
pub(crate) fn without_ours(text: &str) -> Result<String, ConfigError> {
    let mut text: String = without_block(text)
        .split_inclusive('\n')
        .filter(|line| !line.trim_end().ends_with(OURS))
        .collect();
    if let Some(imports) = head(&text)?.imports {
        let kept: Vec<String> = imports
            .get_ref()
            .iter()
            .filter(|path| !is_ours(path))
            .cloned()
            .collect();
        if kept.len() < imports.get_ref().len() {
            text = replaced(&text, imports.span(), &array(&kept));
        }
    }
    Ok(text)
}

/// Whether a configuration has a runtime of our name, whoever wrote it.
fn taken(text: &str, version: i64) -> bool {
    let Ok(table) = text.parse::<toml::Table>() else {
        return false;
    };
    crate::dump::runtimes(&table, plugin(version)).is_some_and(|all| all.contains_key(RUNTIME))
}

/// Our own file is known by its name: no other product's file is called like this.
fn is_ours(path: &str) -> bool {
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

/// A text whose last line is ended.
fn closed(text: &str) -> String {
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

/// Whether a pattern of the imports (`*` stands for anything but a slash) covers a path.
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
