//! Why a call of containerd's fails, and the one mapping of that to ttrpc's codes.

use containerd_shim::protos::ttrpc::{self, Code, get_status};

use crate::cgroup::GroupError;
use crate::task::state::Rejected;

/// Why a call fails.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShimError {
    /// There is no such task or process, or it has ended.
    #[error("{0}")]
    NotFound(String),
    /// There is one already.
    #[error("{0} exists already")]
    Exists(String),
    /// It cannot be done in this state.
    #[error("{0}")]
    Precondition(String),
    /// What was asked for makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// It is not supported, and will not be for this kind of container.
    #[error("{0}")]
    Unsupported(String),
    /// A container could not be made or started; says the cause.
    #[error("{0}")]
    Container(String),
    /// The operating system refused.
    #[error("{doing}: {source}")]
    System {
        /// What was being done.
        doing: String,
        /// What it said.
        source: std::io::Error,
    },
}

impl ShimError {
    /// What the operating system refused while doing something.
    pub(crate) fn system(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::System { doing, source }
    }

    fn code(&self) -> Code {
        match self {
            Self::NotFound(_) => Code::NOT_FOUND,
            Self::Exists(_) => Code::ALREADY_EXISTS,
            Self::Precondition(_) => Code::FAILED_PRECONDITION,
            Self::Invalid(_) => Code::INVALID_ARGUMENT,
            Self::Unsupported(_) => Code::UNIMPLEMENTED,
            Self::Container(_) | Self::System { .. } => Code::UNKNOWN,
        }
    }
}

impl From<GroupError> for ShimError {
    fn from(error: GroupError) -> Self {
        if error.is_invalid() {
            Self::Invalid(error.to_string())
        } else {
            Self::Container(error.to_string())
        }
    }
}

impl From<Rejected> for ShimError {
    fn from(rejected: Rejected) -> Self {
        let message = rejected.to_string();
        match rejected {
            // containerd takes a process that has ended for one that is gone.
            Rejected::Ended => Self::NotFound(message),
            Rejected::Started
            | Rejected::NotMade
            | Rejected::NotRunning
            | Rejected::NotPaused
            | Rejected::StillRuns => Self::Precondition(message),
        }
    }
}

impl From<ShimError> for ttrpc::Error {
    fn from(error: ShimError) -> Self {
        Self::RpcStatus(get_status(error.code(), error))
    }
}

/// What calls return.
pub(crate) type Result<T> = std::result::Result<T, ShimError>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containerd_gets_the_code_of_each_failure() {
        let check = |error: ShimError, expected: Code| {
            let message = error.to_string();
            let ttrpc::Error::RpcStatus(status) = ttrpc::Error::from(error) else {
                panic!("no status: {message}");
            };
            assert_eq!((status.code(), status.message()), (expected, &*message));
        };
        let text = || "text".to_owned();
        check(ShimError::NotFound(text()), Code::NOT_FOUND);
        check(ShimError::Exists(text()), Code::ALREADY_EXISTS);
        check(ShimError::Precondition(text()), Code::FAILED_PRECONDITION);
        check(ShimError::Invalid(text()), Code::INVALID_ARGUMENT);
        check(ShimError::Unsupported(text()), Code::UNIMPLEMENTED);
        check(ShimError::Container(text()), Code::UNKNOWN);
        let refused = std::io::ErrorKind::PermissionDenied.into();
        check(ShimError::system(text())(refused), Code::UNKNOWN);
        check(Rejected::Ended.into(), Code::NOT_FOUND);
        for rejected in [
            Rejected::Started,
            Rejected::NotMade,
            Rejected::NotRunning,
            Rejected::NotPaused,
            Rejected::StillRuns,
        ] {
            check(rejected.into(), Code::FAILED_PRECONDITION);
        }
    }
}
