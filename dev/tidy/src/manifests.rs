//! Checks the manifests: every package inherits the workspace's lints and the versions of its
//! dependencies.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use sampan_checkout::metadata::Metadata;
use toml::{Table, Value};

use super::Problem;

const KINDS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

pub(super) fn check(root: &Path, workspace: &Metadata) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for package in workspace.members() {
        let path = &package.manifest_path;
        let shown = path.strip_prefix(root).unwrap_or(path);
        let text = fs::read_to_string(path);
        let text = text.with_context(|| format!("failed to read {}", shown.display()))?;
        let manifest: Table = toml::from_str(&text)
            .with_context(|| format!("failed to parse {}", shown.display()))?;
        problems.extend(check_manifest(shown, &manifest));
    }
    Ok(problems)
}

fn check_manifest(path: &Path, manifest: &Table) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !manifest.get("lints").is_some_and(is_inherited) {
        let message = "the manifest must have `[lints]` with `workspace = true`";
        problems.push(Problem::new(path, message));
    }
    for kind in KINDS {
        let dependencies = manifest.get(kind).and_then(Value::as_table);
        for (name, dependency) in dependencies.into_iter().flatten() {
            if !is_inherited(dependency) {
                let message = format!("`{name}` must be `{name} = {{ workspace = true }}`");
                problems.push(Problem::new(path, message));
            }
        }
    }
    problems
}

fn is_inherited(value: &Value) -> bool {
    value.get("workspace") == Some(&Value::Boolean(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lints_and_versions_are_the_workspaces() {
        fn check(text: &str, expected: &[&str]) {
            let problems = check_manifest(Path::new("Cargo.toml"), &toml::from_str(text).unwrap());
            let messages: Vec<_> = problems.iter().map(|problem| &problem.message).collect();
            assert_eq!(messages.len(), expected.len(), "{messages:?}");
            for (message, part) in messages.iter().zip(expected) {
                assert!(message.contains(part), "{message}");
            }
        }
        check(
            "[lints]\nworkspace = true\n[dependencies]\na = { workspace = true }",
            &[],
        );
        check("[dependencies]\na.workspace = true", &["[lints]"]);
        check(
            "lints.workspace = true\n[dev-dependencies]\na = \"1\"",
            &["`a`"],
        );
    }
}
