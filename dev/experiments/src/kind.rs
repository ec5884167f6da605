//! The compared kinds: a component in a pod or in a pool, and two containers of the same source.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::experiment::Experiment;

/// How a function is packed and run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// A component, run by the shim.
    Wasm,
    /// A static program alone in an image, run by runc.
    Scratch,
    /// A program on a small base system, run by runc.
    Distro,
    /// The same component as `Wasm`, served by the pool of its namespace.
    Pooled,
}

/// The objects that serve a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Pods of a Deployment of its own.
    Pods,
    /// The pool of its namespace: each replica is a resource of its own.
    Pool,
}

impl Kind {
    /// All kinds.
    pub(crate) const ALL: [Self; 4] = [Self::Wasm, Self::Scratch, Self::Distro, Self::Pooled];

    /// Its name in files and labels.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Wasm => "wasm",
            Self::Scratch => "scratch",
            Self::Distro => "distro",
            Self::Pooled => "pooled",
        }
    }

    /// Its name in the report.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Wasm => "Wasm",
            Self::Scratch => "container (scratch)",
            Self::Distro => "container (distro)",
            Self::Pooled => "Wasm (pooled)",
        }
    }

    /// The objects that serve it.
    pub(crate) fn place(self) -> Place {
        match self {
            Self::Wasm | Self::Scratch | Self::Distro => Place::Pods,
            Self::Pooled => Place::Pool,
        }
    }

    /// Whether it is a component, which the report compares with the containers.
    pub(crate) fn is_component(self) -> bool {
        match self {
            Self::Wasm | Self::Pooled => true,
            Self::Scratch | Self::Distro => false,
        }
    }

    /// Whether an experiment measures it in a run that measures `chosen`. Sizes need no pods, so
    /// they are those of all images.
    pub(crate) fn takes_part(self, experiment: Experiment, chosen: &[Self]) -> bool {
        match (self, experiment) {
            // It has the image of `Wasm`, and no control group of its own.
            (Self::Pooled, Experiment::Size | Experiment::Resources) => false,
            (Self::Wasm | Self::Scratch | Self::Distro, Experiment::Size) => true,
            (Self::Wasm | Self::Scratch | Self::Distro | Self::Pooled, _) => chosen.contains(&self),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_measured_where_it_was_chosen_and_has_figures_of_its_own() {
        fn check(kind: Kind, chosen: &[Kind], left_out: &[Experiment]) {
            for experiment in Experiment::ALL {
                let expected = !left_out.contains(&experiment);
                let found = kind.takes_part(experiment, chosen);
                assert_eq!(found, expected, "{kind} {experiment} {chosen:?}");
            }
        }
        check(Kind::Wasm, &Kind::ALL, &[]);
        check(Kind::Distro, &Kind::ALL, &[]);
        let no_pool = [Experiment::Size, Experiment::Resources];
        check(Kind::Pooled, &Kind::ALL, &no_pool);
        check(Kind::Pooled, &[Kind::Wasm], &Experiment::ALL);
        let mut all_but_size = Experiment::ALL.to_vec();
        all_but_size.retain(|experiment| *experiment != Experiment::Size);
        check(Kind::Distro, &[Kind::Wasm, Kind::Scratch], &all_but_size);
    }
}
