//! Installs Sampan on the cluster as a user does: its chart, by the real helm.
//!
//! The shim is not part of it: every node's containerd finds the shim beside its other programs.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use sampan_build::dist::{self, ClusterImage};
use sampan_checkout::cache::content_key;
use sampan_checkout::cargo::shown;
use sampan_checkout::repository::Repository;

use super::images;
use super::layout::{Layout, Node};
use super::state::SavedState;

/// The release, and its namespace.
const RELEASE: &str = "sampan";
const NAMESPACE: &str = "sampan-system";
/// How long helm waits for the resources to become ready.
const HELM_TIMEOUT: &str = "180s";

/// Imports the images of the operator and of pools into every node, and installs or upgrades the
/// chart.
pub(super) fn install(
    repository: &Repository,
    layout: &Layout,
    nodes: &[Node],
    resync: Option<&str>,
) -> Result<()> {
    let operator = provide(repository, layout, nodes, ClusterImage::Operator)?;
    let pool = provide(repository, layout, nodes, ClusterImage::Pool)?;
    let mut values = vec![
        format!("operator.image={operator}"),
        "operator.imagePullPolicy=Never".to_owned(),
        format!("operator.replicas={}", nodes.len().min(2)),
        format!("pool.image={pool}"),
        "pool.imagePullPolicy=Never".to_owned(),
        // The cluster's registry has no certificate. Pods reach it by this name only.
        format!(
            "pool.plainHttpRegistries={{{}}}",
            SavedState::registry_in_cluster(layout)
        ),
        "installer.enabled=false".to_owned(),
    ];
    values.extend(resync.map(|resync| format!("operator.resync={resync}")));
    upgrade(repository, layout, &values)
}

/// Makes an image and imports it into every node. Returns its name.
fn provide(
    repository: &Repository,
    layout: &Layout,
    nodes: &[Node],
    which: ClusterImage,
) -> Result<String> {
    let program = repository.program(which.program());
    let bytes =
        fs::read(&program).with_context(|| format!("failed to read {}", program.display()))?;
    // A changed program gets another image name, so that its pods are replaced.
    let image = format!("sampan.test/{}:{}", which.name(), content_key(&bytes));
    let folder = layout.state().join(which.name());
    let archive = folder.join("image.tar");
    let made = folder.join("made");
    if !fs::read_to_string(&made).is_ok_and(|made| made == image) {
        dist::image(repository, which, &folder, &archive, &image)?;
        fs::write(&made, &image).with_context(|| format!("failed to write {}", made.display()))?;
    }
    for node in nodes {
        import(layout, node, which, &archive, &image)?;
    }
    Ok(image)
}

/// Imports the image into a node, unless the node has it.
fn import(
    layout: &Layout,
    node: &Node,
    which: ClusterImage,
    archive: &Path,
    image: &str,
) -> Result<()> {
    let note = node.state().join(format!("{}-image", which.name()));
    if fs::read_to_string(&note).is_ok_and(|noted| noted == image) {
        return Ok(());
    }
    images::import(layout, node, archive)?;
    fs::write(&note, image).with_context(|| format!("failed to write {}", note.display()))
}

fn upgrade(repository: &Repository, layout: &Layout, values: &[String]) -> Result<()> {
    let chart = repository.root().join("deploy/chart/sampan");
    // helm's own files are removed with the cluster.
    let own = layout.state().join("helm");
    let mut helm = Command::new(layout.program("helm"));
    helm.args(["upgrade", "--install", RELEASE])
        .arg(&chart)
        .args(["--namespace", NAMESPACE, "--create-namespace"])
        .args(["--wait", "--timeout", HELM_TIMEOUT])
        .args(values.iter().map(|value| format!("--set={value}")))
        .env("KUBECONFIG", layout.kubeconfig())
        .env("HELM_CACHE_HOME", own.join("cache"))
        .env("HELM_CONFIG_HOME", own.join("config"))
        .env("HELM_DATA_HOME", own.join("data"))
        .stdin(Stdio::null());
    let output = helm
        .output()
        .with_context(|| format!("failed to start {}", shown(&helm)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "helm failed to install {}: {}",
            chart.display(),
            said.trim()
        );
    }
    Ok(())
}
