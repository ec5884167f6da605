//! The errors of a function, and their only mapping to HTTP. A message is one line, which is the
//! body of the response.

use thiserror::Error;

use crate::{InvalidUrl, OutboundError, ParameterError};

/// Why a function does not answer 200.
#[derive(Debug, Error)]
pub enum Error {
    /// A mistake of the caller: 400.
    #[error(transparent)]
    Parameter(#[from] ParameterError),

    /// A mistake of the deployment: 500.
    #[error("the environment variable {variable} is not set")]
    NoVariable {
        /// Its name.
        variable: &'static str,
    },

    /// A mistake of the deployment: 500.
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

    /// The service behind the function did not answer, or its answer was unusable: 502.
    #[error("upstream failed: {0}")]
    Upstream(OutboundError),
}

impl Error {
    /// The status of the response.
    pub fn status(&self) -> u16 {
        match self {
            Error::Parameter(_) => 400,
            Error::NoVariable { .. } | Error::Variable { .. } | Error::Randomness(_) => 500,
            Error::UpstreamStatus { .. } | Error::Upstream(_) => 502,
        }
    }
}
