//! The program `sampan-operator`.

use std::process::ExitCode;

fn main() -> ExitCode {
    sampan_operator::main()
}
