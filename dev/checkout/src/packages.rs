//! Installs and queries Debian's packages.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::cargo::shown;

/// The command that installs the packages.
pub fn install_command(packages: &[String]) -> String {
    format!(
        "apt-get install --no-install-recommends {}",
        packages.join(" ")
    )
}

/// Whether packages can be installed here: by root, with apt-get.
pub fn can_install() -> bool {
    rustix::process::geteuid().is_root() && is_available(Command::new("apt-get").arg("--version"))
}

/// Installs the packages; if that fails, refreshes the package lists and tries again.
pub fn install(packages: &[String]) -> Result<()> {
    let mut command = apt("apt-get");
    command
        .args(["install", "--yes", "--no-install-recommends"])
        .args(packages);
    if !succeeds(&mut command)? {
        update()?;
        if !succeeds(&mut command)? {
            bail!("{} failed", shown(&command));
        }
    }
    Ok(())
}

/// The names of the packages that a package depends on; empty when the package is unknown here.
pub fn depends(package: &str) -> Result<Vec<String>> {
    let mut command = apt("apt-cache");
    let output = command.args(["depends", package]).output();
    let output = output.with_context(|| format!("failed to start {}", shown(&command)))?;
    Ok(parse_depends(&String::from_utf8_lossy(&output.stdout)))
}

/// Refreshes the package lists.
pub fn update() -> Result<()> {
    let mut command = apt("apt-get");
    command.arg("update");
    if !succeeds(&mut command)? {
        bail!("{} failed", shown(&command));
    }
    Ok(())
}

/// Whether a program exists and succeeds.
pub fn is_available(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Whether an existing program succeeds.
pub fn succeeds_quietly(command: &mut Command) -> Result<bool> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let status = command.status();
    Ok(status
        .with_context(|| format!("failed to start {}", shown(command)))?
        .success())
}

fn apt(program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    command
}

fn succeeds(command: &mut Command) -> Result<bool> {
    eprintln!("  {}", shown(command).trim_matches('`'));
    let output = command
        .output()
        .with_context(|| format!("failed to start {}", shown(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        for line in said
            .lines()
            .rev()
            .take(3)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
        {
            eprintln!("    {line}");
        }
    }
    Ok(output.status.success())
}

fn parse_depends(output: &str) -> Vec<String> {
    let names = output
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "));
    names.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_read_and_the_rest_is_not() {
        let output =
            "rust-web-llvm\n  Depends: libc6\n  Depends: llvm-22\n  Conflicts: <rust-llvm>\n";
        assert_eq!(parse_depends(output), ["libc6", "llvm-22"]);
        assert_eq!(parse_depends(""), Vec::<String>::new());
    }
}
