//! Writes `SHA256SUMS`: the hashes of all files, as `sha256sum --check` reads them.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

/// The file name of the list.
const NAME: &str = "SHA256SUMS";

/// Writes the list for the files of a folder and for its programs. Image layouts hold their own
/// hashes.
pub(super) fn write(folder: &Path) -> Result<()> {
    let mut lines = Vec::new();
    for inside in ["", "bin"] {
        let listed = folder.join(inside);
        let failed = || format!("failed to read {}", listed.display());
        for entry in fs::read_dir(&listed).with_context(failed)? {
            let path = entry.with_context(failed)?.path();
            if path.is_file() {
                let name = path.strip_prefix(folder)?.display().to_string();
                lines.push(format!("{}  {name}\n", hash(&path)?));
            }
        }
    }
    lines.sort_by(|one, other| one[64..].cmp(&other[64..]));
    fs::write(folder.join(NAME), lines.concat()).with_context(|| format!("failed to write {NAME}"))
}

fn hash(file: &Path) -> Result<String> {
    let mut hasher = Sha256::new();
    let mut source =
        File::open(file).with_context(|| format!("failed to read {}", file.display()))?;
    io::copy(&mut source, &mut hasher)
        .with_context(|| format!("failed to read {}", file.display()))?;
    Ok(hex::encode(hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_listed_with_its_hash() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        fs::write(folder.path().join("bin/b"), "").unwrap();
        fs::write(folder.path().join("a"), "").unwrap();
        write(folder.path()).unwrap();
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let text = fs::read_to_string(folder.path().join(NAME)).unwrap();
        assert_eq!(text, format!("{empty}  a\n{empty}  bin/b\n"));
    }
}
