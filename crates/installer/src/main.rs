//! The program `sampan-node-installer`; everything is in its library.

fn main() -> std::process::ExitCode {
    sampan_installer::main()
}
