//! Finds the cache for fetched files: a folder of the user, outside of any checkout.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use thiserror::Error;

/// Why there is no such folder.
#[derive(Debug, Error)]
#[error("failed to find the cache folder: set SAMPAN_CACHE, XDG_CACHE_HOME or HOME")]
pub struct CacheError;

/// The folder: `$SAMPAN_CACHE`, or else `sampan` in the user's cache folder. It need not exist.
pub fn folder() -> Result<PathBuf, CacheError> {
    choose(|name| env::var_os(name))
}

fn choose(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, CacheError> {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    if let Some(folder) = set("SAMPAN_CACHE") {
        return Ok(PathBuf::from(folder));
    }
    if let Some(caches) = set("XDG_CACHE_HOME") {
        return Ok(PathBuf::from(caches).join("sampan"));
    }
    let home = set("HOME").ok_or(CacheError)?;
    Ok(PathBuf::from(home).join(".cache/sampan"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_variable_that_is_set_decides() {
        fn check(variables: &[(&str, &str)], expected: Option<&str>) {
            let folder = choose(|name| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| OsString::from(value))
            });
            assert_eq!(folder.ok(), expected.map(PathBuf::from), "{variables:?}");
        }
        check(&[("HOME", "/h")], Some("/h/.cache/sampan"));
        check(
            &[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")],
            Some("/x/sampan"),
        );
        check(
            &[("XDG_CACHE_HOME", "/x"), ("SAMPAN_CACHE", "/s")],
            Some("/s"),
        );
        check(
            &[("SAMPAN_CACHE", ""), ("HOME", "/h")],
            Some("/h/.cache/sampan"),
        );
        check(&[], None);
    }
}
