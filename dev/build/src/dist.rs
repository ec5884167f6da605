//! `cargo xtask dist`: makes the release artifacts in the folder `dist` of the target folder.
//!
//! They are the programs without symbols, images of them, and the chart. No container engine takes
//! part, and the same build gives the same bytes. The folder appears only when everything is in it.

mod chart;
mod images;
mod programs;
mod sums;

use std::fs;
use std::path::{self, Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;
use sampan_checkout::build::{self, Selection};
use sampan_checkout::repository::Repository;

/// The options of `cargo xtask dist`.
#[derive(Debug, Args)]
pub struct Dist {
    /// The prefix of the images' names: a registry and a folder in it
    #[arg(long, value_name = "PREFIX", default_value = "localhost/sampan")]
    pub prefix: String,
    /// Leave the chart out, which needs helm: in the folder that `SAMPAN_TOOLS` names, or in PATH
    #[arg(long)]
    pub without_chart: bool,
    /// Take the programs of a checkout as they are built, instead of building optimised ones
    #[arg(long)]
    pub no_build: bool,
    /// The folder to write to; default: `dist` in the target folder
    #[arg(long, value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
}

/// An image of a cluster's own workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterImage {
    /// That of the operator.
    Operator,
    /// That of pools.
    Pool,
}

impl ClusterImage {
    /// The image's name, without a registry.
    pub fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Pool => "pool",
        }
    }

    /// The program that it runs.
    pub fn program(self) -> &'static str {
        match self {
            Self::Operator => "sampan-operator",
            Self::Pool => "sampan-pool",
        }
    }
}

/// Makes only one image, in a folder of its own, from programs that are built.
pub fn image(
    repository: &Repository,
    which: ClusterImage,
    folder: &Path,
    archive: &Path,
    reference: &str,
) -> Result<()> {
    remove(folder)?;
    let programs = programs::strip(repository, &folder.join("bin"))?;
    let version = version(repository)?;
    let image = match which {
        ClusterImage::Operator => images::operator(&programs)?,
        ClusterImage::Pool => images::pool(&programs)?,
    };
    image.write(folder, reference, &version)?;
    let packed = folder.join(image.archive_name(&version));
    fs::rename(&packed, archive).with_context(|| format!("failed to move {}", packed.display()))
}

/// Builds everything and prints where it is.
pub fn run(repository: &Repository, arguments: &Dist) -> Result<ExitCode> {
    let shipped = repository.shipped();
    let repository = if arguments.no_build {
        repository
    } else {
        build::build_programs(&shipped, Selection::Workspace)?;
        &shipped
    };
    let folder = make(repository, arguments)?;
    println!("{}", folder.display());
    Ok(ExitCode::SUCCESS)
}

/// Makes the folder from programs that are built.
pub fn make(repository: &Repository, arguments: &Dist) -> Result<PathBuf> {
    let folder = match &arguments.folder {
        Some(folder) => path::absolute(folder).context("failed to find the current folder")?,
        None => repository.target().join("dist"),
    };
    let unfinished = folder.with_extension("unfinished");
    for old in [&unfinished, &folder] {
        remove(old)?;
    }
    fs::create_dir_all(&unfinished)
        .with_context(|| format!("failed to make {}", unfinished.display()))?;
    let version = version(repository)?;
    let programs = programs::strip(repository, &unfinished.join("bin"))?;
    let prefix = arguments.prefix.trim_end_matches('/');
    for image in images::all(&programs)? {
        let reference = format!("{prefix}/{}:{version}", image.name);
        image.write(&unfinished, &reference, &version)?;
        eprintln!("  {reference}");
    }
    if arguments.without_chart {
        eprintln!("  the chart is left out");
    } else {
        chart::package(repository, &unfinished, &version, prefix)?;
        eprintln!("  the chart, with these images");
    }
    sums::write(&unfinished)?;
    fs::rename(&unfinished, &folder)
        .with_context(|| format!("failed to move everything to {}", folder.display()))?;
    Ok(folder)
}

/// The version of all packages of the workspace.
fn version(repository: &Repository) -> Result<String> {
    let file = repository.root().join("Cargo.toml");
    let text =
        fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))?;
    let manifest: toml::Table = toml::from_str(&text).context("failed to read Cargo.toml")?;
    let version = manifest["workspace"]["package"]["version"].as_str();
    Ok(version
        .context("Cargo.toml has no workspace.package.version")?
        .to_owned())
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("failed to remove {}", folder.display()))?;
    }
    Ok(())
}
