//! Parses the options of a native program: from flags, or else from the environment. Unknown flags
//! are errors.

use std::env;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use lexopt::{Arg, ValueExt as _};
use thiserror::Error;

/// The options of a native program.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Options {
    /// The address to listen on.
    pub(super) listen: SocketAddr,
    /// A file that exists while the program is healthy, for watchdogs that check for one.
    pub(super) lock_file: Option<PathBuf>,
}

/// Why the options cannot be used.
#[derive(Debug, Error)]
pub(super) enum OptionsError {
    #[error("{0}")]
    Flag(lexopt::Error),
    #[error("the environment variable PORT must be a port from 0 to 65535, not `{0}`")]
    Port(String),
}

const PORT: u16 = 8080;

impl Options {
    /// `None` when help is requested.
    pub(super) fn from_environment() -> Result<Option<Options>, OptionsError> {
        let port = env::var_os("PORT").map(|port| port.to_string_lossy().into_owned());
        let lock_file = env::var_os("FUNCTION_LOCK_FILE").map(PathBuf::from);
        Options::parse(lexopt::Parser::from_env(), port, lock_file)
    }

    fn parse(
        mut flags: lexopt::Parser,
        port: Option<String>,
        lock_file: Option<PathBuf>,
    ) -> Result<Option<Options>, OptionsError> {
        let mut listen = None;
        while let Some(flag) = flags.next().map_err(OptionsError::Flag)? {
            match flag {
                Arg::Long("listen") => {
                    let value = flags.value().map_err(OptionsError::Flag)?;
                    listen = Some(value.parse().map_err(OptionsError::Flag)?);
                }
                Arg::Short('h') | Arg::Long("help") => return Ok(None),
                other => return Err(OptionsError::Flag(other.unexpected())),
            }
        }
        let listen = match (listen, port) {
            (Some(listen), _) => listen,
            (None, Some(port)) => everywhere(port.parse().map_err(|_| OptionsError::Port(port))?),
            (None, None) => everywhere(PORT),
        };
        Ok(Some(Options { listen, lock_file }))
    }
}

fn everywhere(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)
}

/// The help text.
pub(super) fn help(name: &str) -> String {
    format!(
        "Usage: {name} [--listen ADDRESS:PORT]\n\
         \n\
         Serves the function {name} over HTTP/1.1 and cleartext HTTP/2.\n\
         \n\
         --listen ADDRESS:PORT  where to listen; without it PORT of all addresses, or {PORT}\n\
         \n\
         Environment: PORT, FUNCTION_LOCK_FILE (a file that exists while the function is healthy).\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_comes_before_the_environment() {
        fn check(flags: &[&str], port: Option<&str>, expected: Option<&str>) {
            let parser = lexopt::Parser::from_args(flags);
            let options = Options::parse(parser, port.map(str::to_owned), None);
            let listen = options
                .ok()
                .flatten()
                .map(|options| options.listen.to_string());
            assert_eq!(listen.as_deref(), expected, "{flags:?} {port:?}");
        }
        check(&[], None, Some("0.0.0.0:8080"));
        check(&[], Some("9000"), Some("0.0.0.0:9000"));
        check(
            &["--listen", "127.0.0.1:1"],
            Some("9000"),
            Some("127.0.0.1:1"),
        );
        check(&["--listen=[::1]:2"], None, Some("[::1]:2"));
        check(&["--help"], None, None);
        check(&["--port=1"], None, None);
        check(&["stray"], None, None);
        check(&["--listen", "nowhere"], None, None);
        check(&[], Some("http"), None);
    }
}
