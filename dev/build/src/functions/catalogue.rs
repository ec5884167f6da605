//! Lists the functions: the packages of the functions' workspace that build both a component and a
//! program.
//!
//! The program gives a function its name. Functions with a `function.yaml` are served; the others
//! are only measured.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use sampan_checkout::cargo;
use sampan_checkout::metadata::{Metadata, Package};
use sampan_checkout::repository::Repository;

/// The file that makes `sampan up` serve a function.
pub(super) const FILE: &str = "function.yaml";

/// The folder of functions that are not served; `sampan up` skips it.
const MEASURED: &str = "bench";

/// A function, as described by its package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name, which is that of its program.
    pub name: String,
    /// The package's name.
    pub package: String,
    /// The file of its component, as cargo names it.
    pub(super) component: String,
    pub(super) folder: PathBuf,
    /// Whether `sampan up` finds it.
    pub(super) is_served: bool,
}

impl Function {
    /// Whether `sampan up` finds it; otherwise it is only measured.
    pub fn is_served(&self) -> bool {
        self.is_served
    }

    /// The staged file to push: its `function.yaml`, which names the component, or else the
    /// component.
    pub fn staged(&self, repository: &Repository) -> PathBuf {
        let folder = self.staged_in(&repository.staged());
        if self.is_served {
            folder.join(FILE)
        } else {
            self.component_in(&folder)
        }
    }

    /// Its staged component.
    pub fn staged_component(&self, repository: &Repository) -> PathBuf {
        self.component_in(&self.staged_in(&repository.staged()))
    }

    /// The path and query of an example call; for the nine, the call of the published experiments.
    pub fn example(&self, repository: &Repository) -> Result<String> {
        if !self.is_served {
            return Ok("/".to_owned());
        }
        let file = self.staged(repository);
        let text = fs::read_to_string(&file)
            .with_context(|| format!("failed to read {}", file.display()))?;
        let example = text
            .lines()
            .find_map(|line| line.strip_prefix("example: "))
            .map_or("/", |example| example.trim_matches('"'));
        Ok(example.to_owned())
    }

    /// The folder that it is staged in.
    pub(super) fn staged_in(&self, staged: &Path) -> PathBuf {
        if self.is_served {
            staged.join(&self.name)
        } else {
            staged.join(MEASURED).join(&self.name)
        }
    }

    pub(super) fn component_in(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.wasm", self.name))
    }

    /// The functions with these names, or all if no name is given.
    pub fn select(repository: &Repository, names: &[String]) -> Result<Vec<Function>> {
        let mut command = cargo::functions_workspace(repository, "metadata");
        command.arg("--no-deps");
        let metadata = Metadata::read(command).context("failed to list the functions")?;
        let all = metadata
            .members()
            .filter_map(Function::of)
            .collect::<Vec<_>>();
        select(all, names)
    }

    fn of(package: &Package) -> Option<Function> {
        let folder = package.folder();
        let (program, library) = (package.target("bin")?, package.target("cdylib")?);
        Some(Function {
            name: program.to_owned(),
            package: package.name.clone(),
            component: format!("{}.wasm", library.replace('-', "_")),
            is_served: folder.join(FILE).is_file(),
            folder,
        })
    }
}

fn select(mut all: Vec<Function>, names: &[String]) -> Result<Vec<Function>> {
    all.sort_by(|one, other| one.name.cmp(&other.name));
    let known: Vec<_> = all.iter().map(|function| function.name.clone()).collect();
    let unknown = names.iter().find(|name| !known.contains(name));
    match unknown {
        Some(name) => bail!(
            "there is no function `{name}`; there are {}",
            known.join(", ")
        ),
        None if all.is_empty() => bail!("functions/ has no package of a function"),
        None => {}
    }
    all.retain(|function| names.is_empty() || names.contains(&function.name));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(name: &str) -> Function {
        Function {
            name: name.to_owned(),
            package: format!("{name}-function"),
            component: format!("{name}.wasm"),
            folder: PathBuf::from(name),
            is_served: true,
        }
    }

    #[test]
    fn functions_are_selected_by_name() {
        fn check(names: &[&str], expected: Result<&[&str], &str>) {
            let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
            let selected = select(vec![function("matmul"), function("aes")], &names);
            match (selected, expected) {
                (Ok(selected), Ok(expected)) => {
                    let selected: Vec<_> = selected.into_iter().map(|one| one.name).collect();
                    assert_eq!(selected, expected);
                }
                (Err(error), Err(expected)) => assert_eq!(error.to_string(), expected),
                (selected, expected) => panic!("{selected:?}, not {expected:?}"),
            }
        }
        check(&[], Ok(&["aes", "matmul"]));
        check(&["matmul"], Ok(&["matmul"]));
        check(
            &["hello"],
            Err("there is no function `hello`; there are aes, matmul"),
        );
    }
}
