//! Builds programs of the main workspace, and shows how far the build is.
//!
//! Cargo reports which packages are finished. Packages differ much, so each counts by the size of its Rust files: the
//! time to compile a package grows with it.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Deserialize;

use crate::cargo::{self, shown};
use crate::metadata::Metadata;
use crate::repository::Repository;

/// Packages to build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// All members of the workspace.
    Workspace,
    /// What `cargo xtask up` runs.
    Up,
}

/// The members that [`Selection::Up`] builds. The last one makes cargo turn on the same features as for the whole
/// workspace, so that nothing is compiled again later.
const UP: [&str; 3] = ["sampan", "sampan-backends", "sampan-shared-features"];

/// The members that no program uses.
const LIBRARIES: [&str; 2] = ["sampan-tests", "sampan-cluster-tests"];

/// How often to print progress where lines cannot be overwritten.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(30);

/// How often to update the time left on a terminal.
const UPDATE_INTERVAL: Duration = Duration::from_secs(1);

/// A time left is shown once this part of the work is done. Before, it would be a guess.
const FIRST_ESTIMATE: f64 = 0.05;

impl Selection {
    /// Cargo's arguments that select the packages.
    pub fn arguments(self) -> Vec<&'static str> {
        match self {
            Selection::Workspace => vec!["--workspace"],
            Selection::Up => UP.iter().flat_map(|name| ["--package", name]).collect(),
        }
    }
}

/// Builds the programs of a selection.
pub fn build_programs(repository: &Repository, selection: Selection) -> Result<()> {
    let mut command = cargo::main_workspace(repository, "build");
    command
        .args([
            "--bins",
            "--quiet",
            "--message-format",
            "json-render-diagnostics",
        ])
        .args(["--profile", repository.profile().name()])
        .args(selection.arguments())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let started = command.spawn();
    let mut child = started.with_context(|| format!("failed to start {}", shown(&command)))?;
    let output = child.stdout.take().context("cargo has no output")?;
    let (sender, lines) = mpsc::channel();
    let reader = thread::spawn(move || {
        for line in BufReader::new(output).lines() {
            // The receiver lives until the output ends.
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    // The packages are weighed while cargo works: a build with nothing to do hardly takes longer.
    let followed = weights(repository, selection).and_then(|weights| follow(weights, &lines));
    drop(lines);
    if followed.is_err() {
        // Its output is no longer read. It may have ended.
        let _ = child.kill();
    }
    // It ends with the output.
    if reader.join().is_err() {
        bail!("the reader of cargo's output failed");
    }
    let status = child.wait();
    let status = status.with_context(|| format!("failed to wait for {}", shown(&command)))?;
    followed?;
    if !status.success() {
        bail!("{} ended with {status}", shown(&command));
    }
    Ok(())
}

/// Shows the progress until cargo's output ends. `weights` are those of the packages.
fn follow(weights: HashMap<String, u64>, lines: &Receiver<io::Result<String>>) -> Result<()> {
    // Its drop clears the bar.
    let mut progress = Progress::new(weights);
    loop {
        match lines.recv_timeout(UPDATE_INTERVAL) {
            Ok(line) => progress.read(&line.context("failed to read the output of cargo")?)?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        progress.show();
    }
}

/// The packages that selected ones depend on over these edges, a line in this format for each.
pub fn tree(
    repository: &Repository,
    selected: &[&str],
    edges: &str,
    format: &str,
) -> Result<String> {
    let mut command = cargo::main_workspace(repository, "tree");
    command
        .args(["--prefix", "none", "--edges", edges, "--format", format])
        .args(selected);
    String::from_utf8(cargo::output(&mut command)?).context("`cargo tree` wrote invalid UTF-8")
}

/// The packages that a selection builds, by their identifiers, with their weights.
fn weights(repository: &Repository, selection: Selection) -> Result<HashMap<String, u64>> {
    let mut selected = selection.arguments();
    if selection == Selection::Workspace {
        // No program uses them.
        selected.extend(LIBRARIES.iter().flat_map(|name| ["--exclude", name]));
    }
    let built = tree(repository, &selected, "normal,build", "{p}")?;
    let built: HashSet<_> = built.lines().filter_map(name_and_version).collect();
    let metadata = Metadata::read(cargo::main_workspace(repository, "metadata"))?;
    let packages = metadata
        .packages
        .iter()
        .filter(|package| built.contains(&(package.name.as_str(), package.version.as_str())));
    packages
        .map(|package| {
            // A package without Rust files of its own still takes a moment.
            Ok((package.id.clone(), 1 + size_of_sources(&package.folder())?))
        })
        .collect()
}

/// Parses a line such as `serde v1.0.229 (proc-macro) (*)`.
fn name_and_version(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split(' ');
    Some((words.next()?, words.next()?.strip_prefix('v')?))
}

/// The bytes of all Rust files below the `src` of a package.
fn size_of_sources(package: &Path) -> Result<u64> {
    let source = package.join("src");
    let mut size = 0;
    let mut folders = if source.is_dir() {
        vec![source]
    } else {
        Vec::new()
    };
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder);
        let entries = entries.with_context(|| format!("failed to read {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                size += entry.metadata()?.len();
            }
        }
    }
    Ok(size)
}

/// A message of cargo, reduced to what is read here.
#[derive(Debug, Deserialize)]
struct Message {
    reason: String,
    package_id: Option<String>,
    target: Option<Target>,
    #[serde(default)]
    fresh: bool,
}

#[derive(Debug, Deserialize)]
struct Target {
    kind: Vec<String>,
}

/// How far a build is.
#[derive(Debug)]
struct Progress {
    /// The packages that are not finished, with their weights.
    left: HashMap<String, u64>,
    /// The weight of what was compiled.
    compiled: u64,
    total: u64,
    begun: Instant,
    bar: ProgressBar,
    printed: Instant,
}

impl Progress {
    fn new(packages: HashMap<String, u64>) -> Progress {
        let total = packages.values().sum();
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("    {wide_bar} {percent:>3} %  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Progress {
            left: packages,
            compiled: 0,
            total,
            begun: Instant::now(),
            bar,
            printed: Instant::now(),
        }
    }

    /// Takes a line of cargo's output.
    fn read(&mut self, line: &str) -> Result<()> {
        let message: Message =
            serde_json::from_str(line).with_context(|| format!("cargo wrote {line}"))?;
        let is_library = |target: &Target| target.kind.iter().all(|kind| kind != "custom-build");
        if message.reason != "compiler-artifact" || !message.target.as_ref().is_some_and(is_library)
        {
            return Ok(());
        }
        let package = message.package_id.as_deref().unwrap_or_default();
        // A package with several targets, or for the build as well, is finished once.
        if let Some(weight) = self.left.remove(package) {
            if message.fresh {
                self.total -= weight;
            } else {
                self.compiled += weight;
            }
        }
        Ok(())
    }

    fn show(&mut self) {
        self.bar.set_length(self.total);
        self.bar.set_position(self.compiled);
        let left = time_left(self.compiled, self.total, self.begun.elapsed());
        let left = left.map_or_else(|| "estimating the time left".to_owned(), shown_time);
        if self.bar.is_hidden() {
            if self.printed.elapsed() >= PROGRESS_INTERVAL {
                self.printed = Instant::now();
                let percent = self.compiled * 100 / self.total.max(1);
                eprintln!("    {percent:>3} %  {left}");
            }
        } else {
            self.bar.set_message(left);
        }
    }
}

/// The time that the rest takes if it goes on as before; `None` while too little is done.
fn time_left(done: u64, total: u64, elapsed: Duration) -> Option<Duration> {
    #[expect(clippy::cast_precision_loss, reason = "a ratio of sizes of files")]
    let part = done as f64 / total.max(1) as f64;
    (part >= FIRST_ESTIMATE).then(|| elapsed.mul_f64((1.0 - part) / part))
}

fn shown_time(left: Duration) -> String {
    match left.as_secs() {
        seconds @ 0..60 => format!("about {seconds} s left"),
        seconds => format!("about {} min left", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_a_tree_are_read_with_their_versions() {
        fn check(line: &str, expected: Option<(&str, &str)>) {
            assert_eq!(name_and_version(line), expected, "{line}");
        }
        check("serde v1.0.229", Some(("serde", "1.0.229")));
        check(
            "serde v1.0.229 (proc-macro) (*)",
            Some(("serde", "1.0.229")),
        );
        check(
            "sampan v0.1.0 (/checkout/crates/cli)",
            Some(("sampan", "0.1.0")),
        );
        check("", None);
    }

    #[test]
    fn a_package_counts_once_and_a_fresh_one_is_no_work() {
        let packages = [("a", 60), ("b", 30), ("c", 10)];
        let packages = packages.map(|(name, weight)| (name.to_owned(), weight));
        let mut progress = Progress::new(packages.into_iter().collect());
        let artifact = |package: &str, kind: &str, fresh: bool| {
            format!(
                r#"{{"reason":"compiler-artifact","package_id":"{package}",
                     "target":{{"kind":["{kind}"]}},"fresh":{fresh}}}"#
            )
        };
        for (line, compiled, total) in [
            (artifact("a", "custom-build", false), 0, 100),
            (
                r#"{"reason":"build-script-executed","package_id":"a"}"#.to_owned(),
                0,
                100,
            ),
            (artifact("a", "lib", false), 60, 100),
            (artifact("a", "bin", false), 60, 100),
            (artifact("b", "proc-macro", true), 60, 70),
            (artifact("unknown", "lib", false), 60, 70),
            (artifact("c", "bin", false), 70, 70),
            (
                r#"{"reason":"build-finished","success":true}"#.to_owned(),
                70,
                70,
            ),
        ] {
            progress.read(&line).unwrap();
            assert_eq!(
                (progress.compiled, progress.total),
                (compiled, total),
                "{line}"
            );
        }
        assert!(progress.read("no message").is_err());
    }

    #[test]
    fn the_time_left_follows_what_was_done() {
        fn check(done: u64, elapsed: u64, expected: Option<&str>) {
            let left = time_left(done, 1000, Duration::from_secs(elapsed));
            assert_eq!(
                left.map(shown_time).as_deref(),
                expected,
                "{done} in {elapsed} s"
            );
        }
        check(0, 100, None);
        check(49, 100, None);
        check(100, 100, Some("about 15 min left"));
        check(750, 90, Some("about 30 s left"));
        check(1000, 90, Some("about 0 s left"));
    }
}
