//! The report of a pool's pod about its functions, which the operator and `sampan list` read.
//!
//! `GET /functions` on the pod's port [`METRICS_PORT`](crate::METRICS_PORT) answers with a [`PoolReport`] as JSON.
//! With the query `boot=BOOT&after=REVISION` of the last report, the pod waits until something has changed since, up
//! to [`LONGEST_WAIT`], and reports only what changed. A `boot` that is not its own gets the whole report at once.
//! With the query `active=SECONDS`, the pod answers at once with the functions that had a request in these last seconds,
//! and with no removals: so the load of a pool costs what it serves, and not what it has.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{Deserialize, Serialize};

/// How long a pod waits for a change before it answers with none.
pub const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// The report of one pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolReport {
    /// A random text of each start of the process.
    pub boot: String,
    /// Counts the changes of this process.
    pub revision: u64,
    /// Whether this has all functions, or only those that changed since the asked revision.
    pub complete: bool,
    /// Whether the pod has seen the list of functions. Until then it serves what it served before its restart.
    pub listed: bool,
    /// The functions.
    pub functions: Vec<PooledFunction>,
    /// UIDs of functions that were removed since the asked revision; empty in a complete report.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
}

/// One function in a pod of the pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PooledFunction {
    /// The UID of the resource.
    pub uid: String,
    /// The name of the resource.
    pub name: String,
    /// The newest generation of the resource that the pod has tried to load.
    pub generation: i64,
    /// What the pod serves; absent until a version was loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving: Option<Serving>,
    /// Why `generation` is not served; absent while it is served or being loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<PoolFailure>,
    /// Requests in flight when the report was made.
    #[serde(default)]
    pub in_flight: u64,
    /// When the last request came; absent if none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_request: Option<Time>,
    /// Processor time that the function's code has used in this process since its start, in seconds.
    /// It never falls while `boot` stays the same.
    #[serde(default)]
    pub guest_seconds: f64,
}

/// The version of a function that a pod serves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Serving {
    /// The generation of the resource.
    pub generation: i64,
    /// The port at which the pod serves it.
    pub port: u16,
    /// The digest of its image, such as `sha256:0123`.
    pub digest: String,
}

/// Why a version is not served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolFailure {
    /// The cause.
    pub cause: PoolCause,
    /// The cause and the advice, in one line.
    pub message: String,
}

/// The cause for which a version is not served. The operator makes a condition's reason of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PoolCause {
    /// A field of the resource is not allowed.
    Invalid,
    /// The image cannot be pulled.
    ImagePullFailed,
    /// The image's name is malformed.
    InvalidImageName,
    /// The module cannot be compiled or linked.
    StartFailed,
    /// A ConfigMap, a Secret or a key in one is missing.
    ConfigurationMissing,
    /// The pool's Role lacks a permission.
    Forbidden,
    /// The port cannot be opened.
    PortUnavailable,
}
