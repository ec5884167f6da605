//! The samples of a run: a header with the versions and the machine, and records of values.

use serde::{Deserialize, Serialize};

use super::plan::Unit;
use super::scale::Scale;

/// The version of the format; a reader rejects others.
pub(crate) const FORMAT: u32 = 1;

/// The versions, the machine and the time of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) format: u32,
    /// The time of its start, in UTC.
    pub(crate) date: String,
    pub(crate) scale: Scale,
    pub(crate) versions: Versions,
    pub(crate) machine: Machine,
    pub(crate) limits: Limits,
}

/// The measured versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Versions {
    /// Of this project, with `-dirty` at its end if files differed from the commit.
    pub(crate) revision: String,
    pub(crate) kubernetes: String,
    pub(crate) containerd: String,
    pub(crate) runc: String,
    pub(crate) wasmtime: String,
}

/// The machine of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) kernel: String,
    pub(crate) system: String,
    pub(crate) processor: String,
    pub(crate) processors: usize,
    pub(crate) memory_kibibytes: u64,
}

/// The limits of each pod, for both kinds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limits {
    pub(crate) memory: String,
    /// In the saturation experiment; the others have no limit.
    pub(crate) saturation_processor: String,
}

/// The meaning of a record's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Series {
    /// From the request to the end of its answer, in microseconds.
    Response,
    /// From the pod's creation to the start event of its container, as a watch reported both, in
    /// microseconds.
    CreatedToStarted,
    /// From the creation of the pod, or of the pooled function's resource, to its first answer with
    /// status 200, in microseconds.
    CreatedToAnswer,
    /// The three CRI calls, by containerd's log, in microseconds.
    RuntimeCalls,
    /// The bytes that a node fetches: index, manifest, configuration and layers of its platform.
    Fetched,
    /// The bytes that the registry keeps for the tag.
    Stored,
    /// Processor time of the pod's control group, in nanoseconds a request.
    Processor,
    /// The control group's memory before the load, in bytes.
    IdleMemory,
    /// The control group's peak memory, in bytes.
    PeakMemory,
    /// Proportional memory of all processes of an idle pod, in kibibytes; one value for each
    /// measured pod. For each pooled function, its share of the pool's pod.
    PodMemory,
    /// The growth of all pods' memory with each further replica, in kibibytes.
    FurtherPodMemory,
    /// From the request for replicas to the first answer of each, in microseconds.
    BurstAnswer,
    /// From the same request to the first answer of the last replica.
    BurstAll,
}

/// Samples of a unit, in the order in which they were taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    #[serde(flatten)]
    pub(crate) unit: Unit,
    pub(crate) series: Series,
    pub(crate) values: Vec<u64>,
    /// The count of failed requests, which have no value.
    #[serde(default)]
    pub(crate) failed: u64,
    /// The rates of the load, if one was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) load: Option<Load>,
}

/// A load at a chosen rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Load {
    /// Requests a second that were due.
    pub(crate) offered: f64,
    /// Requests a second that were answered.
    pub(crate) achieved: f64,
}

impl Record {
    /// A record without failures and without a load.
    pub(crate) fn new(unit: &Unit, series: Series, values: Vec<u64>) -> Self {
        Self {
            unit: unit.clone(),
            series,
            values,
            failed: 0,
            load: None,
        }
    }
}

/// A whole run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Run {
    pub(crate) header: Header,
    pub(crate) records: Vec<Record>,
    /// The comparison of the load generator with `hey`, if it was made.
    pub(crate) check: Option<LoadCheck>,
}

/// The load generator and `hey`, on the same pod, in turns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LoadCheck {
    pub(crate) function: String,
    /// Response times in microseconds.
    pub(crate) ours: Vec<u64>,
    pub(crate) hey: Vec<u64>,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A header for tests.
    pub(crate) fn header(scale: &str) -> Header {
        let text = |text: &str| text.to_owned();
        Header {
            format: FORMAT,
            date: text("2026-01-02T03:04:05Z"),
            scale: scale.parse().unwrap(),
            versions: Versions {
                revision: text("0123456"),
                kubernetes: text("v1.36.3"),
                containerd: text("2.4.2"),
                runc: text("1.4.3"),
                wasmtime: text("48.0.8"),
            },
            machine: Machine {
                kernel: text("6.18"),
                system: text("Debian"),
                processor: text("A <processor>"),
                processors: 2,
                memory_kibibytes: 1024,
            },
            limits: Limits {
                memory: text("128Mi"),
                saturation_processor: text("500m"),
            },
        }
    }
}
