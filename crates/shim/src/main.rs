//! The program `containerd-shim-sampan-v1`; everything is in its library.

fn main() -> std::process::ExitCode {
    sampan_shim::main()
}
