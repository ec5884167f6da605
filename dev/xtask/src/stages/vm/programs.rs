//! Builds the test programs that the machine runs, and finds them in cargo's report.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use sampan_checkout::cargo;
use sampan_checkout::repository::Repository;
use serde::Deserialize;

use crate::stages::recorder::Recorder;

/// A test program, by the folder of its package and its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TestProgram {
    pub(super) package: &'static str,
    pub(super) name: &'static str,
}

/// A line of cargo's JSON report.
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

/// Builds test programs, and returns where each is.
pub(super) fn build(
    repository: &Repository,
    wanted: &[TestProgram],
    recorder: &mut Recorder,
) -> Result<BTreeMap<TestProgram, PathBuf>> {
    let command = || -> Command {
        let mut command = cargo::main_workspace(repository, "test");
        command.args(["--release", "--workspace", "--no-run"]);
        for program in wanted {
            command.args(["--test", program.name]);
        }
        command
    };
    recorder.run(&mut command())?;
    let printed = cargo::output(command().args(["--message-format", "json"]))?;
    let printed = String::from_utf8(printed).context("cargo wrote invalid UTF-8")?;
    find(&printed, repository.root(), wanted)
}

/// Finds the test programs among the artifacts. Several packages may have one of the same name.
fn find(
    printed: &str,
    root: &Path,
    wanted: &[TestProgram],
) -> Result<BTreeMap<TestProgram, PathBuf>> {
    let mut found = BTreeMap::new();
    for line in printed.lines() {
        let artifact: Artifact = serde_json::from_str(line)
            .with_context(|| format!("failed to parse cargo's report: {line}"))?;
        let (Some(target), Some(file)) = (artifact.target, artifact.executable) else {
            continue;
        };
        let is_it = |program: &&TestProgram| {
            let tests = root.join(program.package).join("tests");
            program.name == target.name && target.src_path.starts_with(tests)
        };
        if let Some(program) = wanted.iter().find(is_it) {
            found.insert(*program, file);
        }
    }
    match wanted.iter().find(|program| !found.contains_key(program)) {
        Some(program) => bail!(
            "cargo built no test {} of {}",
            program.name,
            program.package
        ),
        None => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFECYCLE: TestProgram = TestProgram {
        package: "crates/shim",
        name: "lifecycle",
    };

    #[test]
    fn test_programs_are_found_among_artifacts_by_package_and_name() {
        let lines = [
            r#"{"reason":"compiler-artifact","target":{"name":"lifecycle","src_path":"/p/crates/shim/tests/lifecycle.rs"},"executable":"/t/lifecycle-1"}"#,
            r#"{"reason":"compiler-artifact","target":{"name":"lifecycle","src_path":"/p/crates/spec/tests/lifecycle.rs"},"executable":"/t/lifecycle-2"}"#,
            r#"{"reason":"compiler-artifact","target":{"name":"sampan-shim","src_path":"/p/crates/shim/src/lib.rs"},"executable":null}"#,
            r#"{"reason":"build-finished","success":true}"#,
        ];
        let root = Path::new("/p");
        let found = find(&lines.join("\n"), root, &[LIFECYCLE]).unwrap();
        assert_eq!(
            found,
            BTreeMap::from([(LIFECYCLE, PathBuf::from("/t/lifecycle-1"))])
        );
        let missing = TestProgram {
            name: "limits",
            ..LIFECYCLE
        };
        find(&lines.join("\n"), root, &[missing]).unwrap_err();
    }
}
