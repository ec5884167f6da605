//! Gathers the header of the samples from git, the cluster and the machine: versions, limits and
//! hardware.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::jiff::{Timestamp, Unit};
use kube::{Api, Client};
use sampan_measure::cluster::Cluster;
use sampan_measure::processor::processor;

use super::manifest::limits;
use super::sample::{FORMAT, Header, Machine, Versions};
use super::scale::Scale;

/// Gathers the header.
pub(super) async fn gather(cluster: &Cluster, client: Client, scale: Scale) -> Result<Header> {
    let nodes: Api<Node> = Api::all(client);
    let name = &cluster.node()?.name;
    let node = nodes.get(name).await?;
    let status = node.status.and_then(|status| status.node_info);
    let node = status.with_context(|| format!("{name} has no versions in its status"))?;
    let root = git(&["rev-parse", "--show-toplevel"])?;
    let lock = PathBuf::from(&root).join("Cargo.lock");
    let lock =
        fs::read_to_string(&lock).with_context(|| format!("failed to read {}", lock.display()))?;
    let containerd = node.container_runtime_version;
    Ok(Header {
        format: FORMAT,
        date: Timestamp::now().round(Unit::Second)?.to_string(),
        scale,
        versions: Versions {
            revision: revision()?,
            kubernetes: node.kubelet_version,
            containerd: containerd.trim_start_matches("containerd://").to_owned(),
            runc: runc(cluster)?,
            wasmtime: locked(&lock, "wasmtime").context("Cargo.lock has no wasmtime")?,
        },
        machine: machine(node.os_image)?,
        limits: limits(),
    })
}

/// The current commit, marked if tracked files differ from it.
fn revision() -> Result<String> {
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    // Results of earlier runs may be untracked; nothing else may.
    let changed = git(&[
        "status",
        "--porcelain",
        "--",
        ".",
        ":!dev/experiments/results",
    ])?;
    let mark = if changed.is_empty() { "" } else { "-dirty" };
    Ok(format!("{commit}{mark}"))
}

fn git(words: &[&str]) -> Result<String> {
    run(Command::new("git").args(words))
        .context("failed to find the revision for the samples' header")
}

fn runc(cluster: &Cluster) -> Result<String> {
    let said = run(Command::new(cluster.tools.join("runc")).arg("--version"))?;
    let first = said.lines().next().unwrap_or_default();
    Ok(first.trim_start_matches("runc version ").to_owned())
}

fn run(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("failed to start {}", command.get_program().display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{} failed: {}",
            command.get_program().display(),
            said.trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The version of a crate in a lock file.
fn locked(lock: &str, name: &str) -> Option<String> {
    let lock: toml::Table = lock.parse().ok()?;
    let mut packages = lock.get("package")?.as_array()?.iter();
    let found =
        packages.find(|package| package.get("name").and_then(toml::Value::as_str) == Some(name));
    Some(found?.get("version")?.as_str()?.to_owned())
}

fn machine(system: String) -> Result<Machine> {
    let read =
        |path: &str| fs::read_to_string(path).with_context(|| format!("failed to read {path}"));
    let memory = read("/proc/meminfo")?;
    let memory = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"));
    let memory = memory.and_then(|line| line.split_whitespace().next());
    let info = read("/proc/cpuinfo")?;
    let processor = processor(&info).unwrap_or(std::env::consts::ARCH);
    Ok(Machine {
        kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        system,
        processor: processor.to_owned(),
        processors: std::thread::available_parallelism()?.get(),
        memory_kibibytes: memory.context("meminfo has no MemTotal")?.parse()?,
    })
}

/// The name of a folder of results: the day and the machine.
pub(super) fn folder_name(header: &Header) -> String {
    let day = header.date.split('T').next().unwrap_or(&header.date);
    let mut name = format!("{day}-");
    for letter in header.machine.processor.chars() {
        match letter.to_ascii_lowercase() {
            letter if letter.is_ascii_alphanumeric() => name.push(letter),
            _ if !name.ends_with('-') => name.push('-'),
            _ => {}
        }
    }
    format!(
        "{}-{}",
        name.trim_end_matches('-'),
        header.machine.processors
    )
}

#[cfg(test)]
mod tests {
    use super::super::sample::tests::header;
    use super::*;

    #[test]
    fn a_version_is_that_of_its_package() {
        fn check(name: &str, expected: Option<&str>) {
            let lock = "version = 4\n[[package]]\nname = \"wasmtime-wasi\"\nversion = \"1.0.0\"\n\
                        [[package]]\nname = \"wasmtime\"\nversion = \"48.0.8\"\n";
            assert_eq!(locked(lock, name).as_deref(), expected);
        }
        check("wasmtime", Some("48.0.8"));
        check("wasm", None);
    }

    #[test]
    fn a_folder_is_called_after_day_and_machine() {
        fn check(processor: &str, expected: &str) {
            let mut header = header("0.2");
            header.machine.processor = processor.to_owned();
            assert_eq!(folder_name(&header), expected);
        }
        check("AMD EPYC 7B13", "2026-01-02-amd-epyc-7b13-2");
        check(
            "Intel(R) Xeon(R) CPU @ 2.80GHz",
            "2026-01-02-intel-r-xeon-r-cpu-2-80ghz-2",
        );
    }
}
