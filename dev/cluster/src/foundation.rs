//! Prepares what the cluster's processes need: programs, control groups and networks.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sampan_checkout::repository::Repository;

use super::control_groups::{self, ControlGroups};
use super::layout::{Layout, Node};
use super::network;
use super::processes::Processes;
use super::sysctls;
use super::tools::Program;

/// The file name of the shim, by containerd's rule for its runtime type.
const SHIM: &str = "containerd-shim-sampan-v1";

/// Makes all of it, before any process of the cluster starts.
pub(crate) fn make(
    repository: &Repository,
    layout: &Layout,
    nodes: &[Node],
    programs: &[Program],
) -> Result<Processes> {
    sysctls::save(layout)?;
    for folder in [layout.programs(), layout.plugins()] {
        fs::create_dir_all(&folder)
            .with_context(|| format!("failed to make {}", folder.display()))?;
    }
    for program in programs {
        let folder = if program.is_plugin {
            layout.plugins()
        } else {
            layout.programs()
        };
        link(&program.file, &folder.join(program.name))?;
    }
    copy_shim(repository, layout)?;
    let groups = ControlGroups::find()?;
    let own = control_groups::of_programs(layout);
    groups.make(&own)?;
    for node in nodes {
        groups.make(&node.control_group())?;
    }
    network::make(layout, nodes)?;
    Ok(Processes::new(layout, groups.entrances(&own)))
}

/// A folder with all programs of a cluster, for tests and benchmarks that start some without a
/// cluster.
pub(super) fn tools(repository: &Repository, programs: &[Program]) -> Result<PathBuf> {
    let folder = repository.target().join("tools");
    fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
    for program in programs.iter().filter(|program| !program.is_plugin) {
        link(&program.file, &folder.join(program.name))?;
    }
    Ok(folder)
}

fn link(file: &Path, link: &Path) -> Result<()> {
    if fs::read_link(link).is_ok_and(|is| is == file) {
        return Ok(());
    }
    let unfinished = link.with_extension("new");
    let make = || {
        if unfinished.is_symlink() {
            fs::remove_file(&unfinished)?;
        }
        std::os::unix::fs::symlink(file, &unfinished)?;
        fs::rename(&unfinished, link)
    };
    make().with_context(|| format!("failed to make {}", link.display()))
}

/// Copies the shim that was built last. Running pods keep theirs.
fn copy_shim(repository: &Repository, layout: &Layout) -> Result<()> {
    let (built, shim) = (repository.program(SHIM), layout.program(SHIM));
    if !built.exists() {
        return Ok(());
    }
    let unfinished = shim.with_extension("new");
    fs::copy(&built, &unfinished)
        .and_then(|_| fs::rename(&unfinished, &shim))
        .with_context(|| format!("failed to copy {}", built.display()))
}
