//! What takes long to make and is the same for every checkout: kept in the user's cache, under a hash of all that
//! decides what comes out.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::hex;
use crate::repository::caches;

/// Fills a folder unless it is there. It appears as a whole; who builds it at the same time waits.
pub(crate) fn once(
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
        eprintln!("  {name:<15} is being built by somebody else; waiting");
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

/// Tells what is made of some bytes from what is made of others.
pub(crate) fn digits(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hex::digits(&hash[..8])
}

/// Outside of the checkout, and of cargo's target folder: this takes a quarter of an hour to build.
pub(crate) fn cache() -> Result<PathBuf> {
    let caches = caches(env::var_os)
        .context("there is no place for built programs: neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(caches.join("sampan/tools"))
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn what_fails_to_build_is_built_again_and_what_is_there_is_not() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join("program-1");
        let build = |fill: &dyn Fn(&Path) -> Result<()>| {
            once(cache.path(), "program", &folder, "a moment", fill)
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
