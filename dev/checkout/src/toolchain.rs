//! Chooses and installs the compiler of the components.
//!
//! There are two: rustup's, with the target's standard library beside it, and Debian's, which
//! builds the standard library along. Their output differs, so nothing may depend on the bytes of a
//! component.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;

use crate::cargo;
use crate::packages;
use crate::programs::has_program;

/// The target of components.
pub const TARGET: &str = "wasm32-wasip2";

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_LIBC: &str = "/usr/lib/wasm32-wasi";

/// The requested compiler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Choice {
    /// The first that is installed
    #[default]
    Any,
    /// Only rustup's
    Rustup,
    /// Only Debian's
    Debian,
}

/// An installed compiler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toolchain {
    /// That of rustup.
    Rustup,
    /// That of Debian's packages.
    Debian,
}

impl Choice {
    fn candidates(self) -> &'static [Toolchain] {
        match self {
            Choice::Any => &[Toolchain::Rustup, Toolchain::Debian],
            Choice::Rustup => &[Toolchain::Rustup],
            Choice::Debian => &[Toolchain::Debian],
        }
    }
}

impl Toolchain {
    /// Its name in a line of progress.
    pub fn name(self) -> &'static str {
        match self {
            Toolchain::Rustup => "rustup's compiler",
            Toolchain::Debian => "Debian's compiler",
        }
    }

    /// `cargo build` of components. It runs in the folder, where cargo looks for its configuration.
    pub fn build(self, folder: &Path, target: &Path) -> Command {
        let mut command = match self {
            Toolchain::Rustup => {
                let mut command = cargo::cargo();
                command.arg("build");
                command
            }
            Toolchain::Debian => debian(),
        };
        command
            .current_dir(folder)
            .env("CARGO_TARGET_DIR", target)
            .args(["--release", "--target", TARGET]);
        command
    }

    fn is_there(self) -> bool {
        match self {
            Toolchain::Rustup => has_standard_library(),
            Toolchain::Debian => debian_is_complete(),
        }
    }

    fn install(self) -> Result<()> {
        match self {
            Toolchain::Rustup if has_program("rustup") => {
                eprintln!("  rustup target add {TARGET}");
                let mut command = Command::new("rustup");
                let output = output(command.args(["target", "add", TARGET]))?;
                if !output.status.success() {
                    let said = String::from_utf8_lossy(&output.stderr);
                    bail!(
                        "rustup failed to add {TARGET}: {}",
                        said.lines().last().unwrap_or("?")
                    );
                }
                Ok(())
            }
            Toolchain::Rustup => bail!("rustup is not installed"),
            Toolchain::Debian if packages::can_install() => {
                if packages::depends(LLVM_PACKAGE)?.is_empty() {
                    packages::update()?;
                }
                packages::install(&debian_packages(linker_package()?))
            }
            Toolchain::Debian => bail!("only root can install Debian's packages"),
        }
    }

    /// The command that installs it.
    fn remedy(self) -> String {
        match self {
            Toolchain::Rustup => format!("rustup target add {TARGET}"),
            Toolchain::Debian => {
                // Without Debian's package lists, the name stands for the linker's version rule.
                let linker = linker_package().ok().flatten();
                let linker = linker.unwrap_or_else(|| "lld-VERSION-OF-ITS-LLVM".to_owned());
                packages::install_command(&debian_packages(Some(linker)))
            }
        }
    }
}

/// The first installed compiler of the choice.
pub fn find(choice: Choice) -> Option<Toolchain> {
    choice
        .candidates()
        .iter()
        .copied()
        .find(|toolchain| toolchain.is_there())
}

/// Installs the first compiler of the choice that can be installed. rustup's fails at once if its
/// server lacks the target or cannot be reached.
pub fn install(choice: Choice) -> Result<Toolchain> {
    let mut failures = Vec::new();
    for toolchain in choice.candidates() {
        match toolchain.install() {
            Ok(()) if toolchain.is_there() => return Ok(*toolchain),
            Ok(()) => failures.push(format!("{} is still incomplete", toolchain.name())),
            Err(error) => failures.push(format!("{error:#}")),
        }
    }
    bail!("{}", failures.join("; "))
}

/// The commands that would install it, the preferred one first.
pub fn remedies(choice: Choice) -> Vec<String> {
    choice
        .candidates()
        .iter()
        .map(|toolchain| toolchain.remedy())
        .collect()
}

/// Returns the compiler to use, and installs it if that is allowed.
pub fn provide(choice: Choice, may_install: bool) -> Result<Toolchain> {
    if let Some(toolchain) = find(choice) {
        return Ok(toolchain);
    }
    let tried = if may_install {
        install(choice)
    } else {
        Err(anyhow::anyhow!("not installed"))
    };
    tried.with_context(|| {
        let lines = remedies(choice).join("\n  ");
        format!("there is no Rust compiler for {TARGET}; install one of\n  {lines}\n")
    })
}

fn has_standard_library() -> bool {
    let mut command = Command::new("rustc");
    let printed = output(command.args(["--print", "target-libdir", "--target", TARGET]));
    let Some(folder) = printed.ok().filter(|output| output.status.success()) else {
        return false;
    };
    let folder = PathBuf::from(String::from_utf8_lossy(&folder.stdout).trim());
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names = files.map(|file| file.file_name());
    names.any(|name| name.to_string_lossy().starts_with("libstd-"))
}

/// Whether all of Debian's packages are installed, by a file of each.
fn debian_is_complete() -> bool {
    let exists = |path: &str| Path::new(path).exists();
    let Some(libraries) = debian_libraries() else {
        return false;
    };
    exists(DEBIAN_CARGO)
        && libraries.join("src/rust/library/std/Cargo.toml").exists()
        && linker_is_there(&libraries)
        // A link to the linker of the right version, which is a package of its own.
        && exists("/usr/bin/rust-lld")
        && exists(&format!("{DEBIAN_LIBC}/libc.a"))
}

/// The folder of the libraries of Debian's compiler, if it supports the target.
fn debian_libraries() -> Option<PathBuf> {
    let printed = |what: &str| {
        let mut command = Command::new(DEBIAN_RUSTC);
        let output = output(cleared(&mut command).args(["--print", what])).ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let targets = printed("target-list")?;
    let sysroot = printed("sysroot")?;
    let known = targets.lines().any(|target| target == TARGET);
    known.then(|| Path::new(sysroot.trim()).join("lib/rustlib"))
}

fn linker_is_there(libraries: &Path) -> bool {
    let hosts = fs::read_dir(libraries).into_iter().flatten().flatten();
    let mut linkers = hosts.map(|host| host.path().join("bin/wasm-component-ld"));
    linkers.any(|linker| linker.exists())
}

fn debian() -> Command {
    let mut command = Command::new(DEBIAN_CARGO);
    cleared(&mut command)
        .env("RUSTC", DEBIAN_RUSTC)
        .env("RUSTC_BOOTSTRAP", "1")
        .env(
            "CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS",
            format!("-Lnative={DEBIAN_LIBC}"),
        )
        .args(["build", "-Zbuild-std=std,panic_abort"]);
    command
}

/// Removes the variables that rustup's cargo sets for its own compiler.
fn cleared(command: &mut Command) -> &mut Command {
    const THEIRS: [&str; 7] = [
        "RUSTUP_TOOLCHAIN",
        "CARGO",
        "LD_LIBRARY_PATH",
        "RUSTC",
        "RUSTC_WRAPPER",
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
    ];
    for variable in THEIRS {
        command.env_remove(variable);
    }
    cargo::remove_package_variables(command);
    command
}

const LLVM_PACKAGE: &str = "rust-web-llvm";

/// The package of the linker. Its version must be that of the compiler's LLVM, which only the
/// package lists contain.
fn linker_package() -> Result<Option<String>> {
    Ok(linker_for(&packages::depends(LLVM_PACKAGE)?))
}

fn linker_for(depends: &[String]) -> Option<String> {
    let versions = depends.iter().filter_map(|name| {
        let version = name
            .strip_prefix("llvm-")
            .or_else(|| name.strip_prefix("libllvm"))?;
        version.parse::<u32>().ok()
    });
    versions.max().map(|version| format!("lld-{version}"))
}

fn debian_packages(linker: Option<String>) -> Vec<String> {
    let names = ["rustc-web", "cargo-web", "rust-web-src", LLVM_PACKAGE];
    let names = names.into_iter().map(str::to_owned);
    names
        .chain(linker)
        .chain(["wasi-libc".to_owned()])
        .collect()
}

fn output(command: &mut Command) -> Result<Output> {
    let output = command.output();
    output.with_context(|| format!("failed to start {}", cargo::shown(command)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_linker_follows_the_version_of_llvm() {
        fn check(depends: &[&str], expected: Option<&str>) {
            let depends: Vec<_> = depends.iter().map(|&name| name.to_owned()).collect();
            assert_eq!(linker_for(&depends).as_deref(), expected, "{depends:?}");
        }
        check(&["libc6", "llvm-22"], Some("lld-22"));
        check(&["libllvm19", "libgcc-s1"], Some("lld-19"));
        check(&["llvm-runtime"], None);
        check(&[], None);
    }

    #[test]
    fn the_packages_are_named_with_the_linker() {
        let packages = debian_packages(Some("lld-22".to_owned()));
        let expected = "rustc-web cargo-web rust-web-src rust-web-llvm lld-22 wasi-libc";
        assert_eq!(packages.join(" "), expected);
    }
}
