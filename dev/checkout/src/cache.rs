//! Keeps expensive build results in the user's cache, shared by all checkouts.
//!
//! The key of an entry is a hash of everything that decides its content.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::repository::caches;

/// Fills a folder unless it exists. The folder appears as a whole; concurrent builders wait.
pub fn build_once(
    cache: &Path,
    name: &str,
    folder: &Path,
    about: &str,
    fill: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let lock = cache.join(format!("{name}.lock"));
    let lock =
        File::create(&lock).with_context(|| format!("failed to write {}", lock.display()))?;
    if lock.try_lock().is_err() {
        eprintln!("  {name:<15} is being built by another process; waiting");
        lock.lock().context("failed to wait for another build")?;
    }
    if folder.is_dir() {
        return Ok(());
    }
    eprintln!("  {name:<15} is built once, which takes {about} on two cores");
    let begun = Instant::now();
    let unfinished = folder.with_extension("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    fs::create_dir(&unfinished)?;
    fill(&unfinished).with_context(|| format!("failed to build {name}"))?;
    fs::rename(&unfinished, folder)?;
    eprintln!("  {name:<15} {:.0} s", begun.elapsed().as_secs_f64());
    Ok(())
}

/// The first eight bytes of the SHA-256, as hexadecimal digits.
pub fn content_key(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hex::encode(&hash[..8])
}

/// The folder of built tools. It is outside of the checkout and of cargo's target folder, because
/// its content takes a quarter of an hour to build.
pub fn cache() -> Result<PathBuf> {
    let caches = caches(env::var_os)
        .context("failed to find the cache folder: set XDG_CACHE_HOME or HOME")?;
    Ok(caches.join("sampan/tools"))
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn a_failed_build_is_repeated_and_a_finished_one_is_not() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join("program-1");
        let build = |fill: &dyn Fn(&Path) -> Result<()>| {
            build_once(cache.path(), "program", &folder, "a moment", fill)
        };
        build(&|folder| {
            fs::write(folder.join("half"), "")?;
            bail!("it broke")
        })
        .unwrap_err();
        assert!(!folder.exists());
        build(&|folder| Ok(fs::write(folder.join("program"), "")?)).unwrap();
        build(&|_| bail!("it was built already")).unwrap();
        assert!(folder.join("program").exists());
        assert!(!folder.join("half").exists());
    }
}
