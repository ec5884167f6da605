//! Who wins where, in plain words. Pure.
//!
//! A side wins where the interval of the ratio lies wholly on its side of 1; else there is no difference to tell.

use super::figures::{Compared, Figures};
use crate::paper::experiment::Experiment;
use crate::paper::kind::Kind;
use crate::paper::sample::Series;

/// What is compared, in the words of a sentence.
const COMPARED: [(Experiment, Series, &str); 10] = [
    (
        Experiment::Serial,
        Series::Response,
        "response time of one client",
    ),
    (
        Experiment::First,
        Series::Response,
        "first response of a new pod",
    ),
    (
        Experiment::Concurrent,
        Series::Response,
        "response time of five clients",
    ),
    (
        Experiment::Instantiation,
        Series::CreatedToStarted,
        "time from a pod's creation to its start",
    ),
    (
        Experiment::Instantiation,
        Series::CreatedToAnswer,
        "time from a pod's creation to its first answer",
    ),
    (
        Experiment::Size,
        Series::Fetched,
        "bytes that a node fetches",
    ),
    (
        Experiment::Resources,
        Series::Processor,
        "processor time of a request",
    ),
    (
        Experiment::Resources,
        Series::PeakMemory,
        "most memory of a pod under load",
    ),
    (
        Experiment::Density,
        Series::FurtherPodMemory,
        "memory of a further idle pod",
    ),
    (
        Experiment::Burst,
        Series::BurstAll,
        "time until all pods of a burst answer",
    ),
];

/// Sentences of each kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Findings {
    pub(super) container: Vec<String>,
    pub(super) component: Vec<String>,
    pub(super) neither: Vec<String>,
}

/// Compares everything with the `scratch` container.
pub(super) fn find(figures: &Figures) -> Findings {
    let mut findings = Findings::default();
    for (experiment, series, words) in COMPARED {
        findings.add(
            experiment,
            words,
            &figures.compared(experiment, series, Kind::Scratch),
        );
    }
    let sides = [
        &mut findings.container,
        &mut findings.neither,
        &mut findings.component,
    ];
    let mut functions = [const { Vec::new() }; 3];
    for function in figures.loaded() {
        let of = |kind| figures.capacity(function, kind);
        if let (Some(ours), Some(theirs)) = (of(Kind::Wasm), of(Kind::Scratch)) {
            let ratio = ours / theirs;
            functions[side(ratio)].push(format!("{function} {ratio:.2}"));
        }
    }
    let number = Experiment::Saturation.number();
    for (side, functions) in sides.into_iter().zip(functions) {
        if !functions.is_empty() {
            side.push(format!(
                "most answers a second at equal limits (experiment {number}): {}",
                functions.join(", ")
            ));
        }
    }
    findings
}

/// On whose side a ratio is of which more is better and which has no interval: the container's, nobody's, the
/// component's.
fn side(ratio: f64) -> usize {
    // Loads rise in steps, and a run differs from the next by as much.
    const APART: f64 = 0.03;
    if ratio < 1.0 - APART {
        0
    } else if ratio > 1.0 + APART {
        2
    } else {
        1
    }
}

impl Findings {
    fn add(&mut self, experiment: Experiment, words: &str, compared: &[Compared]) {
        type IsOn = fn(&Compared) -> bool;
        let sides: [(&mut Vec<String>, IsOn); 3] = [
            (&mut self.container, |one| one.ratio.low > 1.0),
            (&mut self.component, |one| one.ratio.high < 1.0),
            (&mut self.neither, |one| {
                one.ratio.low <= 1.0 && one.ratio.high >= 1.0
            }),
        ];
        for (side, is_on) in sides {
            let functions: Vec<String> = compared
                .iter()
                .filter(|one| is_on(one))
                .map(|one| format!("{} {:.2}", one.function, one.ratio.value))
                .collect();
            if !functions.is_empty() {
                let number = experiment.number();
                side.push(format!(
                    "{words} (experiment {number}): {}",
                    functions.join(", ")
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paper::summary::Ratio;

    #[test]
    fn a_capacity_is_on_a_side_when_it_is_well_apart() {
        assert_eq!([0.5, 0.99, 1.0, 1.02, 1.1].map(side), [0, 1, 1, 1, 2]);
    }

    #[test]
    fn a_side_wins_only_with_its_whole_interval() {
        fn check(low: f64, high: f64, expected: [usize; 3]) {
            let mut findings = Findings::default();
            let compared = Compared {
                experiment: Experiment::Serial,
                series: Series::Response,
                function: "aes".to_owned(),
                rival: Kind::Scratch,
                ratio: Ratio {
                    value: f64::midpoint(low, high),
                    low,
                    high,
                },
                published: None,
            };
            findings.add(Experiment::Serial, "time", &[compared]);
            let Findings {
                container,
                component,
                neither,
            } = findings;
            assert_eq!([container.len(), component.len(), neither.len()], expected);
        }
        check(1.01, 1.2, [1, 0, 0]);
        check(0.8, 0.99, [0, 1, 0]);
        check(0.9, 1.1, [0, 0, 1]);
        check(1.0, 1.0, [0, 0, 1]);
    }
}
