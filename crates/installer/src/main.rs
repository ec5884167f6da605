//! The program `sampan-node-installer`; the code is in its library.

fn main() -> std::process::ExitCode {
    sampan_installer::main()
}
