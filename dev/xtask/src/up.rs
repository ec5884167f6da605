//! `cargo xtask up`: sets this machine up and serves the nine functions.
//!
//! Finally this process becomes `sampan up`, so signals and the exit code are those of `sampan up`.

use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, Command, ExitCode};
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::Args;
use sampan_build::functions::{self, Functions};
use sampan_checkout::build::{self, Selection};
use sampan_checkout::cargo;
use sampan_checkout::machine::{Machine, Need};
use sampan_checkout::repository::Repository;
use sampan_checkout::toolchain::Choice;

use crate::backends::{Lifeline, Running, SERVICES, Starting};

/// The needs of the functions, and of the services behind two of them.
const UP_NEEDS: &[Need] = &[
    Need::Linker,
    Need::Seccomp,
    Need::Protoc,
    Need::Postgres,
    Need::Pip,
];

/// The options of `cargo xtask up`.
#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Where the functions are served, instead of 127.0.0.1:8080
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,

    /// The compiler of the components
    #[arg(long, value_enum, default_value_t, value_name = "WHICH")]
    pub(crate) toolchain: Choice,

    /// Further arguments of `sampan up`
    #[arg(last = true, value_name = "ARGUMENTS")]
    pub(crate) arguments: Vec<String>,
}

pub(crate) fn run(repository: &Repository, machine: &Machine, up: &Up) -> Result<ExitCode> {
    step("the machine", || {
        // A missing tool of a service is no reason to stop: a function without its service reports
        // that itself.
        for missing in machine.provide(UP_NEEDS) {
            eprintln!(
                "  missing: {}; to install it: {}",
                missing.what, missing.remedy
            );
        }
        Ok(())
    })?;
    step("the functions", || {
        functions::run(repository, machine, &Functions::all(up.toolchain))
    })?;
    step("the programs", || {
        build::build_programs(repository, Selection::Up)
    })?;

    let (lifeline, reader) = Lifeline::new()?;
    let running = step("the services", || Ok(start(repository, &reader)))?;
    drop(reader);

    let folder = served_folder(repository, &running)?;
    let mut command = Command::new(repository.program("sampan"));
    command.arg("up").arg(folder);
    if let Some(listen) = up.listen {
        command.args(["--listen", &listen.to_string()]);
    }
    command.args(&up.arguments);
    lifeline.keep_through_exec()?;
    let error = command.exec();
    Err(error).with_context(|| format!("failed to start {}", cargo::shown(&command)))
}

/// Prints the name of a step and how long it took.
fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("==> {name}");
    let begun = Instant::now();
    let done = work().with_context(|| format!("failed at {name}"))?;
    eprintln!("    {name}: {:.1} s", begun.elapsed().as_secs_f64());
    Ok(done)
}

fn start(repository: &Repository, lifeline: &std::io::PipeReader) -> Vec<Running> {
    // All are started before the first wait.
    let starting =
        SERVICES.map(|service| (service, Starting::start(repository, service, lifeline)));
    let mut running = Vec::new();
    for (service, started) in starting {
        match started.and_then(Starting::ready) {
            Ok(ready) => {
                eprintln!("  {:<6} {}", service.name, ready.url);
                running.push(ready);
            }
            Err(error) => {
                let function = service.function;
                eprintln!(
                    "  {:<6} not started, so `{function}` will answer 502",
                    service.name
                );
                for line in format!("{error:#}").lines() {
                    eprintln!("         {line}");
                }
            }
        }
    }
    running
}

/// The folder to serve: the staged functions, or copies with the new addresses of services that
/// found their own taken.
fn served_folder(repository: &Repository, running: &[Running]) -> Result<PathBuf> {
    let staged = repository.staged();
    let moved: Vec<_> = running.iter().filter(|service| service.moved()).collect();
    if moved.is_empty() {
        return Ok(staged);
    }
    for service in &moved {
        let (from, to) = (service.service.address, &service.address);
        eprintln!(
            "  {from} is taken; `{}` uses {to}",
            service.service.function
        );
    }
    let moves: Vec<_> = moved
        .iter()
        .map(|service| (service.service.address, service.address.as_str()))
        .collect();
    let all = repository.target().join("functions-moved");
    remove_stale(&all, Path::new("/proc"))
        .with_context(|| format!("failed to clear {}", all.display()))?;
    // This process becomes the server of the copies.
    let copies = all.join(process::id().to_string());
    copy(&staged, &copies, &moves)
        .with_context(|| format!("failed to copy the functions to {}", copies.display()))?;
    Ok(copies)
}

/// Removes the copies of processes that have ended; another `up` may be serving its own.
fn remove_stale(all: &Path, processes: &Path) -> std::io::Result<()> {
    let entries = match fs::read_dir(all) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if !processes.join(entry.file_name()).exists() {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn copy(staged: &Path, copies: &Path, moves: &[(&str, &str)]) -> std::io::Result<()> {
    if copies.exists() {
        fs::remove_dir_all(copies)?;
    }
    for entry in fs::read_dir(staged)? {
        let folder = entry?.path();
        let file = folder.join("function.yaml");
        let Some(name) = folder.file_name().filter(|_| file.is_file()) else {
            continue;
        };
        let copy = copies.join(name);
        fs::create_dir_all(&copy)?;
        let text = fs::read_to_string(&file)?;
        fs::write(copy.join("function.yaml"), replace(&text, moves))?;
        let mut component = name.to_owned();
        component.push(".wasm");
        fs::copy(folder.join(&component), copy.join(&component))?;
    }
    Ok(())
}

fn replace(text: &str, moves: &[(&str, &str)]) -> String {
    moves
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_go_when_their_process_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let (all, processes) = (folder.path().join("moved"), folder.path().join("proc"));
        remove_stale(&all, &processes).unwrap();
        for copy in ["1", "2"] {
            fs::create_dir_all(all.join(copy).join("search")).unwrap();
        }
        fs::create_dir_all(processes.join("1")).unwrap();
        remove_stale(&all, &processes).unwrap();
        assert!(all.join("1/search").exists());
        assert!(!all.join("2").exists());
    }

    #[test]
    fn addresses_move_in_copies() {
        let folder = tempfile::tempdir().unwrap();
        let (staged, copies) = (folder.path().join("staged"), folder.path().join("copies"));
        fs::create_dir_all(staged.join("search")).unwrap();
        fs::create_dir_all(staged.join("bin")).unwrap();
        fs::write(staged.join("bin/search"), "a program").unwrap();
        fs::write(staged.join("search/search.wasm"), "a component").unwrap();
        let text = "env: http://127.0.0.1:8091/a\nallow: http://127.0.0.1:8091\n";
        fs::write(staged.join("search/function.yaml"), text).unwrap();

        copy(&staged, &copies, &[("127.0.0.1:8091", "127.0.0.1:40001")]).unwrap();
        copy(&staged, &copies, &[("127.0.0.1:8091", "127.0.0.1:40002")]).unwrap();
        let text = fs::read_to_string(copies.join("search/function.yaml")).unwrap();
        assert_eq!(
            text,
            "env: http://127.0.0.1:40002/a\nallow: http://127.0.0.1:40002\n"
        );
        assert!(copies.join("search/search.wasm").exists());
        assert!(!copies.join("bin").exists());
    }
}
