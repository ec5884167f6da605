//! Command-line arguments and their help texts.
//!
//! Values are parsed and checked here, and used elsewhere.

mod cluster;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use sampan_artifact::Reference;

use crate::exit::Exit;
use crate::values::{self, Folder};

pub(crate) use cluster::{ClusterChoice, Delete, Deploy, DryRun, Invoke, List, Logs};

/// Runs WebAssembly functions, on this machine and on Kubernetes.
///
/// A function is one .wasm file: an HTTP handler (wasi:http 0.2 or 0.3) or a WASI command. `sampan
/// up` serves all functions of a folder and swaps each one when its file changes; `sampan run` runs
/// a command like any other program. Neither needs a cluster, a registry or a container engine.
/// `sampan deploy` deploys functions to a cluster that has Sampan's operator; `list`, `logs`,
/// `invoke` and `delete` manage them there.
#[derive(Debug, Parser)]
#[command(
    name = "sampan",
    version,
    arg_required_else_help = true,
    after_help = "`sampan help COMMAND` explains a command.",
    after_long_help = after_long_help()
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

fn after_long_help() -> String {
    format!(
        "Begin with a function of your own:
  sampan new hello              makes the folder hello
  cd hello
  cargo build --release
  sampan up                     serves it at http://127.0.0.1:8080/function/hello

Exit codes:
{}
Failures go to standard error in two lines: what and where, and what to do.",
        Exit::help()
    )
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Up(Up),
    Run(Run),
    Inspect(Inspect),
    New(New),
    Push(Push),
    Pull(Pull),
    Deploy(Deploy),
    List(List),
    Logs(Logs),
    Invoke(Invoke),
    Delete(Delete),
    /// Prints the JSON schema of function.yaml
    ///
    /// Editors use it to complete and check a function.yaml. The page docs/cli.md says how.
    Schema,
    Convert(Convert),
    Completions(Completions),
}

/// Converts a `WasmApp` resource to a `WasmFunction`
///
/// Reads the YAML of one `WasmApp`, the resource of the system that Sampan goes back to, and prints
/// the `WasmFunction` that does the same. Standard error lists what differs or has no counterpart.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sampan convert wasmapp.yaml > wasmfunction.yaml
  sampan convert wasmapp.yaml | kubectl apply -f -")]
pub(crate) struct Convert {
    /// The file with the `WasmApp`
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// Serves functions over HTTP, and watches their files
///
/// Each PATH is a folder with a function.yaml, a folder of such folders and of bare .wasm files, a
/// function.yaml, or a .wasm file. Every function gets two URLs: /function/NAME and, with any path,
/// NAME.localhost. Ready functions are served while others still compile; a broken one answers 503
/// with the cause and affects no other.
///
/// A changed file is compiled while the old version continues to answer, and takes over between two
/// requests. A version that cannot be loaded never replaces one that works.
///
/// The first SIGINT (Ctrl-C) or SIGTERM stops taking connections, lets requests in progress finish
/// and ends with 0; a second one ends at once.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sampan up                          the folder you are in
  sampan up functions/               every function below functions/
  sampan up target/wasm32-wasip2/release/hello.wasm --listen 9000
  sampan up --output json | jq .     one event a line, for programs

Served as they are: HTTP handlers. A WASI command answers requests the CGI way when its
function.yaml says `http: cgi`.")]
pub(crate) struct Up {
    /// Folders, function.yaml files and .wasm files
    #[arg(value_name = "PATH", default_value = ".")]
    pub(crate) paths: Vec<PathBuf>,
    /// Address to listen on; may be given several times
    ///
    /// ADDRESS:PORT, or only a port on 127.0.0.1. Port 0 lets the system choose one.
    #[arg(long, value_name = "ADDRESS", value_parser = values::address, default_value = "127.0.0.1:8080")]
    pub(crate) listen: Vec<SocketAddr>,
    /// Address that serves /metrics, /healthz and /readyz; off by default
    #[arg(long, value_name = "ADDRESS", value_parser = values::address)]
    pub(crate) admin: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) data: Data,
    /// Format of log lines on standard error
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
    /// Format of events on standard output
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Output,
    /// Do not watch files: serve the functions found at the start until the end
    #[arg(long)]
    pub(crate) no_watch: bool,
    /// How long requests in progress, and functions after their answers, may take at the end
    #[arg(long, value_name = "TIME", value_parser = values::time, default_value = "10s")]
    pub(crate) drain: Duration,
}

/// Runs a WASI command with this terminal's streams
///
/// FILE is a .wasm that exports a command: a core module of WASI preview 1 with _start, or a
/// component with wasi:cli/run. It may also be a function.yaml; its environment, arguments and
/// memory limit then apply. The command gets no environment, folders or network other than those
/// given here.
///
/// It ends with the command's own exit code.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sampan run hello.wasm
  sampan run count.wasm --dir .::/data:ro -- /data/words.txt
  echo text | sampan run upper.wasm --env LANG=C

Exit codes: the command's own; 134 when it trapped, 124 when --timeout ended it.")]
pub(crate) struct Run {
    /// The command: a .wasm file or a function.yaml
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Sets a variable of the command's environment
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = values::variable)]
    pub(crate) environment: Vec<(String, String)>,
    /// Mounts a folder for the command, optionally under another name and read-only
    #[arg(long = "dir", value_name = "HOST[::GUEST][:ro]", value_parser = values::folder)]
    pub(crate) folders: Vec<Folder>,
    /// Ends the command after this time, such as 10s
    #[arg(long, value_name = "TIME", value_parser = values::positive_time)]
    pub(crate) timeout: Option<Duration>,
    #[command(flatten)]
    pub(crate) data: Data,
    /// Arguments of the command
    #[arg(last = true, value_name = "ARGUMENT")]
    pub(crate) arguments: Vec<String>,
}

/// Shows what a .wasm file is and whether this host can run it
///
/// Nothing is compiled or run. It ends with 0 when `sampan up` or `sampan run` can run the file. It
/// ends with 14 when the file is valid WebAssembly that this host cannot run, and lists what is
/// missing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sampan inspect hello.wasm
  sampan inspect hello.wasm --output json | jq -r .missing[]")]
pub(crate) struct Inspect {
    /// The .wasm file
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Format of the output
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Output,
}

/// Makes the source of a new function in Rust
///
/// It builds and runs as it stands. NAME becomes part of host names: a-z, 0-9 and inner hyphens, at
/// most 63.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sampan new hello
  sampan new hello --path services/hello")]
pub(crate) struct New {
    /// The function's name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// The folder to make; default: NAME in the current folder
    #[arg(long, value_name = "FOLDER")]
    pub(crate) path: Option<PathBuf>,
}

/// Pushes a function to a registry
///
/// FILE is a .wasm or a function.yaml. The tag names a Wasm artifact, which a `WasmFunction` and tools
/// for Wasm artifacts take. With --image it names ordinary images for linux/amd64 and
/// linux/arm64, which `kubectl run` starts as well. The same file always has the same digest, which
/// is printed.
///
/// Credentials come from Docker's configuration, as `docker login` and its helpers write them.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sampan push hello.wasm registry.example/functions/hello:1.0
  sampan push hello/function.yaml localhost:5000/hello
  sampan push hello.wasm registry.example/functions/hello:1.0-image --image
  sampan push hello.wasm localhost:5000/hello:1 --output json | jq -r .digest")]
pub(crate) struct Push {
    /// The function: a .wasm file or a function.yaml
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The target: HOST[:PORT]/REPOSITORY[:TAG]
    #[arg(value_name = "REFERENCE", value_parser = values::reference)]
    pub(crate) reference: Reference,
    /// Push ordinary images, which start in a pod without a command, in place of a Wasm artifact
    #[arg(long)]
    pub(crate) image: bool,
    /// Adds an annotation, such as org.opencontainers.image.source, to each pushed manifest
    #[arg(long = "annotation", value_name = "KEY=VALUE", value_parser = values::variable)]
    pub(crate) annotations: Vec<(String, String)>,
    /// Push the file even if this host cannot run it
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) access: RegistryAccess,
    /// Format of the output
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Output,
}

/// Pulls a function from a registry
///
/// Wasm artifacts and images are supported, also those of other tools. Everything is verified
/// against its digest before the file is written.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sampan pull registry.example/functions/hello:1.0     writes hello.wasm
  sampan pull localhost:5000/hello -o functions/hello.wasm")]
pub(crate) struct Pull {
    /// The source: HOST[:PORT]/REPOSITORY[:TAG][@DIGEST]
    #[arg(value_name = "REFERENCE", value_parser = values::reference)]
    pub(crate) reference: Reference,
    /// The file to write; default: the last part of the repository's name, with .wasm
    #[arg(short = 'o', long = "file", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The most bytes of the .wasm, such as 10Mi; default: the most of any function
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    pub(crate) most: Option<u64>,
    /// Replace a file that has other content
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) access: RegistryAccess,
    /// Format of the output
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Output,
}

/// Access to a registry.
#[derive(Clone, Debug, Args)]
pub(crate) struct RegistryAccess {
    /// Connect to the registry without TLS, as always to one on this machine
    #[arg(long)]
    pub(crate) plain_http: bool,
}

/// Prints a shell's completion script
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sampan completions bash > ~/.local/share/bash-completion/completions/sampan
  sampan completions zsh > ~/.zfunc/_sampan
  sampan completions fish > ~/.config/fish/completions/sampan.fish")]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}

/// Location of Sampan's data.
#[derive(Debug, Args)]
pub(crate) struct Data {
    /// The folder of compiled modules; default: `$XDG_DATA_HOME/sampan`, or `~/.local/share/sampan`
    #[arg(id = "data", long = "data", value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,
}

/// Format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// Format of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    Text,
    /// For programs
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use clap::Parser as _;

    use super::Arguments;

    #[test]
    fn the_definitions_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_of_the_documentation_is_understood() {
        let page = include_str!("../../../docs/cli.md");
        let commands: Vec<&str> = page
            .lines()
            .filter_map(|line| line.strip_prefix("$ "))
            .filter(|line| line.starts_with("sampan "))
            .collect();
        assert!(commands.len() > 5, "{commands:?}");
        for command in commands {
            let command = command
                .split(['|', '<', '>', '#'])
                .next()
                .unwrap_or_default();
            let parsed = Arguments::try_parse_from(command.split_whitespace());
            if let Err(error) = parsed {
                assert!(!error.use_stderr(), "{command}: {error}");
            }
        }
    }
}
