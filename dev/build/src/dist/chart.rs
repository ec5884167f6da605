//! Packages the chart with helm.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};
use sampan_checkout::repository::Repository;

/// The variable with the folder of built tools.
const TOOLS: &str = "SAMPAN_TOOLS";

/// Packages the chart with the version of the programs, and with the images as its defaults.
pub(super) fn package(
    repository: &Repository,
    folder: &Path,
    version: &str,
    prefix: &str,
) -> Result<()> {
    let helm = helm()?;
    let source = repository.root().join("deploy/chart/sampan");
    let staged = folder.join("chart");
    copy(&source, &staged.join("sampan"))?;
    let values = staged.join("sampan/values.yaml");
    let text = fs::read_to_string(&values)
        .with_context(|| format!("failed to read {}", values.display()))?;
    let text = with_images(&text, prefix, version)?;
    fs::write(&values, text).with_context(|| format!("failed to write {}", values.display()))?;
    reset_times(&staged)?;
    let status = Command::new(&helm)
        .arg("package")
        .arg(staged.join("sampan"))
        .args(["--version", version, "--app-version", version])
        .arg("--destination")
        .arg(folder)
        .stdout(Stdio::null())
        .status()
        .with_context(|| format!("failed to run {}", helm.display()))?;
    if !status.success() {
        bail!("helm failed to package the chart");
    }
    fs::remove_dir_all(&staged).context("failed to remove the copy of the chart")
}

/// The values with the built images in place of the three empty ones.
fn with_images(values: &str, prefix: &str, version: &str) -> Result<String> {
    let empty = "\n  image: \"\"\n";
    let mut text = values.to_owned();
    for name in ["operator", "pool", "node-installer"] {
        if !text.contains(empty) {
            bail!("values.yaml of the chart has no empty image for the {name}");
        }
        text = text.replacen(empty, &format!("\n  image: {prefix}/{name}:{version}\n"), 1);
    }
    Ok(text)
}

fn helm() -> Result<PathBuf> {
    let named = env::var_os(TOOLS).map(|folder| PathBuf::from(folder).join("helm"));
    let path = env::var_os("PATH").unwrap_or_default();
    let in_path = env::split_paths(&path).map(|folder| folder.join("helm"));
    let found = named.into_iter().chain(in_path).find(|file| file.is_file());
    found.with_context(|| {
        format!("helm is neither in the folder that {TOOLS} names nor in PATH; `--without-chart` leaves the chart out")
    })
}

/// Sets one time on all files, because helm writes it into the package: the first that every
/// archive format can hold.
fn reset_times(folder: &Path) -> Result<()> {
    let failed = || format!("failed to change the times of {}", folder.display());
    let time = SystemTime::UNIX_EPOCH + Duration::from_hours(87648);
    for entry in fs::read_dir(folder).with_context(failed)? {
        let path = entry.with_context(failed)?.path();
        if path.is_dir() {
            reset_times(&path)?;
        } else {
            File::options()
                .append(true)
                .open(&path)
                .and_then(|file| file.set_modified(time))
                .with_context(|| format!("failed to change the time of {}", path.display()))?;
        }
    }
    Ok(())
}

/// Copies a folder, with files in place of links.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let failed = || format!("failed to copy {}", from.display());
    fs::create_dir_all(to).with_context(failed)?;
    for entry in fs::read_dir(from).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to)?;
        } else {
            fs::copy(&from, &to).with_context(|| format!("failed to copy {}", from.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_of_the_chart_get_all_images() {
        let values = include_str!("../../../../deploy/chart/sampan/values.yaml");
        let text = with_images(values, "r.example/sampan", "1.2.3").unwrap();
        let images: Vec<_> = text
            .lines()
            .filter(|line| line.contains("  image: "))
            .collect();
        let expected = [
            "  image: r.example/sampan/operator:1.2.3",
            "  image: r.example/sampan/pool:1.2.3",
            "  image: r.example/sampan/node-installer:1.2.3",
        ];
        assert_eq!(images, expected);
        assert!(with_images("", "r", "1").is_err());
    }
}
