//! The program `sampan`: `up`, `run`, `inspect`, `new`, `push`, `pull`, `schema`, `convert` and `completions` on this
//! machine; `deploy`, `list`, `logs`, `invoke` and `delete` on a cluster.
//!
//! It reads arguments and files, and shows the results of the crates below it. [`failure`] alone turns their errors
//! into a message, an advice and an exit code. The engine runs WebAssembly, and the runner serves HTTP; this crate
//! does neither. Decisions are pure functions, such as `up/catalog.rs` and `cluster/deploy/wait.rs`.
//!
//! # Behaviours
//!
//! Files are relative to `src`; whole-system tests are in the package `sampan-tests`.
//!
//! - Files that are functions: `up/discover.rs` and `source.rs`, with their tests.
//! - A changed file: `up/watch.rs`, `up/scan.rs`, `up/catalog.rs` and `up/reloader.rs`, with their tests, and
//!   `new_function`.
//! - The events of `sampan up`: `up/event.rs` and `up/text.rs`, with their tests.
//! - Messages, advice and exit codes: `failure.rs` and `exit.rs`, with their tests, and `cli_refusals`.
//! - `run`, `inspect` and `new`: `run.rs`, `inspect.rs` and `new.rs`, with their tests, and `new_function`.
//! - `push` and `pull`: `push.rs` and `pull.rs`, with their tests, and `tests/registry_real.rs` of the package
//!   `sampan-artifact`.
//! - `convert`: `convert.rs`, and `wasmapp.rs` of the package `sampan-crd`.
//! - The chosen cluster, by kubeconfig, context and proxy: `cluster/kubeconfig.rs`, with its tests.
//! - `deploy`, the applied objects: `cluster/deploy/manifest.rs` and `cluster/deploy/mapping.rs`, with their tests.
//! - `deploy`, its end and the cause of a failure: `cluster/deploy/wait.rs` and `cluster/deploy/diagnosis.rs`, with
//!   their tests.
//! - `list`, `logs`, `invoke` and `delete`: the files of these names in `cluster`, with their tests.
//! - The meaning of a cluster's refusals: `failure/cluster.rs`, with its tests.

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
