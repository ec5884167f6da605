//! The control group that a container's specification asks for: `linux.cgroupsPath`, parsed.
//!
//! The kubelet's cgroupfs driver writes a path, its systemd driver `SLICE:PREFIX:NAME`
//! ([runtime-spec, `cgroupsPath`](https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#cgroups-path)).

use std::path::{Component, Path, PathBuf};

use super::version::Version;

/// The parent of containers that name no control group.
const DEFAULT_PARENT: &str = "sampan";

/// The slice of a scope that names none, as runc has it.
const DEFAULT_SLICE: &str = "system.slice";

/// Where a container's control group is, and which program makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GroupPath {
    /// The shim makes the folder. The path is relative to the root of the hierarchies.
    Folder(PathBuf),
    /// systemd makes it, as a scope.
    Scope(Scope),
}

/// A scope of systemd's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    /// The slice that contains it, with its suffix.
    pub(crate) slice: String,
    /// The name of the unit, with its suffix.
    pub(crate) unit: String,
    /// The folder of the scope, relative to the root of the hierarchies.
    pub(crate) folder: PathBuf,
}

/// `linux.cgroupsPath` is unusable.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum PathError {
    /// The path is that of the root group, or leads out of it.
    #[error("cgroupsPath {0:?} names no group below the root of the hierarchy")]
    Root(PathBuf),
    /// A name that systemd does not accept as a slice.
    #[error("cgroupsPath: {0:?} is not the name of a systemd slice")]
    Slice(String),
    /// The last part is not the name of a scope.
    #[error("cgroupsPath: {0:?} cannot be the name of a systemd scope")]
    Unit(String),
}

impl GroupPath {
    /// Parses `asked`. Without one, the group is named after the container's `id`.
    ///
    /// On a node of version 1 the shim makes the folder of a scope itself, at the path that systemd would use.
    ///
    /// # Errors
    ///
    /// [`PathError`] when the path names no group that a container may have.
    pub(crate) fn parse(
        asked: Option<&Path>,
        id: &str,
        version: Version,
    ) -> Result<Self, PathError> {
        let Some(asked) = asked.filter(|path| !path.as_os_str().is_empty()) else {
            return folder(&Path::new(DEFAULT_PARENT).join(id)).map(Self::Folder);
        };
        let text = asked.to_string_lossy();
        let parts: Vec<&str> = text.split(':').collect();
        let &[slice, prefix, name] = parts.as_slice() else {
            return folder(asked).map(Self::Folder);
        };
        let scope = Scope::new(slice, prefix, name)?;
        Ok(match version {
            Version::V1 => Self::Folder(scope.folder),
            Version::V2 => Self::Scope(scope),
        })
    }

    /// The folder, relative to the root of the hierarchies.
    pub(crate) fn folder(&self) -> &Path {
        match self {
            Self::Folder(folder) => folder,
            Self::Scope(scope) => &scope.folder,
        }
    }
}

impl Scope {
    fn new(slice: &str, prefix: &str, name: &str) -> Result<Self, PathError> {
        let slice = if slice.is_empty() {
            DEFAULT_SLICE
        } else {
            slice
        };
        let unit = if prefix.is_empty() {
            format!("{name}.scope")
        } else {
            format!("{prefix}-{name}.scope")
        };
        let invalid = |byte: u8| !byte.is_ascii_alphanumeric() && !b":-_.\\@".contains(&byte);
        if name.is_empty() || name.strip_suffix(".slice").is_some() || unit.bytes().any(invalid) {
            return Err(PathError::Unit(name.to_owned()));
        }
        let folder = slice_folder(slice)?.join(&unit);
        Ok(Self {
            slice: slice.to_owned(),
            unit,
            folder,
        })
    }
}

/// A path without `.` and `..`, relative to the root.
fn folder(path: &Path) -> Result<PathBuf, PathError> {
    let mut folder = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => folder.push(name),
            Component::ParentDir => {
                if !folder.pop() {
                    return Err(PathError::Root(path.to_owned()));
                }
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    if folder.as_os_str().is_empty() {
        return Err(PathError::Root(path.to_owned()));
    }
    Ok(folder)
}

/// The folder of a slice: `a-b.slice` lies in `a.slice` (systemd.slice(5)).
fn slice_folder(slice: &str) -> Result<PathBuf, PathError> {
    let invalid = || PathError::Slice(slice.to_owned());
    let stem = slice.strip_suffix(".slice").ok_or_else(invalid)?;
    if stem == "-" {
        return Ok(PathBuf::new());
    }
    let mut path = PathBuf::new();
    let mut name = String::new();
    for part in stem.split('-') {
        if part.is_empty() || part.contains('/') {
            return Err(invalid());
        }
        if !name.is_empty() {
            name.push('-');
        }
        name.push_str(part);
        path.push(format!("{name}.slice"));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(asked: Option<&str>, version: Version) -> Result<GroupPath, PathError> {
        GroupPath::parse(asked.map(Path::new), "c", version)
    }

    #[test]
    fn a_path_is_below_the_root_of_the_hierarchies() {
        fn check(asked: Option<&str>, expected: &Result<&str, PathError>) {
            for version in [Version::V1, Version::V2] {
                let expected = expected.clone().map(|path| GroupPath::Folder(path.into()));
                assert_eq!(parse(asked, version), expected, "{asked:?}");
            }
        }
        let root = |path: &str| Err(PathError::Root(path.into()));
        check(None, &Ok("sampan/c"));
        check(Some(""), &Ok("sampan/c"));
        check(
            Some("/kubepods/besteffort/pod1/c"),
            &Ok("kubepods/besteffort/pod1/c"),
        );
        check(Some("relative/c"), &Ok("relative/c"));
        check(Some("/a/./b/../c"), &Ok("a/c"));
        check(Some("/"), &root("/"));
        check(Some("/a/.."), &root("/a/.."));
        check(Some("/a/../../b"), &root("/a/../../b"));
    }

    #[test]
    fn the_systemd_drivers_form_is_a_scope_in_a_slice() {
        fn check(asked: &str, slice: &str, unit: &str, folder: &str) {
            let scope = Scope {
                slice: slice.to_owned(),
                unit: unit.to_owned(),
                folder: folder.into(),
            };
            let version1 = GroupPath::Folder(folder.into());
            assert_eq!(parse(Some(asked), Version::V1), Ok(version1), "{asked}");
            assert_eq!(
                parse(Some(asked), Version::V2),
                Ok(GroupPath::Scope(scope)),
                "{asked}"
            );
        }
        check(
            "kubepods-besteffort-pod1_2.slice:cri-containerd:0af",
            "kubepods-besteffort-pod1_2.slice",
            "cri-containerd-0af.scope",
            "kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1_2.slice/cri-containerd-0af.scope",
        );
        check(
            ":p:c",
            "system.slice",
            "p-c.scope",
            "system.slice/p-c.scope",
        );
        check("a.slice::c", "a.slice", "c.scope", "a.slice/c.scope");
        check("-.slice:p:c", "-.slice", "p-c.scope", "p-c.scope");
    }

    #[test]
    fn what_systemd_would_refuse_is_refused_by_name() {
        fn check(asked: &str, expected: PathError) {
            assert_eq!(parse(Some(asked), Version::V2), Err(expected), "{asked}");
        }
        for slice in ["a", "a--b.slice", "-a.slice", "a/b.slice"] {
            check(&format!("{slice}:p:c"), PathError::Slice(slice.to_owned()));
        }
        for name in ["", "b.slice", "a/b", "a b"] {
            check(
                &format!("a.slice:p:{name}"),
                PathError::Unit(name.to_owned()),
            );
        }
    }
}
