//! Links the program for a fixed address.
//!
//! Each pod has two processes of it, and a program for any address has a megabyte and a half of its data
//! rewritten in each, which the two cannot share: see decision 13.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-arg-bins=-no-pie");
}
