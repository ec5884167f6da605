//! The program `sampan-pool`; all code is in its library.

fn main() -> std::process::ExitCode {
    sampan_pool::main()
}
