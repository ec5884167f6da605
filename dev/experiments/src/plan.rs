//! Plans a run: units of work in an order in which noise affects all kinds alike. Pure.
//!
//! A unit is one turn of one kind of one function in one experiment. Turns of the kinds alternate,
//! and every second turn has them in the reverse order.

use serde::{Deserialize, Serialize};

use super::experiment::Experiment;
use super::kind::{Kind, Place};
use super::scale::Scale;

/// A unit of work, which has a file of the same name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Unit {
    pub(crate) experiment: Experiment,
    pub(crate) function: String,
    pub(crate) turn: u32,
    pub(crate) kind: Kind,
}

impl Unit {
    /// The unique name of the unit.
    pub(crate) fn name(&self) -> String {
        let Self {
            experiment,
            function,
            turn,
            kind,
        } = self;
        format!(
            "{}-{experiment}.{function}.{turn:03}.{kind}",
            experiment.number()
        )
    }
}

/// The amount of work of a unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Amount {
    /// A load for this many seconds.
    Seconds(f64),
    /// This many replicas, one after the other.
    Rounds(u32),
    /// This many replicas at once.
    Replicas(u32),
    /// This many requests.
    Requests(u32),
    /// Seconds at each load, and the most loads.
    Steps(f64, u32),
    /// A fixed amount.
    Once,
}

/// A unit with its amount.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Planned {
    pub(crate) unit: Unit,
    pub(crate) amount: Amount,
}

/// The selection of experiments, functions and kinds.
#[derive(Clone, Debug)]
pub(crate) struct Choice<'a> {
    pub(crate) experiments: &'a [Experiment],
    pub(crate) functions: &'a [String],
    pub(crate) kinds: &'a [Kind],
    pub(crate) scale: Scale,
}

/// Pods that are started one after the other in a turn.
const ROUNDS: u32 = 5;
/// Requests of a turn with measured processor time.
const REQUESTS: u32 = 200;
/// Idle pooled functions for each idle pod: a few of them are less than the noise of a process.
const FUNCTIONS_PER_POD: u32 = 25;

/// All units in their order.
pub(crate) fn plan(choice: &Choice<'_>) -> Vec<Planned> {
    let mut all = Vec::new();
    for &experiment in choice.experiments {
        let functions = match experiment {
            // All functions start alike, so one stands for them.
            Experiment::Burst => &choice.functions[..choice.functions.len().min(1)],
            _ => choice.functions,
        };
        let kinds: Vec<Kind> = Kind::ALL
            .into_iter()
            .filter(|kind| kind.takes_part(experiment, choice.kinds))
            .collect();
        for function in functions {
            for (turn, amount) in (0..).zip(turns(experiment, choice.scale)) {
                let mut kinds = kinds.clone();
                if turn % 2 == 1 {
                    kinds.reverse();
                }
                all.extend(kinds.into_iter().map(|kind| Planned {
                    unit: Unit {
                        experiment,
                        function: function.clone(),
                        turn,
                        kind,
                    },
                    amount: amount.of(experiment, kind),
                }));
            }
        }
    }
    all
}

/// The amount of each turn of an experiment.
fn turns(experiment: Experiment, scale: Scale) -> Vec<Amount> {
    match experiment {
        Experiment::Serial => split(scale.seconds(300.0), 1.0, 10),
        Experiment::Concurrent => split(scale.seconds(60.0), 2.0, 5),
        Experiment::First | Experiment::Instantiation => {
            let mut left = scale.count(100);
            let mut turns = Vec::new();
            while left > 0 {
                let rounds = left.min(ROUNDS);
                turns.push(Amount::Rounds(rounds));
                left -= rounds;
            }
            turns
        }
        Experiment::Size => vec![Amount::Once],
        Experiment::Resources => {
            let requests = if scale.is_tiny() { 20 } else { REQUESTS };
            vec![Amount::Requests(requests); scale.count(25).min(10) as usize]
        }
        Experiment::Density => vec![Amount::Replicas(scale.count(60).clamp(4, 24))],
        Experiment::Burst => {
            let pods = if scale.is_tiny() { 5 } else { 50 };
            vec![Amount::Replicas(pods); scale.count(15).min(10) as usize]
        }
        Experiment::Saturation => {
            let steps = if scale.is_tiny() { 3 } else { 24 };
            vec![Amount::Steps(scale.seconds(5.0).max(0.4), steps)]
        }
    }
}

impl Amount {
    /// The amount for a kind in an experiment: memory takes more functions than pods to show.
    fn of(self, experiment: Experiment, kind: Kind) -> Self {
        match (experiment, self, kind.place()) {
            (Experiment::Density, Self::Replicas(pods), Place::Pool) => {
                Self::Replicas(pods * FUNCTIONS_PER_POD)
            }
            (_, amount, Place::Pods | Place::Pool) => amount,
        }
    }
}

/// Divides seconds into turns of at least `least`, and into at most `most` turns.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a small number of turns"
)]
fn split(seconds: f64, least: f64, most: u32) -> Vec<Amount> {
    let turns = ((seconds / least) as u32).clamp(1, most);
    vec![Amount::Seconds(seconds / f64::from(turns)); turns as usize]
}

impl Planned {
    /// An estimate of its duration in seconds, for the progress of a run.
    pub(crate) fn seconds(&self) -> f64 {
        let replica = match (self.unit.kind.place(), self.unit.experiment) {
            (Place::Pods, Experiment::Burst) => 0.8,
            (Place::Pods, _) => 0.6,
            (Place::Pool, _) => 0.05,
        };
        match (self.unit.experiment, self.amount) {
            (_, Amount::Seconds(seconds)) => seconds + 0.3,
            (_, Amount::Rounds(rounds)) => f64::from(rounds) * 1.8,
            (_, Amount::Replicas(count)) => f64::from(count) * replica,
            (_, Amount::Requests(requests)) => 0.5 + f64::from(requests) * 0.003,
            (_, Amount::Steps(seconds, steps)) => seconds * f64::from(steps) * 0.7,
            (_, Amount::Once) => 0.05,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(experiments: &[Experiment], functions: &[&str], scale: &str) -> Vec<Planned> {
        planned_of(&[Kind::Wasm, Kind::Scratch], experiments, functions, scale)
    }

    fn planned_of(
        kinds: &[Kind],
        experiments: &[Experiment],
        functions: &[&str],
        scale: &str,
    ) -> Vec<Planned> {
        let functions: Vec<String> = functions.iter().map(ToString::to_string).collect();
        plan(&Choice {
            experiments,
            functions: &functions,
            kinds,
            scale: scale.parse().unwrap(),
        })
    }

    #[test]
    fn kinds_take_turns_and_begin_in_turns() {
        let names: Vec<String> = planned(&[Experiment::First], &["aes"], "0.12")
            .iter()
            .map(|planned| planned.unit.name())
            .collect();
        assert_eq!(
            names,
            [
                "2-first.aes.000.wasm",
                "2-first.aes.000.scratch",
                "2-first.aes.001.scratch",
                "2-first.aes.001.wasm",
                "2-first.aes.002.wasm",
                "2-first.aes.002.scratch",
            ]
        );
        let kinds = [Kind::Wasm, Kind::Scratch, Kind::Pooled];
        let names: Vec<String> = planned_of(&kinds, &[Experiment::First], &["aes"], "0.1")
            .iter()
            .map(|planned| planned.unit.name())
            .collect();
        assert_eq!(
            names,
            [
                "2-first.aes.000.wasm",
                "2-first.aes.000.scratch",
                "2-first.aes.000.pooled",
                "2-first.aes.001.pooled",
                "2-first.aes.001.scratch",
                "2-first.aes.001.wasm",
            ]
        );
    }

    #[test]
    fn both_kinds_do_all_of_the_scaled_protocol() {
        fn check(experiment: Experiment, scale: &str, expected: f64) {
            for kind in [Kind::Wasm, Kind::Scratch] {
                let done: f64 = planned(&[experiment], &["aes"], scale)
                    .iter()
                    .filter(|planned| planned.unit.kind == kind)
                    .map(|planned| match planned.amount {
                        Amount::Seconds(seconds) => seconds,
                        Amount::Rounds(count) | Amount::Replicas(count) => f64::from(count),
                        _ => 0.0,
                    })
                    .sum();
                assert!(
                    (done - expected).abs() < 1e-6,
                    "{experiment} {scale}: {done}"
                );
            }
        }
        check(Experiment::Serial, "1", 300.0);
        check(Experiment::Serial, "0.2", 60.0);
        check(Experiment::First, "1", 100.0);
        check(Experiment::First, "0.13", 13.0);
        check(Experiment::Concurrent, "0.2", 12.0);
        check(Experiment::Instantiation, "tiny", 1.0);
        check(Experiment::Density, "0.2", 12.0);
    }

    #[test]
    fn every_experiment_has_both_kinds_and_sizes_have_all_images() {
        for experiment in Experiment::ALL {
            let all = planned(&[experiment], &["aes", "n-body"], "tiny");
            for kind in Kind::ALL {
                let expected = match kind {
                    Kind::Wasm | Kind::Scratch => true,
                    Kind::Distro => experiment == Experiment::Size,
                    Kind::Pooled => false,
                };
                let found = all.iter().any(|planned| planned.unit.kind == kind);
                assert_eq!(found, expected, "{experiment} {kind}");
            }
        }
    }

    #[test]
    fn pooled_functions_are_measured_when_asked_for_and_more_of_them_when_idle() {
        fn check(experiment: Experiment, expected: &[Amount]) {
            let kinds = [Kind::Wasm, Kind::Pooled];
            let all = planned_of(&kinds, &[experiment], &["aes"], "0.2");
            let of_kind = |kind| -> Vec<Amount> {
                let all = all.iter().filter(|planned| planned.unit.kind == kind);
                all.map(|planned| planned.amount).collect()
            };
            assert_eq!(of_kind(Kind::Pooled), expected, "{experiment}");
            if experiment != Experiment::Density && !expected.is_empty() {
                assert_eq!(of_kind(Kind::Wasm), expected, "{experiment}");
            }
        }
        check(Experiment::First, &[Amount::Rounds(5); 4]);
        check(Experiment::Instantiation, &[Amount::Rounds(5); 4]);
        check(Experiment::Size, &[]);
        check(Experiment::Resources, &[]);
        check(Experiment::Density, &[Amount::Replicas(300)]);
        check(Experiment::Burst, &[Amount::Replicas(50); 3]);
        check(Experiment::Saturation, &[Amount::Steps(1.0, 24)]);
    }

    #[test]
    fn units_have_names_of_their_own() {
        let all = planned_of(&Kind::ALL, &Experiment::ALL, &["aes", "n-body"], "0.2");
        let names: std::collections::BTreeSet<_> =
            all.iter().map(|planned| planned.unit.name()).collect();
        assert_eq!(names.len(), all.len());
    }
}
