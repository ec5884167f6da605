//! Reasons why the pool does not serve a version of a function, and their one mapping to the
//! report's causes.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use sampan_artifact::ReferenceError;
use sampan_crd::Invalid;
use sampan_crd::pool_report::{PoolCause, PoolFailure};
use sampan_engine::{CallError, LoadError, TrapCause};
use sampan_runner::BindError;

use crate::backoff::{doubled, spread};
use crate::expansion::Budget;
use crate::objects::{ObjectKey, ObjectKind};

/// The most bytes of a message, which may contain foreign text.
const MAX_MESSAGE_BYTES: usize = 700;

/// Why a version is not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PoolError {
    /// A field of the resource is not allowed.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The resource cannot be parsed, by an older definition than this program's.
    #[error("the resource cannot be read: {0}")]
    Unreadable(String),
    /// The image's name is malformed.
    #[error("spec.image {image:?}")]
    ImageName {
        image: String,
        source: ReferenceError,
    },
    /// An object does not exist.
    #[error("{0} does not exist: create it, or make the reference optional")]
    NoObject(ObjectKey),
    /// An object lacks a key.
    #[error("there is no key {key:?} in {object}: add it, or make the reference optional")]
    NoKey { object: ObjectKey, key: String },
    /// A value cannot be that of a variable.
    #[error("the value of {variable} in {object} is no text without NUL characters in UTF-8")]
    NoText { object: ObjectKey, variable: String },
    /// The environment is larger than its budget.
    #[error("environment and arguments have more than {} bytes", Budget::MAX_BYTES)]
    EnvironmentTooLarge,
    /// The pool's pod lacks a field.
    #[error("the pool's pod has no value for the fieldRef {path}")]
    NoField { path: String },
    /// The pool's account lacks a permission.
    #[error("the pool may not get, list and watch objects of kind {0}: its Role must allow it")]
    Forbidden(ObjectKind),
    /// The credentials of an image cannot be read.
    #[error(transparent)]
    Credentials(#[from] sampan_artifact::CredentialsError),
    /// The image cannot be pulled.
    #[error("the image cannot be pulled{hint}")]
    Pull {
        hint: String,
        /// Shared with the other functions that waited for this pull.
        source: Arc<sampan_artifact::Error>,
    },
    /// The image is not here, and must not be pulled.
    #[error("the image is not in this pod, and imagePullPolicy Never forbids to pull it")]
    NeverPulled,
    /// The image cannot be kept.
    #[error("the image cannot be kept in {folder}")]
    Keep {
        folder: String,
        source: std::io::Error,
    },
    /// The kept image has changed.
    #[error("the kept module has the digest {found} and not {expected}; it is pulled again")]
    Damaged { expected: String, found: String },
    /// The module cannot be compiled or linked.
    #[error("the module cannot be loaded")]
    Load(#[from] LoadError),
    /// The first instance fails.
    #[error("no instance of the module can be made")]
    Instance(#[source] CallError),
    /// A fault of this program.
    #[error("the load has panicked; the log of the pod has the place")]
    Panicked,
    /// The port cannot be opened.
    #[error("the pod's port {port} cannot be opened")]
    Port { port: u16, source: BindError },
}

/// When a failed version is tried again without a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// Only after a change of the resource or of its objects.
    Never,
    Later,
}

impl PoolError {
    /// The report's cause, on which users and programs rely.
    pub(crate) fn cause(&self) -> PoolCause {
        match self {
            Self::Invalid(_) | Self::Unreadable(_) | Self::EnvironmentTooLarge => {
                PoolCause::Invalid
            }
            Self::ImageName { .. } => PoolCause::InvalidImageName,
            Self::NoObject(_) | Self::NoKey { .. } | Self::NoText { .. } | Self::NoField { .. } => {
                PoolCause::ConfigurationMissing
            }
            Self::Forbidden(_) => PoolCause::Forbidden,
            Self::Credentials(_)
            | Self::Pull { .. }
            | Self::NeverPulled
            | Self::Keep { .. }
            | Self::Damaged { .. } => PoolCause::ImagePullFailed,
            Self::Load(_) | Self::Instance(_) | Self::Panicked => PoolCause::StartFailed,
            Self::Port { .. } => PoolCause::PortUnavailable,
        }
    }

    /// Whether the same version may load later. A registry may get what it lacks, so every pull is
    /// repeated, as by the kubelet. So is what a busy host may cause: limits of time, and errors of
    /// the operating system.
    pub(crate) fn retry(&self) -> Retry {
        match self {
            Self::Pull { .. }
            | Self::NeverPulled
            | Self::Keep { .. }
            | Self::Damaged { .. }
            | Self::Panicked
            | Self::Port { .. } => Retry::Later,
            Self::Load(error) => match error {
                LoadError::Read { .. }
                | LoadError::Compiler(_)
                | LoadError::Cache { .. }
                | LoadError::Engine(_)
                | LoadError::CompileKilled { .. }
                | LoadError::CompileTime { .. }
                | LoadError::Link(_) => Retry::Later,
                _ => Retry::Never,
            },
            Self::Instance(error) => match error {
                CallError::Deadline { .. }
                | CallError::Processors { .. }
                | CallError::OutboundConnections { .. }
                | CallError::ProcessorTime { .. }
                | CallError::Reload(_)
                | CallError::Stopped
                | CallError::Host(_)
                // Also of a mapping for which the host has no memory.
                | CallError::Trap {
                    cause: TrapCause::Other,
                    ..
                } => Retry::Later,
                _ => Retry::Never,
            },
            Self::Invalid(_)
            | Self::Unreadable(_)
            | Self::EnvironmentTooLarge
            | Self::ImageName { .. }
            | Self::NoObject(_)
            | Self::NoKey { .. }
            | Self::NoText { .. }
            | Self::NoField { .. }
            | Self::Forbidden(_)
            | Self::Credentials(_) => Retry::Never,
        }
    }

    /// Whether no wait is likely to help, so that a pod's readiness does not wait for this version.
    pub(crate) fn is_lasting(&self) -> bool {
        match self {
            Self::NeverPulled => true,
            Self::Pull { source, .. } => matches!(
                **source,
                sampan_artifact::Error::NotFound(_) | sampan_artifact::Error::Unauthorized { .. }
            ),
            other => other.retry() == Retry::Never,
        }
    }

    /// The failure for the report, in one line.
    pub(crate) fn failure(&self) -> PoolFailure {
        PoolFailure {
            cause: self.cause(),
            message: one_line(self),
        }
    }
}

/// The wait before another attempt, after so many failed ones: it doubles up to five minutes, as
/// the kubelet's. A part of it is random.
pub(crate) fn backoff(failed: u32, random: u64) -> Duration {
    const FIRST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_mins(5);
    spread(doubled(FIRST, LONGEST, failed.saturating_sub(1)), random)
}

/// An error with its causes, in one line of limited length.
fn one_line(error: &PoolError) -> String {
    let mut line = error.to_string();
    // A parser's error could show a part of a Secret.
    let is_secret = matches!(error, PoolError::Credentials(_));
    let mut source = error.source().filter(|_| !is_secret);
    while let Some(cause) = source {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        source = cause.source();
    }
    let mut line: String = line
        .chars()
        .map(|character| match character {
            control if control.is_control() => ' ',
            other => other,
        })
        .collect();
    if line.len() > MAX_MESSAGE_BYTES {
        let end = (0..=MAX_MESSAGE_BYTES).rev();
        let mut ends = end.filter(|end| line.is_char_boundary(*end));
        line.truncate(ends.next().unwrap_or(0));
        line.push_str("...");
    }
    line
}

#[cfg(test)]
mod tests {
    use sampan_artifact::DockerConfig;

    use super::*;

    #[test]
    fn each_error_has_a_cause_and_a_time_for_the_next_attempt() {
        fn check(error: &PoolError, cause: PoolCause, retry: Retry) {
            assert_eq!((error.cause(), error.retry()), (cause, retry), "{error}");
        }
        let object = || ObjectKey::secret("a");
        let io = || std::io::Error::from(std::io::ErrorKind::StorageFull);
        let configuration = PoolCause::ConfigurationMissing;
        check(&PoolError::NoObject(object()), configuration, Retry::Never);
        let key = "k".to_owned();
        let no_key = PoolError::NoKey {
            object: object(),
            key,
        };
        check(&no_key, configuration, Retry::Never);
        let forbidden = PoolError::Forbidden(ObjectKind::Secret);
        check(&forbidden, PoolCause::Forbidden, Retry::Never);
        let (pull, start) = (PoolCause::ImagePullFailed, PoolCause::StartFailed);
        check(&PoolError::NeverPulled, pull, Retry::Later);
        let (folder, source) = ("/c".to_owned(), io());
        check(&PoolError::Keep { folder, source }, pull, Retry::Later);
        let compile = PoolError::Load(LoadError::Compile("x".to_owned()));
        check(&compile, start, Retry::Never);
        let compiler = PoolError::Load(LoadError::Compiler("x".to_owned()));
        check(&compiler, start, Retry::Later);
        check(&PoolError::Panicked, start, Retry::Later);
        let too_large = PoolError::EnvironmentTooLarge;
        check(&too_large, PoolCause::Invalid, Retry::Never);
    }

    #[test]
    fn what_a_busy_host_may_cause_is_tried_again() {
        fn check(error: impl Into<Failed>, expected: Retry) {
            let Failed(error) = error.into();
            assert_eq!(error.retry(), expected, "{error:?}");
        }
        struct Failed(PoolError);
        impl From<LoadError> for Failed {
            fn from(error: LoadError) -> Self {
                Self(PoolError::Load(error))
            }
        }
        impl From<CallError> for Failed {
            fn from(error: CallError) -> Self {
                Self(PoolError::Instance(error))
            }
        }
        let (limit, text) = (Duration::from_secs(1), || "x".to_owned());
        let trap = |cause| CallError::Trap {
            cause,
            message: String::new(),
        };
        check(LoadError::CompileTime { limit }, Retry::Later);
        check(LoadError::Link(text()), Retry::Later);
        check(LoadError::NotWasm(text()), Retry::Never);
        check(CallError::Deadline { limit }, Retry::Later);
        check(CallError::ProcessorTime { limit }, Retry::Later);
        check(CallError::Processors { limit }, Retry::Later);
        check(CallError::Host(text()), Retry::Later);
        check(trap(TrapCause::Other), Retry::Later);
        check(trap(TrapCause::Unreachable), Retry::Never);
        check(CallError::Exit(1), Retry::Never);
        check(CallError::NoResponse, Retry::Never);
    }

    #[test]
    fn a_readiness_waits_for_what_may_change_without_a_change() {
        fn check(error: &PoolError, expected: bool) {
            assert_eq!(error.is_lasting(), expected, "{error:?}");
        }
        let pull = |source: sampan_artifact::Error| PoolError::Pull {
            hint: String::new(),
            source: Arc::new(source),
        };
        let reference = "r.example/a:1".parse().expect("a reference");
        check(
            &pull(sampan_artifact::Error::NotFound(Box::new(reference))),
            true,
        );
        let slow = sampan_artifact::Error::Slow {
            address: String::new(),
            attempts: 1,
            limit: Duration::ZERO,
        };
        check(&pull(slow), false);
        check(&PoolError::NeverPulled, true);
        check(&PoolError::NoObject(ObjectKey::secret("a")), true);
        check(&PoolError::Panicked, false);
        check(&PoolError::Load(LoadError::Compiler(String::new())), false);
    }

    #[test]
    fn a_failure_is_one_bounded_line_with_its_causes() {
        fn check(text: &str, expected: &str) {
            let error = PoolError::Load(LoadError::Compile(text.to_owned()));
            assert_eq!(error.failure().message, expected);
        }
        let before = "the module cannot be loaded: compilation failed: ";
        check("a\nb\x1b", &format!("{before}a b "));
        let long = "é".repeat(1000);
        let kept = (MAX_MESSAGE_BYTES - before.len()) / 2;
        check(&long, &format!("{before}{}...", "é".repeat(kept)));
    }

    #[test]
    fn a_failure_shows_nothing_of_a_secret() {
        let parsed = DockerConfig::parse("Secret pull", br#"{"auths": "hidden"}"#);
        let error = PoolError::from(parsed.expect_err("it has no logins"));
        let message = error.failure().message;
        assert_eq!(message, "Secret pull is not Docker's configuration");
    }

    #[test]
    fn waits_double_and_are_bounded() {
        fn check(failed: u32, random: u64, expected: u64) {
            let wait = backoff(failed, random);
            assert_eq!(wait, Duration::from_millis(expected), "{failed} {random}");
        }
        check(1, 0, 1000);
        check(2, 0, 2000);
        check(5, 0, 16_000);
        check(10, 0, 300_000);
        check(u32::MAX, 0, 300_000);
        check(1, 4, 600);
        check(10, 7, 240_000);
    }
}
