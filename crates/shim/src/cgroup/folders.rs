//! The folders of a control group, in the one hierarchy of version 2 or in each of version 1.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::GroupError;
use super::group::Cgroup;
use super::mount::{Mount, mounts};
use super::settings::{Setting, write_value};
use super::version::ROOT;

/// Controllers that a threaded group cannot have.
const DOMAIN_CONTROLLERS: [&str; 4] = ["memory", "io", "cpu", "hugetlb"];

/// Folders that were made, from the outermost to the innermost of each hierarchy.
#[derive(Default)]
pub(super) struct Made(Vec<PathBuf>);

impl Made {
    /// Makes a folder unless it is there.
    fn folder(&mut self, folder: &Path) -> Result<(), GroupError> {
        match fs::create_dir(folder) {
            Ok(()) => self.0.push(folder.to_owned()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(GroupError::system("making", folder)(source)),
        }
        Ok(())
    }

    /// Removes them.
    pub(super) fn remove(self) {
        for folder in self.0.iter().rev() {
            if let Err(error) = fs::remove_dir(folder) {
                tracing::warn!(%error, folder = %folder.display(), "a control group is left");
            }
        }
    }
}

/// Makes a group of version 2 at a path relative to the root; `settings` are what it will be given.
pub(super) fn make_version2(
    path: &Path,
    settings: &[Setting],
    made: &mut Made,
) -> Result<Cgroup, GroupError> {
    let mut folder = PathBuf::from(ROOT);
    for name in path {
        folder.push(name);
        made.folder(&folder)?;
        check_type(&folder, settings)?;
    }
    enable_controllers(&folder)?;
    check_unused(&folder)?;
    Ok(Cgroup {
        folders: vec![folder],
        unified: true,
        unit: None,
    })
}

/// Makes the groups of version 1 at a path relative to the root of each hierarchy.
pub(super) fn make_version1(path: &Path, made: &mut Made) -> Result<Cgroup, GroupError> {
    let text = mounts().map_err(GroupError::system(
        "reading",
        Path::new("/proc/self/mountinfo"),
    ))?;
    let mut folders = Vec::new();
    for mount in text.lines().filter_map(Mount::of) {
        if mount.version2 || mount.has_a_name() {
            continue;
        }
        let mut folder = PathBuf::from(mount.point);
        if folders.contains(&folder.join(path)) {
            continue;
        }
        for name in path {
            folder.push(name);
            made.folder(&folder)?;
            if mount.is_of("cpuset") {
                inherit_cpuset(&folder)?;
            }
        }
        check_unused(&folder)?;
        folders.push(folder);
    }
    folders.sort();
    Ok(Cgroup {
        folders,
        unified: false,
        unit: None,
    })
}

/// Enables all controllers for a group of version 2, in all groups above it. A controller that cannot be enabled, in
/// a group that was delegated for example, is missed when a limit needs it.
pub(super) fn enable_controllers(folder: &Path) -> Result<(), GroupError> {
    let list = Path::new(ROOT).join("cgroup.controllers");
    let controllers = fs::read_to_string(&list).map_err(GroupError::system("reading", &list))?;
    let all: Vec<String> = controllers
        .split_whitespace()
        .map(|controller| format!("+{controller}"))
        .collect();
    let above = folder.ancestors().skip(1);
    let mut above: Vec<&Path> = above.take_while(|above| above.starts_with(ROOT)).collect();
    above.reverse();
    for group in above {
        let file = group.join("cgroup.subtree_control");
        if write_value(&file, &all.join(" ")).is_ok() {
            continue;
        }
        for controller in &all {
            if let Err(error) = write_value(&file, controller) {
                tracing::debug!(%error, file = %file.display(), controller, "not enabled");
            }
        }
    }
    Ok(())
}

/// A group below one that has processes is of a kind that takes few limits.
fn check_type(folder: &Path, settings: &[Setting]) -> Result<(), GroupError> {
    let path = folder.join("cgroup.type");
    let kind = fs::read_to_string(&path).map_err(GroupError::system("reading", &path))?;
    let kind = kind.trim();
    if kind == "domain" {
        return Ok(());
    }
    let mut controllers = settings.iter().map(Setting::controller);
    if controllers.any(|controller| DOMAIN_CONTROLLERS.contains(&controller)) {
        return Err(GroupError::NoDomain {
            path: folder.to_owned(),
            kind: kind.to_owned(),
        });
    }
    if kind == "domain invalid" {
        return write_value(&path, "threaded").map_err(GroupError::system("writing", &path));
    }
    Ok(())
}

/// A new group of the cpuset controller has no processors, and then takes no process.
fn inherit_cpuset(folder: &Path) -> Result<(), GroupError> {
    let read = |path: &Path| fs::read_to_string(path).map_err(GroupError::system("reading", path));
    let Some(above) = folder.parent() else {
        return Ok(());
    };
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let own = folder.join(file);
        if read(&own)?.trim().is_empty() {
            let value = read(&above.join(file))?;
            write_value(&own, value.trim()).map_err(GroupError::system("writing", &own))?;
        }
    }
    Ok(())
}

fn check_unused(folder: &Path) -> Result<(), GroupError> {
    let path = folder.join("cgroup.procs");
    let processes = fs::read(&path).map_err(GroupError::system("reading", &path))?;
    if processes.is_empty() {
        return Ok(());
    }
    Err(GroupError::InUse {
        path: folder.to_owned(),
    })
}
