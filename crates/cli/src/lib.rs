//! The command line of `sampan`. On this machine: `up`, `run`, `inspect`, `new`, `push`, `pull`,
//! `schema`, `convert` and `completions`. On a cluster: `deploy`, `list`, `logs`, `invoke` and
//! `delete`.
//!
//! It reads arguments and files, and prints the results of the crates below it. [`failure`] maps
//! their errors to a message, advice and an exit code. The engine runs WebAssembly, and the runner
//! serves HTTP.

mod arguments;
mod cluster;
mod completions;
mod convert;
mod data;
mod exit;
mod failure;
mod inspect;
mod new;
mod output;
mod pull;
mod push;
mod registry;
mod run;
mod sanitize;
mod schema;
mod source;
mod terminal;
mod up;
mod values;

use std::process::ExitCode;

use clap::Parser as _;

use arguments::{Arguments, Command};

/// The hidden command with which the engine starts this program to compile a module.
const COMPILE: &str = "__compile";

/// Runs the program with the arguments of this process.
pub fn main() -> ExitCode {
    // This comes first: the compiler's process must start fast and hold no resources.
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == COMPILE) {
        let rest: Vec<String> = arguments
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect();
        return sampan_engine::compile_child(&rest);
    }
    // Ends the program on `--help`, `--version` and invalid arguments.
    let outcome = match Arguments::parse().command {
        Command::Up(up) => up::up(&up),
        Command::Run(run) => run::run(run),
        Command::Inspect(inspect) => inspect::inspect(&inspect),
        Command::New(new) => new::new(&new),
        Command::Push(push) => push::push(&push),
        Command::Pull(pull) => pull::pull(&pull),
        Command::Deploy(deploy) => cluster::deploy::deploy(&deploy),
        Command::List(list) => cluster::list::list(&list),
        Command::Logs(logs) => cluster::logs::logs(&logs),
        Command::Invoke(invoke) => cluster::invoke::invoke(&invoke),
        Command::Delete(delete) => cluster::delete::delete(&delete),
        Command::Schema => schema::schema(),
        Command::Convert(convert) => convert::convert(&convert),
        Command::Completions(completions) => completions::completions(&completions),
    };
    outcome.unwrap_or_else(|failure| {
        failure.show();
        failure.exit.into()
    })
}
