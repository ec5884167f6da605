//! Computes figures from samples: summaries and ratios by experiment, series, function and kind.
//! Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::published;
use crate::experiment::Experiment;
use crate::kind::{Kind, Place};
use crate::sample::{Run, Series};
use crate::summary::{Ratio, Summary, Turns, float, quantile};

/// The key of samples.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    experiment: Experiment,
    series: Series,
    function: String,
    kind: Kind,
}

/// All figures of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    samples: BTreeMap<Key, Turns>,
    failed: BTreeMap<(Experiment, String, Kind), u64>,
    /// The points of the saturation experiment, by rising load.
    pub(super) loads: BTreeMap<(String, Kind), Vec<Point>>,
}

/// The result of one load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) offered: f64,
    pub(super) achieved: f64,
    /// In milliseconds.
    pub(super) median: f64,
    pub(super) p99: f64,
}

/// The ratio of a component's median to a container's; less is better in all series.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Compared {
    pub(super) experiment: Experiment,
    pub(super) series: Series,
    pub(super) function: String,
    /// The component.
    pub(super) ours: Kind,
    pub(super) rival: Kind,
    pub(super) ratio: Ratio,
    pub(super) published: Option<f64>,
}

impl Figures {
    pub(super) fn of(run: &Run) -> Self {
        let mut turns: BTreeMap<Key, Vec<Vec<u64>>> = BTreeMap::new();
        let mut figures = Self::default();
        for record in &run.records {
            let unit = &record.unit;
            let of_function = (unit.function.clone(), unit.kind);
            if let Some(load) = record.load {
                let mut sorted = record.values.clone();
                sorted.sort_unstable();
                if !sorted.is_empty() {
                    let points = figures.loads.entry(of_function).or_default();
                    points.push(Point {
                        offered: load.offered,
                        achieved: load.achieved,
                        median: quantile(&sorted, 0.5) / 1e3,
                        p99: quantile(&sorted, 0.99) / 1e3,
                    });
                }
                continue;
            }
            let failed = (unit.experiment, unit.function.clone(), unit.kind);
            *figures.failed.entry(failed).or_default() += record.failed;
            let key = Key {
                experiment: unit.experiment,
                series: record.series,
                function: unit.function.clone(),
                kind: unit.kind,
            };
            let turns = turns.entry(key).or_default();
            // By its number, so that turns of both kinds at one time are next to each other.
            let turn = unit.turn as usize;
            if turns.len() <= turn {
                turns.resize(turn + 1, Vec::new());
            }
            turns[turn].extend(&record.values);
        }
        let turns = turns.into_iter();
        figures.samples = turns.map(|(key, turns)| (key, Turns::new(turns))).collect();
        figures
    }

    /// The functions of an experiment's series.
    pub(super) fn functions(&self, experiment: Experiment, series: Series) -> Vec<&str> {
        let all = self.samples.keys();
        let of = all.filter(|key| key.experiment == experiment && key.series == series);
        let names: BTreeSet<&str> = of.map(|key| key.function.as_str()).collect();
        names.into_iter().collect()
    }

    /// The kinds of an experiment's series.
    pub(super) fn kinds(&self, experiment: Experiment, series: Series) -> Vec<Kind> {
        let all = self.samples.keys();
        let of = all.filter(|key| key.experiment == experiment && key.series == series);
        let kinds: BTreeSet<Kind> = of.map(|key| key.kind).collect();
        kinds.into_iter().collect()
    }

    /// The compared components: that in pods, and others that were measured.
    pub(super) fn components(&self) -> Vec<Kind> {
        let samples = self.samples.keys().map(|key| key.kind);
        let measured: BTreeSet<Kind> = samples.chain(self.loaded_kinds()).collect();
        let is_compared = |kind: &Kind| match kind {
            Kind::Wasm => true,
            other => other.is_component() && measured.contains(other),
        };
        Kind::ALL.into_iter().filter(is_compared).collect()
    }

    /// Whether an experiment has figures of functions in this place.
    pub(super) fn has(&self, experiment: Experiment, place: Place) -> bool {
        if experiment == Experiment::Saturation {
            return self.loads.keys().any(|(_, kind)| kind.place() == place);
        }
        let mut all = self.samples.keys();
        all.any(|key| key.experiment == experiment && key.kind.place() == place)
    }

    /// The samples by turn.
    pub(super) fn turns(
        &self,
        experiment: Experiment,
        series: Series,
        function: &str,
        kind: Kind,
    ) -> Option<&Turns> {
        self.samples.get(&Key {
            experiment,
            series,
            function: function.to_owned(),
            kind,
        })
    }

    pub(super) fn summary(
        &self,
        experiment: Experiment,
        series: Series,
        function: &str,
        kind: Kind,
    ) -> Option<Summary> {
        Summary::of(self.turns(experiment, series, function, kind)?)
    }

    /// The count of failed requests.
    pub(super) fn failed(&self, experiment: Experiment, function: &str, kind: Kind) -> u64 {
        let key = (experiment, function.to_owned(), kind);
        self.failed.get(&key).copied().unwrap_or_default()
    }

    /// The ratios of components of one kind to containers of one kind, by function.
    pub(super) fn compared(
        &self,
        experiment: Experiment,
        series: Series,
        [ours, rival]: [Kind; 2],
    ) -> Vec<Compared> {
        let functions = self.functions(experiment, series).into_iter();
        functions
            .filter_map(|function| {
                let of = |kind| self.turns(experiment, series, function, kind);
                Some(Compared {
                    experiment,
                    series,
                    function: function.to_owned(),
                    ours,
                    rival,
                    ratio: Ratio::of(of(ours)?, of(rival)?)?,
                    published: published::ratio(experiment, series, function),
                })
            })
            .collect()
    }

    /// How many idle replicas fit into a gibibyte: the measured ones, and further ones in the rest.
    pub(super) fn replicas_in_gibibyte(&self, function: &str, kind: Kind) -> Option<f64> {
        const GIBIBYTE: f64 = 1024.0 * 1024.0;
        let experiment = Experiment::Density;
        let up = self.summary(experiment, Series::PodMemory, function, kind)?;
        let further = self.summary(experiment, Series::FurtherPodMemory, function, kind)?;
        let count = float(up.count as u64);
        (further.mean > 0.0).then(|| (count + (GIBIBYTE - up.mean * count) / further.mean).floor())
    }

    /// The most requests a second that were answered.
    pub(super) fn capacity(&self, function: &str, kind: Kind) -> Option<f64> {
        let points = self.loads.get(&(function.to_owned(), kind))?;
        points
            .iter()
            .map(|point| point.achieved)
            .max_by(f64::total_cmp)
    }

    /// The kinds of the saturation experiment.
    pub(super) fn loaded_kinds(&self) -> Vec<Kind> {
        let kinds: BTreeSet<Kind> = self.loads.keys().map(|(_, kind)| *kind).collect();
        kinds.into_iter().collect()
    }

    /// The functions of the saturation experiment.
    pub(super) fn loaded(&self) -> Vec<&str> {
        let names: BTreeSet<&str> = self.loads.keys().map(|(name, _)| name.as_str()).collect();
        names.into_iter().collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::plan::Unit;
    use crate::sample::tests::header;
    use crate::sample::{Load, Record};

    /// A run of these kinds in the experiments of each. The containers' values are twice those of
    /// the component in pods, and four times those of the one in a pool.
    pub(crate) fn run(kinds: &[Kind]) -> Run {
        let series = [
            (Experiment::Serial, Series::Response),
            (Experiment::First, Series::Response),
            (Experiment::Concurrent, Series::Response),
            (Experiment::Instantiation, Series::CreatedToStarted),
            (Experiment::Instantiation, Series::CreatedToAnswer),
            (Experiment::Density, Series::PodMemory),
            (Experiment::Density, Series::FurtherPodMemory),
            (Experiment::Burst, Series::BurstAll),
        ];
        let mut records = Vec::new();
        for kind in kinds {
            let factor = match kind {
                Kind::Wasm => 2,
                Kind::Scratch | Kind::Distro => 4,
                Kind::Pooled => 1,
            };
            let unit = |experiment, turn| Unit {
                experiment,
                function: "aes".to_owned(),
                turn,
                kind: *kind,
            };
            for (experiment, series) in series {
                if *kind == Kind::Pooled && series == Series::CreatedToStarted {
                    continue;
                }
                for turn in 0..5 {
                    let values = (100..110).map(|value| value * factor).collect();
                    records.push(Record::new(&unit(experiment, turn), series, values));
                }
            }
            let achieved = 100.0 / f64::from(u32::try_from(factor).unwrap());
            records.push(Record {
                load: Some(Load {
                    offered: achieved,
                    achieved,
                }),
                ..Record::new(
                    &unit(Experiment::Saturation, 0),
                    Series::Response,
                    vec![factor],
                )
            });
        }
        Run {
            header: header("0.2"),
            records,
            check: None,
        }
    }

    #[test]
    fn components_are_compared_with_containers_when_they_were_measured() {
        fn check(kinds: &[Kind], expected: &[Kind]) {
            assert_eq!(Figures::of(&run(kinds)).components(), expected);
        }
        check(&[], &[Kind::Wasm]);
        check(&[Kind::Wasm, Kind::Scratch, Kind::Distro], &[Kind::Wasm]);
        check(
            &[Kind::Pooled, Kind::Wasm, Kind::Scratch],
            &[Kind::Wasm, Kind::Pooled],
        );
        let figures = Figures::of(&run(&[Kind::Wasm, Kind::Scratch, Kind::Pooled]));
        for (ours, expected) in [(Kind::Wasm, 0.5), (Kind::Pooled, 0.25)] {
            let kinds = [ours, Kind::Scratch];
            let compared = figures.compared(Experiment::Serial, Series::Response, kinds);
            let [one] = compared.as_slice() else {
                panic!("{compared:?}")
            };
            assert!((one.ratio.value - expected).abs() < 1e-9, "{one:?}");
            assert_eq!((one.ours, one.rival), (ours, Kind::Scratch));
        }
    }
}
