//! The fields of a bundle's `config.json` that the supervisor needs. It reads them once for a container, and so do `start`
//! and `delete`, which are processes of their own.
//!
//! The child reads the whole file itself: it needs nearly all fields, most of which the supervisor skips. The file is in
//! the page cache by then; its text in the request would be escaped, sent, received and parsed twice. A child that adds a
//! program reads the seccomp profile alone.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::cgroup::Resources;
use crate::error::{Result, ShimError};

/// CRI's annotation with the kind: `sandbox` or `container`.
const CONTAINER_TYPE: &str = "io.kubernetes.cri.container-type";

/// CRI's annotation with the sandbox of a container.
const SANDBOX_ID: &str = "io.kubernetes.cri.sandbox-id";

/// A bundle's configuration, as far as the supervisor needs it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct BundleConfig {
    pub(crate) hostname: Option<String>,
    annotations: HashMap<String, String>,
    linux: Linux,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Linux {
    namespaces: Vec<Namespace>,
    cgroups_path: Option<PathBuf>,
    sysctl: HashMap<String, String>,
    resources: Option<Resources>,
}

/// The control group that a bundle asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupConfig {
    pub(crate) path: Option<PathBuf>,
    pub(crate) resources: Resources,
}

/// A namespace of a sandbox.
#[derive(Debug, Deserialize)]
struct Namespace {
    #[serde(rename = "type")]
    kind: String,
    path: Option<PathBuf>,
}

impl BundleConfig {
    /// Reads it from a bundle.
    pub(crate) fn read(bundle: &Path) -> Result<Self> {
        let path = bundle.join("config.json");
        let bytes = std::fs::read(&path)
            .map_err(ShimError::system(format!("reading {}", path.display())))?;
        serde_json::from_slice(&bytes)
            .map_err(|error| ShimError::Invalid(format!("{}: {error}", path.display())))
    }

    /// Whether the bundle is a pod's sandbox.
    pub(crate) fn is_sandbox(&self) -> bool {
        self.annotations
            .get(CONTAINER_TYPE)
            .is_some_and(|kind| kind == "sandbox")
    }

    /// The sandbox of the pod that it belongs to, if it is a pod's.
    pub(crate) fn sandbox(&self) -> Option<&str> {
        self.annotations.get(SANDBOX_ID).map(String::as_str)
    }

    /// Whether there is a namespace of this kind, and where, if it is an existing one.
    #[expect(
        clippy::option_option,
        reason = "a namespace that is asked for is a new one or an existing one"
    )]
    pub(crate) fn namespace(&self, kind: &str) -> Option<Option<&Path>> {
        let mut namespaces = self.linux.namespaces.iter();
        namespaces
            .find(|namespace| namespace.kind == kind)
            .map(|namespace| {
                namespace
                    .path
                    .as_deref()
                    .filter(|path| !path.as_os_str().is_empty())
            })
    }

    /// Kernel parameters that are asked for.
    pub(crate) fn sysctl(&self) -> &HashMap<String, String> {
        &self.linux.sysctl
    }

    /// The control group that was asked for, with its limits.
    pub(crate) fn group(&self) -> GroupConfig {
        GroupConfig {
            path: self.linux.cgroups_path.clone(),
            resources: self.linux.resources.clone().unwrap_or_default(),
        }
    }

    /// Where that control group is.
    pub(crate) fn cgroups_path(&self) -> Option<&Path> {
        self.linux.cgroups_path.as_deref()
    }
}
