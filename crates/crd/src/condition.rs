//! The conditions of a function and every reason they can have.
//!
//! Refuses reasons made up elsewhere: people and programs look for these words.

use std::fmt;

/// What a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionKind {
    /// The resource makes sense.
    Accepted,
    /// The function answers requests.
    Ready,
    /// Pods are being replaced or added.
    Progressing,
}

impl ConditionKind {
    /// The condition's type.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Ready => "Ready",
            Self::Progressing => "Progressing",
        }
    }
}

macro_rules! reasons {
    ($( $(#[doc = $about:literal])+ $name:ident, )+) => {
        /// Why a condition is as it is: one word that programs can rely on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Reason {
            $( $(#[doc = $about])+ $name, )+
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[$( Self::$name, )+];

            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $( Self::$name => stringify!($name), )+
                }
            }
        }
    };
}

reasons! {
    /// Every check was passed.
    Valid,
    /// A value of the resource is not allowed; the message names it.
    Invalid,
    /// The API server refused what was made of the resource.
    Rejected,
    /// All pods that are to be there answer.
    AllReady,
    /// Some pods answer, and some don't yet.
    SomeReady,
    /// No pod is asked for.
    ScaledToZero,
    /// Pods are on their way, and nothing is wrong so far.
    Starting,
    /// Pods with what the resource said before are replaced, or their number changes.
    RollingOut,
    /// Nothing is under way.
    Complete,
    /// The image cannot be pulled.
    ImagePullFailed,
    /// The image's name is no image's name.
    InvalidImageName,
    /// The function could not be started; the message has the node's words.
    StartFailed,
    /// A ConfigMap, Secret or the like that a container needs is missing.
    ConfigurationMissing,
    /// A pod's network or files could not be set up.
    PodSetupFailed,
    /// The function started, and ended again and again.
    CrashLoop,
    /// The function used more memory than its pod may.
    OutOfMemory,
    /// No node takes a pod.
    Unschedulable,
    /// The pods are not admitted: a quota is used up, or a policy is against them.
    NotAdmitted,
    /// The rollout did not get on within its time.
    DeadlineExceeded,
    /// The operator may not do what it has to; the message names the verb and the resource.
    Forbidden,
    /// The API server, or a webhook that it calls, fails; it is tried again.
    ServerFailed,
    /// An object of that name exists and belongs to somebody else.
    NameTaken,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is to be said of one condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it holds.
    pub holds: bool,
    /// Why.
    pub reason: Reason,
    /// The same for a person, with what to do about it.
    pub message: String,
}
