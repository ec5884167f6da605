//! Builds the programs of a real cluster from Go modules.
//!
//! Each folder of `dev/cluster/tools` is a module without source: its `tool` lines name what is built, its
//! `go.sum` pins every byte of it. Results are kept in the user's cache, under a hash of everything
//! that decides them.

mod catalogue;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use sampan_checkout::cache::{build_once, cache, content_key};
use sampan_checkout::cargo::shown;
use sampan_checkout::child::command_until_exit;
use sampan_checkout::repository::Repository;

use super::arguments::KubernetesVersion;
use catalogue::{C_PROGRAMS, FOLDER, Kind, MODULES, Module};

/// How often a long build prints a line.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(30);

/// A built program.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) file: PathBuf,
    /// Whether it is a CNI plugin, which only containerd calls.
    pub(crate) is_plugin: bool,
}

/// Builds what is missing of all required programs, of Kubernetes, and of the named optional ones.
pub(crate) fn provide(
    repository: &Repository,
    kubernetes: KubernetesVersion,
    optional: &[&str],
) -> Result<Vec<Program>> {
    build_missing(repository, |name, is_optional| {
        !is_optional || name == kubernetes.folder() || optional.contains(&name)
    })
}

/// Builds what is missing of the named folders of `dev/cluster/tools`.
pub(crate) fn provide_only(repository: &Repository, folders: &[&str]) -> Result<Vec<Program>> {
    build_missing(repository, |name, _| folders.contains(&name))
}

fn build_missing(
    repository: &Repository,
    wanted: impl Fn(&str, bool) -> bool,
) -> Result<Vec<Program>> {
    let cache = cache()?;
    fs::create_dir_all(&cache).with_context(|| format!("failed to make {}", cache.display()))?;
    let mut programs = Vec::new();
    let modules = MODULES.iter();
    for module in modules.filter(|module| wanted(module.folder, module.optional)) {
        let source = repository.root().join(FOLDER).join(module.folder);
        let folder = cache.join(format!("{}-{}", module.folder, key(&source, module)?));
        build_once(&cache, module.folder, &folder, module.about, |folder| {
            build(&source, module, folder)
        })?;
        for (program, _) in module.programs {
            programs.push(Program {
                name: program,
                file: folder.join(program),
                is_plugin: module.are_plugins,
            });
        }
    }
    for program in C_PROGRAMS
        .iter()
        .filter(|program| wanted(program.name, program.optional))
    {
        programs.push(Program {
            name: program.name,
            file: compile(repository, &cache, program.name)?,
            is_plugin: false,
        });
    }
    Ok(programs)
}

/// Compiles a program of one C file.
fn compile(repository: &Repository, cache: &Path, name: &str) -> Result<PathBuf> {
    let source = repository.root().join(format!("{FOLDER}/{name}/{name}.c"));
    let text = fs::read(&source).with_context(|| format!("failed to read {}", source.display()))?;
    let folder = cache.join(format!("{name}-{}", content_key(&text)));
    build_once(cache, name, &folder, "a moment", |folder| {
        let mut command = Command::new("cc");
        command
            .args(["-static", "-Os", "-s", "-o"])
            .arg(folder.join(name))
            .arg(&source);
        finish(command)
    })?;
    Ok(folder.join(name))
}

fn build(source: &Path, module: &Module, folder: &Path) -> Result<()> {
    let go = |words: &[&str]| {
        let mut command = command_until_exit("INT", "go");
        command
            .current_dir(source)
            // The installed compiler builds the pinned modules.
            .env("GOTOOLCHAIN", "local")
            .env("GOWORK", "off")
            .env("GOFLAGS", "-mod=readonly")
            .env("CGO_ENABLED", if module.with_c { "1" } else { "0" })
            .args(words)
            .args(["-trimpath", "-buildvcs=false"])
            .args(["-tags", module.tags])
            .arg("-ldflags")
            .arg(module.linker_flags())
            .arg("-o");
        command
    };
    if module.kind == Kind::Tests {
        for (program, package) in module.programs {
            let mut command = go(&["test", "-c"]);
            command.arg(folder.join(program)).arg(package);
            finish(command)?;
        }
        return Ok(());
    }
    let mut command = go(&["build"]);
    command
        .arg(folder.join(""))
        .args(module.programs.iter().map(|(_, package)| package));
    finish(command)?;
    for (program, package) in module.programs {
        let made = folder.join(catalogue::default_name(package));
        let wanted = folder.join(program);
        if made != wanted {
            fs::rename(&made, &wanted)
                .with_context(|| format!("failed to rename {}", made.display()))?;
        }
    }
    Ok(())
}

/// Runs a build to its end, and prints a line at intervals.
fn finish(mut command: Command) -> Result<()> {
    command.stdin(Stdio::null());
    let child = command.spawn();
    let child = child.with_context(|| format!("failed to start {}", shown(&command)))?;
    let status = wait(child)?;
    if !status.success() {
        bail!("{} ended with {status}", shown(&command));
    }
    Ok(())
}

fn wait(mut child: Child) -> Result<ExitStatus> {
    let begun = Instant::now();
    let (ended, end) = mpsc::channel();
    thread::spawn(move || {
        // The receiver is the caller, which waits.
        let _ = ended.send(child.wait());
    });
    loop {
        match end.recv_timeout(PROGRESS_INTERVAL) {
            Ok(status) => return status.context("failed to wait for a build"),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                eprintln!("    {:>4} s", begun.elapsed().as_secs());
            }
            Err(error) => return Err(error).context("failed to wait for a build"),
        }
    }
}

fn key(source: &Path, module: &Module) -> Result<String> {
    let how = (
        module.programs,
        module.with_c,
        module.tags,
        module.variables,
    );
    let mut all = format!("{} {how:?}", env::consts::ARCH).into_bytes();
    for file in ["go.mod", "go.sum"] {
        let file = source.join(file);
        let bytes =
            fs::read(&file).with_context(|| format!("failed to read {}", file.display()))?;
        all.extend(bytes);
    }
    Ok(content_key(&all))
}
