//! Everything a function can refuse or fail with, and the one mapping of it to HTTP. A message is one line, the body of
//! the response.

use thiserror::Error;

use crate::{InvalidUrl, OutboundError, ParameterError};

/// Why a function doesn't answer 200.
#[derive(Debug, Error)]
pub enum Error {
    /// The caller's mistake: 400.
    #[error(transparent)]
    Parameter(#[from] ParameterError),

    /// The mistake of whoever deployed the function: 500.
    #[error("the environment variable {variable} is not set")]
    NoVariable {
        /// Its name.
        variable: &'static str,
    },

    /// The mistake of whoever deployed the function: 500.
    #[error("the environment variable {variable} is not a URL: {source}")]
    Variable {
        /// Its name.
        variable: &'static str,
        /// What is wrong with it.
        source: InvalidUrl,
    },

    /// The operating system gave no random bytes: 500.
    #[error("no randomness: {0}")]
    Randomness(String),

    /// The service behind the function didn't answer with success: 502.
    #[error("upstream answered {status}")]
    UpstreamStatus {
        /// Its status.
        status: u16,
    },

    /// The service behind the function didn't answer, or not in a usable way: 502.
    #[error("upstream failed: {0}")]
    Upstream(OutboundError),
}

impl Error {
    /// The status that tells the caller.
    pub fn status(&self) -> u16 {
        match self {
            Error::Parameter(_) => 400,
            Error::NoVariable { .. } | Error::Variable { .. } | Error::Randomness(_) => 500,
            Error::UpstreamStatus { .. } | Error::Upstream(_) => 502,
        }
    }
}
