//! The nine experiments by number and name: five published ones, and four more.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An experiment, in the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Experiment {
    /// One client, with a connection for each request.
    Serial,
    /// The first request to a new pod.
    First,
    /// Five clients at five requests a second each.
    Concurrent,
    /// From a pod's creation to its start, and to its first answer.
    Instantiation,
    /// Bytes in the registry.
    Size,
    /// Processor time and memory, by the control groups.
    Resources,
    /// Memory of idle pods.
    Density,
    /// Many pods at once, from none.
    Burst,
    /// Throughput against latency.
    Saturation,
}

impl Experiment {
    /// All, in order.
    pub(crate) const ALL: [Self; 9] = [
        Self::Serial,
        Self::First,
        Self::Concurrent,
        Self::Instantiation,
        Self::Size,
        Self::Resources,
        Self::Density,
        Self::Burst,
        Self::Saturation,
    ];

    /// Its number in the documents.
    pub(crate) fn number(self) -> usize {
        let found = Self::ALL.iter().position(|other| *other == self);
        found.map_or(0, |index| index + 1)
    }

    /// Its name in files and options.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Serial => "serial",
            Self::First => "first",
            Self::Concurrent => "concurrent",
            Self::Instantiation => "instantiation",
            Self::Size => "size",
            Self::Resources => "resources",
            Self::Density => "density",
            Self::Burst => "burst",
            Self::Saturation => "saturation",
        }
    }

    /// Its heading in the report.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Serial => "Serial execution",
            Self::First => "First execution after instantiation",
            Self::Concurrent => "Concurrent execution",
            Self::Instantiation => "Instantiation",
            Self::Size => "Artifact size",
            Self::Resources => "Processor time and memory",
            Self::Density => "Density",
            Self::Burst => "Burst",
            Self::Saturation => "Saturation",
        }
    }
}

impl fmt::Display for Experiment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Experiment {
    type Err = String;

    /// Parses a number or a name.
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|experiment| {
            experiment.name() == text || experiment.number().to_string() == text
        });
        found.ok_or_else(|| {
            let all = Self::ALL.map(|known| format!("{} {known}", known.number()));
            format!("there is no such experiment; there are {}", all.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_experiment_is_called_by_number_or_name() {
        fn check(text: &str, expected: Option<Experiment>) {
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
        check("1", Some(Experiment::Serial));
        check("9", Some(Experiment::Saturation));
        check("size", Some(Experiment::Size));
        check("0", None);
        check("10", None);
        check("", None);
    }
}
