//! Which functions there are below the paths that were given.
//!
//! A folder with a `function.yaml` is one function. Any other folder is a folder of functions: its
//! bare .wasm files, and its subfolders with a `function.yaml`. Nothing is looked for deeper, so that
//! `sampan up` in a home folder or above a build's output neither wanders about nor serves by accident.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::source::{FUNCTION_FILE, Origin};

/// The most entries of a folder of functions.
const MOST_ENTRIES: usize = 10_000;

/// A path that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    /// A function's folder, or a folder of functions; which one may change while it is watched.
    Folder(PathBuf),
    /// A function, also while its file is missing.
    File(Origin),
}

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The functions.
    pub(crate) origins: BTreeSet<Origin>,
    /// Folders in which functions may appear.
    pub(crate) folders: BTreeSet<PathBuf>,
}

impl Root {
    /// Tells folders from files.
    pub(crate) fn of(path: &Path) -> Result<Self, Failure> {
        let metadata = fs::metadata(path).map_err(|error| Failure::read(path, &error))?;
        Ok(if metadata.is_dir() {
            Self::Folder(path.to_owned())
        } else {
            Self::File(Origin::of_file(path.to_owned()))
        })
    }
}

/// Looks for functions below `roots`.
pub(crate) fn discover(roots: &[Root]) -> Result<Found, Failure> {
    let mut found = Found::default();
    for root in roots {
        match root {
            Root::Folder(folder) => look_into(folder, &mut found)?,
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

fn look_into(folder: &Path, found: &mut Found) -> Result<(), Failure> {
    found.folders.insert(folder.to_owned());
    let own = within(folder, OsStr::new(FUNCTION_FILE));
    if is_file(&own) {
        found.origins.insert(Origin::Described(own));
        return Ok(());
    }
    let failed = |error| Failure::read(folder, &error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        // It was there at the start and may be again.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    for (number, entry) in entries.enumerate() {
        if number >= MOST_ENTRIES {
            return Err(Failure::new(
                Exit::Usage,
                format!("{} has more than {MOST_ENTRIES} entries", folder.display()),
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
            // What may not be entered by this user holds no function for this user.
            if fs::read_dir(&path).is_ok() {
                found.folders.insert(path);
            }
        } else if is_wasm(&name) {
            found.origins.insert(Origin::Bare(path));
        }
    }
    Ok(())
}

/// The path of an entry, without a `./` that nobody wrote.
fn within(folder: &Path, name: &OsStr) -> PathBuf {
    if folder == Path::new(".") {
        PathBuf::from(name)
    } else {
        folder.join(name)
    }
}

/// Whether there is something to read: a link that leads nowhere is not.
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

/// Each file once, though it was found by several paths.
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
    fn what_is_found_twice_is_one_function() {
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
