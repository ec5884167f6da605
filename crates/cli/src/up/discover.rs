//! Finds the functions below the given paths.
//!
//! A folder with a `function.yaml` is one function. Any other folder contains functions: its bare
//! .wasm files, and its subfolders with a `function.yaml`. Deeper folders are not searched, so that
//! `sampan up` in a home folder or above a build's output neither takes long nor serves files by
//! accident.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::source::{FUNCTION_FILE, Origin};

/// The most entries of a folder of functions.
const MAX_ENTRIES: usize = 10_000;

/// A given path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    /// A function's folder, or a folder of functions; it may become the other while it is watched.
    Folder(PathBuf),
    /// A function's file, which may be missing for a while.
    File(Origin),
}

/// The functions below the given paths.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Discovered {
    /// The functions.
    pub(crate) origins: BTreeSet<Origin>,
    /// Folders in which functions may appear.
    pub(crate) folders: BTreeSet<PathBuf>,
}

impl Root {
    /// Classifies a path as a folder or a file.
    pub(crate) fn of(path: &Path) -> Result<Self, Failure> {
        let metadata = fs::metadata(path).map_err(|error| Failure::read(path, &error))?;
        Ok(if metadata.is_dir() {
            Self::Folder(path.to_owned())
        } else {
            Self::File(Origin::of_file(path.to_owned()))
        })
    }
}

/// Finds the functions below `roots`.
pub(crate) fn discover(roots: &[Root]) -> Result<Discovered, Failure> {
    let mut found = Discovered::default();
    for root in roots {
        match root {
            Root::Folder(folder) => scan_folder(folder, &mut found)?,
            Root::File(origin) => {
                found.origins.insert(origin.clone());
            }
        }
    }
    if roots.len() > 1 {
        found.origins = without_repetitions(found.origins);
    }
    Ok(found)
}

fn scan_folder(folder: &Path, found: &mut Discovered) -> Result<(), Failure> {
    found.folders.insert(folder.to_owned());
    let own = within(folder, OsStr::new(FUNCTION_FILE));
    if is_file(&own) {
        found.origins.insert(Origin::Described(own));
        return Ok(());
    }
    let failed = |error| Failure::read(folder, &error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        // It existed at the start and may exist again.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    for (number, entry) in entries.enumerate() {
        if number >= MAX_ENTRIES {
            return Err(Failure::new(
                Exit::Usage,
                format!("{} has more than {MAX_ENTRIES} entries", folder.display()),
                "name the folders or files of the functions that are meant",
            ));
        }
        let name = entry.map_err(failed)?.file_name();
        if is_hidden(&name) {
            continue;
        }
        let path = within(folder, &name);
        if path.is_dir() {
            let own = path.join(FUNCTION_FILE);
            if is_file(&own) {
                found.origins.insert(Origin::Described(own));
            }
            // A folder that this user may not enter has no functions for this user.
            if fs::read_dir(&path).is_ok() {
                found.folders.insert(path);
            }
        } else if is_wasm(&name) {
            found.origins.insert(Origin::Bare(path));
        }
    }
    Ok(())
}

/// The path of an entry, without a `./` that was not given.
fn within(folder: &Path, name: &OsStr) -> PathBuf {
    if folder == Path::new(".") {
        PathBuf::from(name)
    } else {
        folder.join(name)
    }
}

/// Whether the path is a file or a link to one.
fn is_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| !metadata.is_dir())
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

fn is_wasm(name: &OsStr) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|extension| extension == "wasm")
}

/// Removes files that were found by several paths.
fn without_repetitions(origins: BTreeSet<Origin>) -> BTreeSet<Origin> {
    let mut by_place = BTreeMap::new();
    for origin in origins {
        let place = fs::canonicalize(origin.path()).unwrap_or_else(|_| origin.path().to_owned());
        by_place.entry(place).or_insert(origin);
    }
    by_place.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[&str], roots: &[&str], expected: &[&str], folders: &[&str]) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let base = folder.path();
        for file in files {
            let path = base.join(file);
            if file.ends_with('/') {
                fs::create_dir_all(&path).expect("a folder");
                continue;
            }
            fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("a folder");
            fs::write(&path, "").expect("a file");
        }
        let roots: Vec<Root> = roots
            .iter()
            .map(|root| Root::of(&base.join(root)).expect("the root is there"))
            .collect();
        let found = discover(&roots).expect("everything can be read");
        let relative = |path: &Path| {
            let path = path.strip_prefix(base).expect("it lies below the base");
            path.to_str().expect("the test's paths are text").to_owned()
        };
        let origins: Vec<String> = found
            .origins
            .iter()
            .map(|origin| relative(origin.path()))
            .collect();
        assert_eq!(origins, expected, "{files:?}");
        let watched: Vec<String> = found.folders.iter().map(|path| relative(path)).collect();
        assert_eq!(watched, folders, "{files:?}");
    }

    #[test]
    fn a_folder_with_a_description_is_one_function() {
        check(
            &["function.yaml", "a.wasm", "b/function.yaml"],
            &[""],
            &["function.yaml"],
            &[""],
        );
    }

    #[test]
    fn any_other_folder_holds_functions_one_level_deep() {
        check(
            &[
                "aes/function.yaml",
                "aes/aes.wasm",
                "hello.wasm",
                "notes.txt",
                ".hidden.wasm",
                ".git/function.yaml",
                "deep/er/function.yaml",
                "empty/",
                "odd.wasm/",
            ],
            &[""],
            &["aes/function.yaml", "hello.wasm"],
            &["", "aes", "deep", "empty", "odd.wasm"],
        );
        check(&[], &[""], &[], &[""]);
    }

    #[test]
    fn files_are_taken_as_they_are_given() {
        check(
            &["a/function.yaml", "b/other.yml", "c.wasm", "d"],
            &["a/function.yaml", "b/other.yml", "c.wasm", "d"],
            &["a/function.yaml", "b/other.yml", "c.wasm", "d"],
            &[],
        );
    }

    #[test]
    fn a_file_found_twice_is_one_function() {
        check(
            &["a/function.yaml", "b.wasm"],
            &["", "a", "a/../b.wasm", "b.wasm"],
            &["a/function.yaml", "a/../b.wasm"],
            &["", "a"],
        );
    }

    #[test]
    fn a_path_that_is_not_there_is_named() {
        let failure = Root::of(Path::new("no/such/folder")).expect_err("it is not there");
        assert_eq!(failure.exit, Exit::Missing);
        assert!(failure.message.contains("no/such/folder"), "{failure:?}");
    }
}
