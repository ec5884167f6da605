//! What is kept of a run: a header that says what ran, and records of samples.

use serde::{Deserialize, Serialize};

use super::plan::Unit;
use super::scale::Scale;

/// The version of the format; a reader refuses others.
pub(crate) const FORMAT: u32 = 1;

/// What ran, where and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) format: u32,
    /// When it began, in UTC.
    pub(crate) date: String,
    pub(crate) scale: Scale,
    pub(crate) versions: Versions,
    pub(crate) machine: Machine,
    pub(crate) limits: Limits,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Versions {
    /// Of this project, with `-dirty` after it if the files were others.
    pub(crate) revision: String,
    pub(crate) kubernetes: String,
    pub(crate) containerd: String,
    pub(crate) runc: String,
    pub(crate) wasmtime: String,
}

/// What it ran on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) kernel: String,
    pub(crate) system: String,
    pub(crate) processor: String,
    pub(crate) processors: usize,
    pub(crate) memory_kibibytes: u64,
}

/// What each pod may use, of both kinds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limits {
    pub(crate) memory: String,
    /// In the experiment of saturation; no limit in the others.
    pub(crate) saturation_processor: String,
}

/// What a record's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Series {
    /// From the request to the end of its answer, in microseconds.
    Response,
    /// From the pod's creation to the event that its container was started, as a watch saw both, in
    /// microseconds.
    CreatedToStarted,
    /// From the pod's creation to its first answer with status 200, in microseconds.
    CreatedToAnswer,
    /// The three calls of the container runtime, by its log, in microseconds.
    RuntimeCalls,
    /// What a node fetches: index, manifest, configuration and layers of its platform, in bytes.
    Fetched,
    /// All that the registry keeps for the tag, in bytes.
    Stored,
    /// Processor time of the pod's control group, in nanoseconds a request.
    Processor,
    /// The control group's memory before the load, in bytes.
    IdleMemory,
    /// The most that it had, in bytes.
    PeakMemory,
    /// Proportional memory of all processes of an idle pod, in kibibytes; a value for each of those that were up.
    PodMemory,
    /// By how much that of all pods grew with each further one, in kibibytes.
    FurtherPodMemory,
    /// From the request for pods to the first answer of each, in microseconds.
    BurstAnswer,
    /// The same to the answer of the last one.
    BurstAll,
}

/// Samples of a unit, in the order in which they were taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    #[serde(flatten)]
    pub(crate) unit: Unit,
    pub(crate) series: Series,
    pub(crate) values: Vec<u64>,
    /// Requests that failed: they have no value.
    #[serde(default)]
    pub(crate) failed: u64,
    /// How the load was, where one was chosen.
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
    /// Values without failures or a load.
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
    /// How our own load compares with the one of `hey`, if it was looked at.
    pub(crate) check: Option<LoadCheck>,
}

/// Our own load generator beside `hey`, at the same pod, in turns.
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
