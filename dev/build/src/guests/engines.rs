//! Builds the guests that contain a language engine: two scripts of JavaScript and one of Python.
//!
//! The tools of their languages make them into components. They are built once and again when a
//! source changes, because the tools are large.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use sampan_checkout::cargo;
use sampan_checkout::metadata::Metadata;
use sampan_checkout::repository::Repository;

/// The sources of each guest, below the folder of the guests.
const JAVASCRIPT: [&str; 6] = [
    "world.wit",
    "javascript/function.js",
    "javascript/event.js",
    "javascript/build.mjs",
    "javascript/package.json",
    "javascript/package-lock.json",
];
const PYTHON: [&str; 3] = ["world.wit", "python/function.py", "python/requirements.txt"];

/// The crate that contains WASI's interfaces.
const INTERFACES: &str = "wasip2";

/// The guests of one language: the commands that build them from a copy of their sources.
pub(crate) struct Engine {
    commands: Vec<Command>,
    stamp: PathBuf,
    sources: String,
    pub(super) folder: PathBuf,
    /// The files of the built guests, in the folder.
    pub(super) components: &'static [&'static str],
}

/// Both languages, with their build folders prepared.
pub(super) fn all(repository: &Repository) -> Result<[Engine; 2]> {
    let folder = repository.guests_target().join("engines");
    let interfaces = folder.join("wit");
    copy_interfaces(repository, &interfaces)?;
    let (scripts, tools) = (folder.join("javascript"), folder.join("python"));
    for folder in [&scripts, &tools] {
        fs::create_dir_all(folder)
            .with_context(|| format!("failed to make {}", folder.display()))?;
    }
    let javascript = Engine {
        commands: javascript(&scripts, &interfaces),
        stamp: scripts.join("built-from"),
        sources: copy_sources(repository, &JAVASCRIPT, &scripts)?,
        folder: scripts,
        components: &["javascript.wasm", "javascript-event.wasm"],
    };
    let python = Engine {
        commands: python(&tools, &interfaces),
        stamp: tools.join("built-from"),
        sources: copy_sources(repository, &PYTHON, &tools)?,
        folder: tools,
        components: &["python.wasm"],
    };
    Ok([javascript, python])
}

impl Engine {
    /// The build commands; empty if the guests were built from these sources.
    pub(super) fn commands(&mut self) -> Vec<Command> {
        let built = fs::read_to_string(&self.stamp);
        let is_there = |component| self.folder.join(component).is_file();
        if self.components.iter().all(is_there) && built.is_ok_and(|built| built == self.sources) {
            return Vec::new();
        }
        std::mem::take(&mut self.commands)
    }

    /// Records that the guests are built.
    pub(super) fn built(&self) -> Result<()> {
        fs::write(&self.stamp, &self.sources)
            .with_context(|| format!("failed to write {}", self.stamp.display()))
    }
}

fn javascript(folder: &Path, interfaces: &Path) -> Vec<Command> {
    let mut install = Command::new("npm");
    install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    let mut build = Command::new("node");
    build.arg("build.mjs").arg(interfaces).arg(folder);
    install.current_dir(folder);
    build.current_dir(folder);
    vec![install, build]
}

fn python(folder: &Path, interfaces: &Path) -> Vec<Command> {
    let mut environment = Command::new("python3");
    environment.args(["-m", "venv", "environment"]);
    let mut install = Command::new("environment/bin/pip");
    install.args(["install", "--quiet", "--requirement", "requirements.txt"]);
    let mut build = Command::new("environment/bin/componentize-py");
    build.arg("--wit-path").arg(interfaces);
    build.args(["--world", "function", "componentize", "function"]);
    build.args(["--output", "python.wasm"]);
    let mut commands = vec![environment, install, build];
    for command in &mut commands {
        command.current_dir(folder);
    }
    commands
}

/// Copies the sources to the build folder, and returns all of their texts.
fn copy_sources(repository: &Repository, sources: &[&str], folder: &Path) -> Result<String> {
    let mut texts = String::new();
    for source in sources {
        let from = repository.guests().join(source);
        let text = fs::read_to_string(&from);
        let text = text.with_context(|| format!("failed to read {}", from.display()))?;
        let to = folder.join(from.file_name().unwrap_or_default());
        fs::write(&to, &text).with_context(|| format!("failed to write {}", to.display()))?;
        texts.push_str(&text);
    }
    Ok(texts)
}

/// Copies the world and the interfaces that it includes.
fn copy_interfaces(repository: &Repository, folder: &Path) -> Result<()> {
    let metadata = Metadata::read(cargo::guests_workspace(repository, "metadata"))?;
    let package = metadata
        .packages
        .iter()
        .find(|package| package.name == INTERFACES);
    let package = package.with_context(|| format!("the guests do not depend on {INTERFACES}"))?;
    let (from, to) = (package.folder().join("wit/deps"), folder.join("deps"));
    fs::create_dir_all(&to).with_context(|| format!("failed to make {}", to.display()))?;
    let files = fs::read_dir(&from)
        .with_context(|| format!("failed to read the interfaces in {}", from.display()))?;
    for file in files {
        let file = file.context("failed to list the interfaces")?;
        fs::copy(file.path(), to.join(file.file_name())).context("failed to copy an interface")?;
    }
    let world = repository.guests().join("world.wit");
    fs::copy(&world, folder.join("world.wit"))
        .with_context(|| format!("failed to copy {}", world.display()))?;
    Ok(())
}
