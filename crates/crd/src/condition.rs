//! Conditions of a function and of a pool, and all their reasons.
//!
//! Users and programs rely on these words, so no other module defines reasons.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// The type of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionKind {
    /// The resource is valid.
    Accepted,
    /// The function answers requests.
    Ready,
    /// Pods are being replaced or added, or the function moves to its other place.
    Progressing,
}

impl ConditionKind {
    /// The condition's `type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Ready => "Ready",
            Self::Progressing => "Progressing",
        }
    }

    /// The condition of this kind in a status, if it was ever set.
    pub(crate) fn find(self, conditions: &[Condition]) -> Option<&Condition> {
        conditions
            .iter()
            .find(|condition| condition.type_ == self.as_str())
    }
}

macro_rules! reasons {
    ($( $(#[doc = $about:literal])+ $name:ident, )+) => {
        /// The reason of a condition: one word on which programs can rely.
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
    /// The API server rejected an object that was made for the resource.
    Rejected,
    /// All requested pods answer.
    AllReady,
    /// Some pods answer, and some don't yet.
    SomeReady,
    /// No pod is requested.
    ScaledToZero,
    /// Pods are starting, and nothing has failed so far.
    Starting,
    /// Pods of the previous version are being replaced, or their number changes.
    RollingOut,
    /// No change is in progress.
    Complete,
    /// The image cannot be pulled.
    ImagePullFailed,
    /// The image's name is malformed.
    InvalidImageName,
    /// The function could not be started; the message has the node's error.
    StartFailed,
    /// A ConfigMap, Secret or similar object that a container needs is missing.
    ConfigurationMissing,
    /// A pod's network or files could not be set up.
    PodSetupFailed,
    /// The function started, and ended again and again.
    CrashLoop,
    /// The function exceeded the memory of its pod.
    OutOfMemory,
    /// No node accepts a pod.
    Unschedulable,
    /// The pods are not admitted: a quota is used up, or a policy rejects them.
    NotAdmitted,
    /// The rollout made no progress within its deadline.
    DeadlineExceeded,
    /// The operator or the pool lacks a permission; the message names the verb and the resource.
    Forbidden,
    /// The API server, or a webhook that it calls, fails; the operator retries.
    ServerFailed,
    /// An object with that name exists and has another owner.
    NameTaken,
    /// Every port of the namespace's pool is assigned.
    PoolFull,
    /// The operator runs without the image of a pool.
    PoolDisabled,
    /// The `WasmPool` of the namespace is invalid, and there was no pool before it.
    PoolInvalid,
    /// No function of the namespace is served by its pool.
    NoFunctions,
    /// A pod of the pool cannot open the function's port.
    PortUnavailable,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The value of one condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionState {
    /// Whether it holds.
    pub holds: bool,
    /// The reason.
    pub reason: Reason,
    /// The message for users, with advice.
    pub message: String,
}
