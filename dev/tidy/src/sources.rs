//! Reads the files of the repository: all that git tracks, and untracked files that it does not
//! ignore.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// All files, by their paths from the root. A file that is not valid UTF-8 has no text.
#[derive(Debug, Default)]
pub(super) struct Sources {
    files: BTreeMap<PathBuf, Option<String>>,
}

impl Sources {
    pub(super) fn read(root: &Path) -> Result<Sources> {
        let mut command = Command::new("git");
        command.current_dir(root);
        command.args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]);
        let output = command.output().context("failed to start git")?;
        if !output.status.success() {
            bail!(
                "git ls-files failed: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        let names = output
            .stdout
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty());
        let mut files = BTreeMap::new();
        for name in names {
            let path = PathBuf::from(String::from_utf8_lossy(name).into_owned());
            match fs::read(root.join(&path)) {
                Ok(bytes) => files.insert(path, String::from_utf8(bytes).ok()),
                // A removed file that is still tracked, or a link to a folder.
                Err(error) if is_no_file(&error) => continue,
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("failed to read {}", path.display()));
                }
            };
        }
        Ok(Sources { files })
    }

    /// All files with their texts.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&Path, &str)> {
        let texts = self.files.iter();
        texts.filter_map(|(path, text)| Some((path.as_path(), text.as_deref()?)))
    }

    /// The files with an extension.
    pub(super) fn with_extension(&self, extension: &str) -> impl Iterator<Item = (&Path, &str)> {
        self.texts()
            .filter(move |(path, _)| path.extension().is_some_and(|is| is == extension))
    }

    /// The text of one file, if it exists and is UTF-8.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(Path::new(path))?.as_deref()
    }

    /// Whether the path is a file, or a folder with files.
    pub(super) fn has(&self, path: &Path) -> bool {
        let from = self.files.range(path.to_owned()..);
        from.map(|(file, _)| file)
            .next()
            .is_some_and(|file| file.starts_with(path))
    }

    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Sources {
        let files = files
            .iter()
            .map(|(path, text)| (path.into(), Some((*text).to_owned())));
        Sources {
            files: files.collect(),
        }
    }
}

fn is_no_file(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::IsADirectory
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_file_or_a_folder_with_files() {
        let sources = Sources::of(&[("docs/a.md", ""), ("docs-old/b.md", ""), ("x.md", "")]);
        let check = |path: &str, expected: bool| {
            assert_eq!(sources.has(Path::new(path)), expected, "{path}");
        };
        check("docs/a.md", true);
        check("docs", true);
        check("docs/b.md", false);
        check("doc", false);
        check("y.md", false);
    }
}
