//! Tests in an emulated machine with cgroup version 2 and systemd: the shim's own, and its limits beside runc's.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::TOOLS_FOLDER;
use super::recorder::Recorder;
use crate::cargo;
use crate::cluster::{programs_of, shell_quoted};
use crate::machine::Need;
use crate::repository::Repository;
use crate::vm::{self, Image, Vm};

/// How much is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Short,
    Long,
}

/// Selects how the tests write the control groups of their bundles.
const CGROUP_FORM: &str = "SAMPAN_TEST_CGROUP_FORM";

/// Where the suite of limits writes the document with its table, and whether to take it over.
const WRITE_TABLE: &str = "SAMPAN_WRITE_TABLE";
const DOCUMENT: &str = "docs/shim.md";

/// The package of the tests.
const PACKAGE_FOLDER: &str = "crates/shim";

/// The shim's test programs, and whether the short form has them.
const PROGRAMS: &[(&str, bool)] = &[
    ("functions", false),
    ("lifecycle", true),
    ("limits", true),
    ("modules", false),
];

/// How long one test program may take under emulation.
const PROGRAM_TIMEOUT: Duration = Duration::from_mins(30);

pub(super) fn needs() -> Vec<Need> {
    let build = [Need::Linker, Need::Seccomp, Need::Protoc, Need::Go];
    [vm::NEEDS, &build].concat()
}

pub(super) fn run(
    repository: &Repository,
    form: Form,
    image: Image,
    recorder: &mut Recorder,
) -> Result<()> {
    let names: Vec<_> = PROGRAMS
        .iter()
        .filter(|(_, short)| *short || form == Form::Long)
        .map(|(name, _)| *name)
        .collect();
    let programs = build(repository, &names, recorder)?;
    let tools = programs_of(repository, &["runc"])?;
    let vm = Vm::boot(image, &vm::shares(repository)?, &repository.logs())?;
    recorder.say(&vm.summary()?)?;
    let tested = test(repository, &vm, &programs, &tools, recorder);
    if tested.is_err() {
        recorder.say("the journal of the machine:")?;
        recorder.say(&vm.journal()?)?;
    }
    let ended = vm.power_off();
    tested.and(ended)
}

/// Runs every program with both forms of control groups, and fails when one of them did.
fn test(
    repository: &Repository,
    vm: &Vm,
    programs: &BTreeMap<String, PathBuf>,
    tools: &Path,
    recorder: &mut Recorder,
) -> Result<()> {
    let folder = shell_quoted(&repository.root().join(PACKAGE_FOLDER).to_string_lossy());
    let tools = shell_quoted(&tools.to_string_lossy());
    let document = shell_quoted(&repository.root().join(DOCUMENT).to_string_lossy());
    let writes = env::var_os(WRITE_TABLE).is_some();
    let mut failed = Vec::new();
    for cgroup_form in ["path", "systemd"] {
        for (name, program) in programs {
            let program = shell_quoted(&program.to_string_lossy());
            let mut line = format!(
                "cd {folder} && export CI=true RUST_BACKTRACE=0 {TOOLS_FOLDER}={tools} {CGROUP_FORM}={cgroup_form} && "
            );
            if writes && name == "limits" {
                // A layer of the machine takes it.
                write!(line, "export {WRITE_TABLE}={document} && ")?;
            }
            line += &program;
            let mut command = vm.command(&line, PROGRAM_TIMEOUT);
            if let Err(error) = recorder.run(&mut command) {
                recorder.say(&format!(
                    "error: {name} with the form {cgroup_form}: {error:#}"
                ))?;
                failed.push(format!("{name} ({cgroup_form})"));
            }
        }
    }
    if writes {
        let path = repository.root().join(DOCUMENT);
        fs::write(&path, vm.run(&format!("cat {document}"))?)
            .with_context(|| format!("failed to write {}", path.display()))?;
    }
    if !failed.is_empty() {
        bail!("failed in the machine: {}", failed.join(", "));
    }
    Ok(())
}

/// A line of what cargo reports as JSON.
#[derive(Debug, Deserialize)]
struct Artifact {
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
    src_path: PathBuf,
}

/// Builds test programs of the shim, and returns where each is.
fn build(
    repository: &Repository,
    names: &[&str],
    recorder: &mut Recorder,
) -> Result<BTreeMap<String, PathBuf>> {
    let command = || -> Command {
        let mut command = cargo::main_workspace(repository, "test");
        command.args(["--release", "--workspace", "--no-run"]);
        for name in names {
            command.args(["--test", name]);
        }
        command
    };
    recorder.run(&mut command())?;
    let printed = cargo::output(command().args(["--message-format", "json"]))?;
    let printed = String::from_utf8(printed).context("cargo wrote no UTF-8")?;
    let found = programs(&printed, &repository.root().join(PACKAGE_FOLDER))?;
    match names.iter().find(|name| !found.contains_key(**name)) {
        Some(name) => bail!("cargo built no test {name} of {PACKAGE_FOLDER}"),
        None => Ok(found),
    }
}

/// The test programs of a package among the artifacts.
fn programs(printed: &str, package: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let tests = package.join("tests");
    let mut found = BTreeMap::new();
    for line in printed.lines() {
        let artifact: Artifact = serde_json::from_str(line)
            .with_context(|| format!("failed to understand what cargo reports: {line}"))?;
        let (Some(target), Some(program)) = (artifact.target, artifact.executable) else {
            continue;
        };
        if target.src_path.starts_with(&tests) {
            found.insert(target.name, program);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_programs_of_the_package_are_found_among_artifacts() {
        let lines = [
            r#"{"reason":"compiler-artifact","target":{"name":"lifecycle","src_path":"/p/crates/shim/tests/lifecycle.rs"},"executable":"/t/lifecycle-1"}"#,
            r#"{"reason":"compiler-artifact","target":{"name":"limits","src_path":"/p/crates/spec/tests/limits.rs"},"executable":"/t/limits-1"}"#,
            r#"{"reason":"compiler-artifact","target":{"name":"sampan-shim","src_path":"/p/crates/shim/src/lib.rs"},"executable":null}"#,
            r#"{"reason":"build-finished","success":true}"#,
        ];
        let found = programs(&lines.join("\n"), Path::new("/p/crates/shim")).unwrap();
        let expected = [("lifecycle".to_owned(), PathBuf::from("/t/lifecycle-1"))];
        assert_eq!(found, BTreeMap::from(expected));
    }
}
