//! Starts critest for one runtime on one node.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use sampan_checkout::cargo::shown;

use super::Part;
use crate::layout::{Layout, Node};
use crate::network;

/// The specs of the short part, by expressions that each match one or a few.
const SHORT: [&str; 12] = [
    "runtime should support PodPID",
    "runtime should support ContainerPID",
    "runtime should support HostNetwork is (true|false)",
    "runtime should support HostIpc is (true|false)",
    "runtime should support set hostname",
    "should support network",
    "should support container (log|exec)",
    "runtime should support starting container",
    "runtime should support removing running container",
    "runtime should support execSync with timeout",
    "should not block sethostname with empty seccomp profile",
    "should block sethostname with localhost seccomp profile",
];

/// Runs critest to its end, with its report in a file. A failed spec is not an error of this
/// function.
pub(super) fn run(
    layout: &Layout,
    node: &Node,
    handler: &str,
    part: Part,
    report: &Path,
) -> Result<()> {
    let folder = |name: &str| node.state().join(name);
    let (temporary, working) = (folder("tmp"), folder("critest"));
    let log = report.with_extension("log");
    for folder in [&temporary, &working] {
        fs::create_dir_all(folder)
            .with_context(|| format!("failed to make {}", folder.display()))?;
    }
    // A report of an earlier run must not be taken for this run's.
    if report.exists() {
        fs::remove_file(report)
            .with_context(|| format!("failed to remove {}", report.display()))?;
    }
    let file = File::create(&log).with_context(|| format!("failed to write {}", log.display()))?;
    let endpoint = format!("unix://{}", node.containerd_socket().display());
    let mut command = network::inside_of(node);
    command
        .arg(layout.program("critest"))
        .arg(format!("-runtime-endpoint={endpoint}"))
        .arg(format!("-image-endpoint={endpoint}"))
        .arg(format!("-runtime-handler={handler}"))
        .arg(format!("-ginkgo.json-report={}", report.display()))
        .args(["-ginkgo.no-color", "-ginkgo.timeout=30m"])
        // A container that ends by itself while it is removed counts as running for a moment after
        // containerd has deleted its task. The removal then fails, with any runtime.
        .arg("-ginkgo.flake-attempts=2")
        .current_dir(&working)
        .env("TMPDIR", &temporary)
        .stdin(Stdio::null())
        .stdout(file.try_clone().context("failed to share a file")?)
        .stderr(file);
    if part == Part::Short {
        command.arg(format!("-ginkgo.focus={}", SHORT.join("|")));
    }
    let status = command.status();
    let status = status.with_context(|| format!("failed to start {}", shown(&command)))?;
    if !report.exists() {
        bail!(
            "critest for {handler} ended with {status} and without a report; see {}",
            log.display()
        );
    }
    Ok(())
}
