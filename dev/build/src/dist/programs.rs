//! Makes the released programs: without symbols, and with a list of the libraries that each loads.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use sampan_checkout::repository::Repository;

/// The programs of a release.
const NAMES: [&str; 5] = [
    "sampan",
    "sampan-operator",
    "sampan-pool",
    "sampan-node-installer",
    "containerd-shim-sampan-v1",
];

/// A released program.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) name: &'static str,
    pub(super) file: PathBuf,
}

/// Copies the built programs to a folder, without symbols.
pub(super) fn strip(repository: &Repository, folder: &Path) -> Result<Vec<Program>> {
    fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
    let mut programs = Vec::new();
    for name in NAMES {
        let built = repository.program(name);
        let file = folder.join(name);
        let mut command = Command::new("strip");
        command.arg("--strip-all").arg("-o").arg(&file).arg(&built);
        let status = command
            .status()
            .context("failed to run strip, which Debian's binutils has")?;
        if !status.success() {
            bail!("strip failed on {}", built.display());
        }
        programs.push(Program { name, file });
    }
    Ok(programs)
}

/// The libraries that a program loads, the loader among them, as paths of this machine.
pub(super) fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd")
        .arg(program)
        .env("LC_ALL", "C")
        .output()
        .context("failed to run ldd")?;
    if !output.status.success() {
        bail!("ldd failed on {}", program.display());
    }
    parse(&String::from_utf8_lossy(&output.stdout))
        .with_context(|| format!("failed to find the libraries of {}", program.display()))
}

/// Parses the paths in ldd's output: `NAME => PATH (ADDRESS)` or `PATH (ADDRESS)`.
fn parse(text: &str) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        // The kernel maps the vDSO into every process.
        if line.is_empty() || line.starts_with("linux-vdso") || line == "statically linked" {
            continue;
        }
        let path = line.split_once(" => ").map_or(line, |(_, path)| path);
        let path = path.split_once(" (").map_or(path, |(path, _)| path);
        if !path.starts_with('/') {
            bail!("`{line}`");
        }
        paths.push(PathBuf::from(path));
    }
    paths.sort();
    paths.dedup();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_of_ldd_is_a_list_of_files() {
        let text = "\tlinux-vdso.so.1 (0x00007ffd)
\tlibseccomp.so.2 => /lib/x86_64-linux-gnu/libseccomp.so.2 (0x00007f01)
\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f02)
\t/lib64/ld-linux-x86-64.so.2 (0x00007f03)
";
        let expected = [
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/lib/x86_64-linux-gnu/libseccomp.so.2",
            "/lib64/ld-linux-x86-64.so.2",
        ];
        assert_eq!(parse(text).unwrap(), expected.map(PathBuf::from));
        assert_eq!(
            parse("\tstatically linked\n").unwrap(),
            Vec::<PathBuf>::new()
        );
        let missing = parse("\tlibx.so => not found\n").unwrap_err();
        assert!(missing.to_string().contains("libx.so"), "{missing}");
    }
}
