//! The program `sampan`; everything is in its library.

fn main() -> std::process::ExitCode {
    sampan::main()
}
