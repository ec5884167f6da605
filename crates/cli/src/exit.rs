//! Exit codes of the program, which are part of its interface for scripts.
//!
//! Each code has one meaning. `sampan --help` prints this list, and a test compares docs/cli.md
//! with it.

use std::fmt::Write as _;
use std::process::ExitCode;

/// The way in which the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Success.
    Success,
    /// A failure without a code of its own.
    Unexpected,
    /// The arguments were not understood; clap's own code.
    Usage,
    /// A file or folder cannot be read.
    Missing,
    /// A file is not WebAssembly that can be compiled.
    Wasm,
    /// A function.yaml is wrong.
    FunctionFile,
    /// Two functions have one name.
    SameName,
    /// WebAssembly that this host, or this command, cannot run.
    NotRunnable,
    /// None of several functions can be served.
    NothingToServe,
    /// An address cannot be listened on.
    Address,
    /// The data folder cannot be used.
    Data,
    /// Files cannot be watched.
    Watch,
    /// A file or folder exists and would be overwritten.
    Exists,
    /// A registry cannot be reached, or fails.
    Registry,
    /// A registry requires other credentials, or they cannot be read.
    Credentials,
    /// A registry does not have the reference.
    NotFound,
    /// The content of a registry does not verify.
    Content,
    /// A cluster cannot be reached, or fails.
    Cluster,
    /// There is no kubeconfig that can be used.
    Kubeconfig,
    /// A cluster forbids the request.
    Forbidden,
    /// A cluster without Sampan.
    NoSampan,
    /// A cluster does not have the object.
    Absent,
    /// A cluster rejects a resource.
    Refused,
    /// A deployed function cannot become ready.
    NotReady,
    /// A function does not answer: no pod is ready, or the connection broke.
    NoAnswer,
    /// A function responded with a failure status, and `--fail` was given.
    FailedAnswer,
    /// The time of `--timeout` was up; the code of timeout(1).
    Timeout,
    /// A second SIGINT arrived; the shells' code for a program that SIGINT ended.
    Interrupted,
    /// A command trapped; the shells' code for a program that aborted.
    Trap,
    /// A second SIGTERM arrived.
    Terminated,
}

impl Exit {
    /// All variants in the order of their codes.
    pub(crate) const ALL: [Self; 30] = [
        Self::Success,
        Self::Unexpected,
        Self::Usage,
        Self::Missing,
        Self::Wasm,
        Self::FunctionFile,
        Self::SameName,
        Self::NotRunnable,
        Self::NothingToServe,
        Self::Address,
        Self::Data,
        Self::Watch,
        Self::Exists,
        Self::Registry,
        Self::Credentials,
        Self::NotFound,
        Self::Content,
        Self::Cluster,
        Self::Kubeconfig,
        Self::Forbidden,
        Self::NoSampan,
        Self::Absent,
        Self::Refused,
        Self::NotReady,
        Self::NoAnswer,
        Self::FailedAnswer,
        Self::Timeout,
        Self::Interrupted,
        Self::Trap,
        Self::Terminated,
    ];

    /// The code and its meaning.
    fn entry(self) -> (u8, &'static str) {
        match self {
            Self::Success => (0, "all went well"),
            Self::Unexpected => (1, "a failure of the machine or of Sampan itself"),
            Self::Usage => (2, "arguments that were not understood"),
            Self::Missing => (10, "a file or folder that is not there or cannot be read"),
            Self::Wasm => (11, "a file that is not WebAssembly, or does not compile"),
            Self::FunctionFile => (12, "a function.yaml or a WasmFunction with a mistake"),
            Self::SameName => (13, "two functions of one name"),
            Self::NotRunnable => (14, "WebAssembly that this host or this command cannot run"),
            Self::NothingToServe => (15, "no function that could be served"),
            Self::Address => (16, "an address that cannot be listened on"),
            Self::Data => (17, "a data folder that cannot be used"),
            Self::Watch => (18, "files that cannot be watched"),
            Self::Exists => (19, "something that is in the way and is not overwritten"),
            Self::Registry => (30, "a registry that cannot be reached, or fails"),
            Self::Credentials => (
                31,
                "a registry that wants other credentials, or credentials that cannot be had",
            ),
            Self::NotFound => (32, "something that the registry does not have"),
            Self::Content => (
                33,
                "content of a registry that does not verify, or is no function",
            ),
            Self::Cluster => (40, "a cluster that cannot be reached, or fails"),
            Self::Kubeconfig => (41, "no kubeconfig that can be used"),
            Self::Forbidden => (
                42,
                "a cluster that does not allow it, or wants other credentials",
            ),
            Self::NoSampan => (43, "a cluster without Sampan's resource definition"),
            Self::Absent => (44, "something that the cluster does not have"),
            Self::Refused => (45, "a resource that the cluster does not take"),
            Self::NotReady => (46, "deploy: a function that cannot become ready"),
            Self::NoAnswer => (47, "invoke: a function that does not answer"),
            Self::FailedAnswer => (
                48,
                "invoke: an answer with a status of 400 or more, with --fail",
            ),
            Self::Timeout => (124, "it took longer than --timeout"),
            Self::Interrupted => (130, "up: ended at once by a second SIGINT"),
            Self::Trap => (134, "run: the command trapped"),
            Self::Terminated => (143, "up: ended at once by a second SIGTERM"),
        }
    }

    /// The numeric code.
    pub(crate) fn code(self) -> u8 {
        self.entry().0
    }

    /// The meaning in a few words.
    pub(crate) fn about(self) -> &'static str {
        self.entry().1
    }

    /// All codes as text for the end of the help.
    pub(crate) fn help() -> String {
        let mut text = String::new();
        for exit in Self::ALL {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {:>3}  {}", exit.code(), exit.about());
        }
        text
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn each_code_is_there_once_and_in_order() {
        let codes: Vec<u8> = Exit::ALL.map(Exit::code).to_vec();
        assert!(codes.is_sorted_by(|one, next| one < next), "{codes:?}");
        assert!(Exit::ALL.is_sorted());
    }

    #[test]
    fn the_documentation_has_every_code() {
        let page = include_str!("../../../docs/cli.md");
        for exit in Exit::ALL {
            let row = format!("| {} | {} |", exit.code(), exit.about());
            assert!(page.contains(&row), "docs/cli.md lacks {row}");
        }
    }
}
