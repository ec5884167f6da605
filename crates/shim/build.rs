//! Links the program for a fixed address, and tells it where it finds libraries that a node may lack.
//!
//! Each pod has two processes of it, and a program for any address has a megabyte and a half of its data
//! rewritten in each, which the two cannot share: see decision 13. The libraries stand beside the
//! program, where the node installer puts them.

fn main() {
    println!("cargo::rustc-link-arg-bins=-no-pie");
    println!("cargo::rustc-link-arg-bins=-Wl,-rpath,$ORIGIN/sampan-lib");
    println!("cargo::rerun-if-changed=build.rs");
}
