//! How the program is linked: for a fixed address, and with seccomp's library in it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Each pod has two processes of it, and a program for any address has a megabyte and a half of its
    // data rewritten in each, which the two cannot share: see decision 13.
    println!("cargo::rustc-link-arg-bins=-no-pie");
    // What else a node may lack stands beside the program, where the node installer puts it.
    println!("cargo::rustc-link-arg-bins=-Wl,-rpath,$ORIGIN/sampan-lib");
    // A node need not have libseccomp. The linker looks into a folder that has only the archive before
    // it looks where the shared library is.
    if let (Some(archive), Some(folder)) = (archive(), env::var_os("OUT_DIR")) {
        let link = Path::new(&folder).join("libseccomp.a");
        let _ = fs::remove_file(&link);
        if std::os::unix::fs::symlink(archive, link).is_ok() {
            println!(
                "cargo::rustc-link-search=native={}",
                Path::new(&folder).display()
            );
        }
    }
}

/// Where the C compiler finds the archive; a name without a folder means that it does not.
fn archive() -> Option<PathBuf> {
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    let output = Command::new(compiler)
        .arg("-print-file-name=libseccomp.a")
        .output()
        .ok()?;
    let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    path.is_absolute().then_some(path)
}
