//! Sums up the comparison in sentences: which side wins where. Pure.
//!
//! A side wins where the whole interval of the ratio is on its side of 1; otherwise there is no
//! significant difference.

use super::figures::{Compared, Figures};
use crate::experiment::Experiment;
use crate::kind::{Kind, Place};
use crate::sample::Series;

/// The compared series, as the subject of a sentence.
const COMPARED: [(Experiment, Series, &str); 12] = [
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
        Series::IdleMemory,
        "memory of a container's control group before the load, without its shim",
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
        Series::BurstAnswer,
        "time until each pod of a burst answers",
    ),
    (
        Experiment::Burst,
        Series::BurstAll,
        "time until all pods of a burst answer",
    ),
];

/// The sentences for each side.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Findings {
    pub(super) container: Vec<String>,
    pub(super) component: Vec<String>,
    pub(super) neither: Vec<String>,
}

/// Compares everything with the `scratch` container.
pub(super) fn find(figures: &Figures) -> Findings {
    let mut findings = Findings::default();
    for ours in figures.components() {
        for (experiment, series, words) in COMPARED {
            let compared = figures.compared(experiment, series, [ours, Kind::Scratch]);
            findings.add(experiment, &subject(words, ours), &compared);
        }
        let capacities = figures.loaded().into_iter().filter_map(|function| {
            let of = |kind| figures.capacity(function, kind);
            let ratio = of(ours)? / of(Kind::Scratch)?;
            Some((side(ratio), function, ratio))
        });
        let words = subject("most answers a second at equal limits", ours);
        findings.add_sentences(Experiment::Saturation, &words, capacities);
    }
    findings
}

/// The subject of a sentence about a component.
fn subject(words: &str, ours: Kind) -> String {
    match ours.place() {
        Place::Pods => words.to_owned(),
        Place::Pool => format!("{words}, pooled"),
    }
}

/// The side of a ratio without an interval, where more is better: the container's, neither, or the
/// component's.
fn side(ratio: f64) -> usize {
    // Loads rise in steps, and two runs differ by this much.
    const MIN_DIFFERENCE: f64 = 0.03;
    if ratio < 1.0 - MIN_DIFFERENCE {
        0
    } else if ratio > 1.0 + MIN_DIFFERENCE {
        2
    } else {
        1
    }
}

impl Findings {
    /// The sentences of each side under a heading.
    pub(super) fn lists(&self) -> [(&'static str, &[String]); 3] {
        [
            ("Where the container wins", &self.container),
            ("Where the component wins", &self.component),
            ("Where there is no difference to tell", &self.neither),
        ]
    }

    fn add(&mut self, experiment: Experiment, words: &str, compared: &[Compared]) {
        let sides = compared.iter().map(|one| {
            let side = if one.ratio.low > 1.0 {
                0
            } else if one.ratio.high < 1.0 {
                2
            } else {
                1
            };
            (side, one.function.as_str(), one.ratio.value)
        });
        self.add_sentences(experiment, words, sides);
    }

    /// Adds a sentence to each side that has functions. They are given with their sides and ratios.
    fn add_sentences<'a>(
        &mut self,
        experiment: Experiment,
        words: &str,
        ratios: impl Iterator<Item = (usize, &'a str, f64)>,
    ) {
        let mut functions = [const { Vec::new() }; 3];
        for (side, function, ratio) in ratios {
            functions[side].push(format!("{function} {ratio:.2}"));
        }
        let sides = [&mut self.container, &mut self.neither, &mut self.component];
        for (side, functions) in sides.into_iter().zip(functions) {
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
    use super::super::figures::tests::run;
    use super::*;
    use crate::summary::Ratio;

    #[test]
    fn a_pool_has_sentences_of_its_own() {
        fn check(kinds: &[Kind], expected: bool) {
            let findings = find(&Figures::of(&run(kinds)));
            let has = |sentence: &str| findings.component.iter().any(|it| it == sentence);
            assert!(has("response time of one client (experiment 1): aes 0.50"));
            for sentence in [
                "response time of one client, pooled (experiment 1): aes 0.25",
                "most answers a second at equal limits, pooled (experiment 9): aes 4.00",
            ] {
                assert_eq!(has(sentence), expected, "{sentence}: {findings:?}");
            }
        }
        check(&[Kind::Wasm, Kind::Scratch], false);
        check(&[Kind::Wasm, Kind::Scratch, Kind::Pooled], true);
    }

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
                ours: Kind::Wasm,
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
