//! The program `sampan`; all code is in its library.

fn main() -> std::process::ExitCode {
    sampan::main()
}
