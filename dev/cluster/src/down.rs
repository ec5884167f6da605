//! `cargo xtask cluster down`: removes everything that a cluster made, however much of it exists.
//!
//! While containerd runs, it ends the pods, so that their shims clean up after themselves. What
//! remains is found by the cluster's control groups and folders.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::control_groups::ControlGroups;
use super::images;
use super::layout::{Layout, Node};
use super::mounts;
use super::network;
use super::node;
use super::processes::Processes;
use super::state::{Lock, SavedState};
use super::sysctls;

/// Folders of the machine that kubelets and network plugins write to under any settings.
const POD_LOG_LINKS: &str = "/var/log/containers";
const NETWORK_RESULTS: &str = "/var/lib/cni/results";

/// How long a program may take to end after SIGTERM.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// The same for a program with data that is removed anyway.
const DISPOSABLE_STOP_TIMEOUT: Duration = Duration::from_secs(1);

pub(crate) fn run(layout: &Layout, root: &Path) -> Result<()> {
    let begun = Instant::now();
    let Some(_lock) = Lock::take_existing(layout)? else {
        eprintln!("there is no cluster {}", layout.name());
        return Ok(());
    };
    let saved = SavedState::read(layout)?;
    if let Some(saved) = &saved {
        saved.check_checkout(layout, root)?;
    }
    let nodes = saved.map_or_else(Vec::new, |saved| saved.all_nodes(layout));
    let groups = ControlGroups::find()?;
    let processes = Processes::new(layout, Vec::new());

    // containerd goes last, so that nothing starts after it.
    let recorded = processes.recorded()?;
    let names = recorded.iter().map(String::as_str);
    let (containerds, others): (Vec<_>, Vec<_>) =
        names.partition(|name| name.starts_with(node::CONTAINERD));
    processes.stop_all(&others, DISPOSABLE_STOP_TIMEOUT)?;
    for node in &nodes {
        if processes
            .running(&node.component(node::CONTAINERD))?
            .is_some()
        {
            end_pods(layout, node)?;
        }
    }
    processes.stop_all(&containerds, STOP_TIMEOUT)?;
    kill_all(&groups, &layout.control_group())?;
    let folders = [layout.state(), layout.run()];
    mounts::remove_below(&folders)?;
    network::remove(layout)?;
    groups.remove(&layout.control_group())?;
    for node in &nodes {
        remove_results(Path::new(NETWORK_RESULTS), node)?;
    }
    remove_links(Path::new(POD_LOG_LINKS), &layout.state())?;
    sysctls::restore(layout)?;
    remove(&layout.run())?;
    remove(&layout.state())?;
    remove_empty(layout.clusters())?;
    eprintln!(
        "the cluster {} is down after {:.1} s; built programs stay in the cache",
        layout.name(),
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Makes containerd end all tasks. Errors are only printed, because the control groups end what
/// remains.
fn end_pods(layout: &Layout, node: &Node) -> Result<()> {
    let mut list = images::ctr(layout, node);
    let output = list.args(["tasks", "list", "--quiet"]).output();
    let output = output.context("failed to start ctr")?;
    let tasks = String::from_utf8_lossy(&output.stdout).into_owned();
    let tasks: Vec<_> = tasks.lines().collect();
    // In chunks, because each deletion is a few processes.
    for tasks in tasks.chunks(8) {
        let mut children = Vec::new();
        for task in tasks {
            let mut delete = images::ctr(layout, node);
            delete
                .args(["--timeout", "10s", "tasks", "delete", "--force", task])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            children.push(delete.spawn().context("failed to start ctr")?);
        }
        for mut child in children {
            child.wait().context("failed to wait for ctr")?;
        }
    }
    Ok(())
}

/// Kills the processes in the control groups until none is left.
fn kill_all(groups: &ControlGroups, group: &str) -> Result<()> {
    let begun = Instant::now();
    loop {
        let left = groups.processes(group)?;
        if left.is_empty() {
            return Ok(());
        }
        if begun.elapsed() > STOP_TIMEOUT * 3 {
            bail!("the processes {left:?} did not end after SIGKILL");
        }
        for pid in left.into_iter().filter_map(Pid::from_raw) {
            match kill_process(pid, Signal::KILL) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => return Err(error).context("failed to end a process"),
            }
        }
        // There is no notice of the end of a process that is not a child.
        thread::sleep(Duration::from_millis(20));
    }
}

/// Removes the results that the network library keeps for each interface, in files named
/// `NETWORK-SANDBOX-INTERFACE`. All clusters use one network name for the loopback, so those files
/// are matched by the sandbox's identifier.
fn remove_results(folder: &Path, node: &Node) -> Result<()> {
    let prefix = format!("{}-", node.pod_network());
    let all = files(folder)?;
    let name = |file: &PathBuf| Some(file.file_name()?.to_string_lossy().into_owned());
    let ours = all.iter().filter_map(|file| {
        let name = name(file)?;
        let (sandbox, _) = name.strip_prefix(&prefix)?.rsplit_once('-')?;
        Some((file.clone(), sandbox.to_owned()))
    });
    for (file, sandbox) in ours.collect::<Vec<_>>() {
        for file in [file, folder.join(format!("cni-loopback-{sandbox}-lo"))] {
            unless_absent(fs::remove_file(&file))
                .with_context(|| format!("failed to remove {}", file.display()))?;
        }
    }
    Ok(())
}

/// Removes the links that a kubelet makes from one folder of the machine to the logs of its
/// containers.
fn remove_links(folder: &Path, state: &Path) -> Result<()> {
    for link in files(folder)? {
        if fs::read_link(&link).is_ok_and(|target| target.starts_with(state)) {
            unless_absent(fs::remove_file(&link))
                .with_context(|| format!("failed to remove {}", link.display()))?;
        }
    }
    Ok(())
}

fn files(folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        entries => entries.with_context(|| format!("failed to read {}", folder.display()))?,
    };
    let files = entries.map(|entry| Ok(entry?.path()));
    files
        .collect::<io::Result<_>>()
        .with_context(|| format!("failed to read {}", folder.display()))
}

/// Removes a folder with its content; fails if anything is mounted below it.
fn remove(folder: &Path) -> Result<()> {
    let left = mounts::below(&[folder.to_owned()])?;
    if !left.is_empty() {
        bail!(
            "failed to remove {}: {left:?} are still mounted below it",
            folder.display()
        );
    }
    unless_absent(fs::remove_dir_all(folder))
        .with_context(|| format!("failed to remove {}", folder.display()))
}

/// Removes a folder unless it is still in use.
fn remove_empty(folder: &Path) -> Result<()> {
    match fs::remove_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        done => {
            unless_absent(done).with_context(|| format!("failed to remove {}", folder.display()))
        }
    }
}

fn unless_absent(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_cluster_go_and_those_of_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let (results, links) = (folder.path().join("results"), folder.path().join("links"));
        let state = folder.path().join("state");
        for folder in [&results, &links, &state] {
            fs::create_dir(folder).unwrap();
        }
        let node = Layout::new("a".parse().unwrap()).unwrap().node(1);
        for file in [
            "sampan-a-1-pods-01-eth0",
            "cni-loopback-01-lo",
            "sampan-ab-1-pods-02-eth0",
            "cni-loopback-02-lo",
        ] {
            fs::write(results.join(file), "").unwrap();
        }
        let link = |name: &str, target: &Path| {
            std::os::unix::fs::symlink(target, links.join(name)).unwrap();
        };
        link("ours", &state.join("pod-logs/0.log"));
        link("theirs", Path::new("/elsewhere/0.log"));
        for _ in 0..2 {
            remove_results(&results, &node).unwrap();
            remove_links(&links, &state).unwrap();
        }
        let left = |folder| files(folder).unwrap().len();
        assert!(results.join("sampan-ab-1-pods-02-eth0").exists());
        assert!(results.join("cni-loopback-02-lo").exists());
        assert_eq!((left(&results), left(&links)), (2, 1));
    }
}
