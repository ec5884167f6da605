//! Tells the linker where the shim finds libraries that a node may lack: beside itself, where the node
//! installer puts them.

fn main() {
    println!("cargo::rustc-link-arg-bins=-Wl,-rpath,$ORIGIN/sampan-lib");
    println!("cargo::rerun-if-changed=build.rs");
}
