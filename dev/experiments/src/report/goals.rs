//! Compares the measured figures with the project's goals. Pure.

use sampan_measure::statistics::geometric_mean;

use super::figures::{Compared, Figures};
use super::unit::shown_ratio as shown;
use crate::experiment::Experiment;
use crate::kind::Kind;
use crate::sample::Series;

/// A goal and its result.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct GoalResult {
    pub(super) experiment: Experiment,
    pub(super) goal: &'static str,
    pub(super) measured: String,
    /// `None` if it was not measured.
    pub(super) is_reached: Option<bool>,
}

/// How the ratios of an experiment are judged.
enum Rule {
    GeometricMean(f64),
    /// Each ratio, with other limits for some functions.
    Each(f64, &'static [(&'static str, f64)]),
}

impl Rule {
    /// The measured value as text, and whether it meets the rule.
    fn judge(&self, ratios: &[Compared]) -> (String, bool) {
        match self {
            Self::GeometricMean(most) => {
                let values: Vec<f64> = ratios.iter().map(|one| one.ratio.value).collect();
                let mean = geometric_mean(&values);
                (shown(mean), mean <= *most)
            }
            Self::Each(most, others) => {
                let most = |function: &str| {
                    let other = others.iter().find(|(name, _)| *name == function);
                    other.map_or(*most, |(_, most)| *most)
                };
                let over: Vec<String> = ratios
                    .iter()
                    .filter(|one| one.ratio.value > most(&one.function))
                    .map(|one| format!("{} {}", one.function, shown(one.ratio.value)))
                    .collect();
                if over.is_empty() {
                    let values = ratios.iter().map(|one| one.ratio.value);
                    let worst = values.max_by(f64::total_cmp).unwrap_or(f64::NAN);
                    (format!("at most {}", shown(worst)), true)
                } else {
                    let count = ratios.len();
                    (
                        format!("{} of {count} over: {}", over.len(), over.join(", ")),
                        false,
                    )
                }
            }
        }
    }
}

/// A goal: the compared kinds, what is compared, its words and its rule.
type Goal = ([Kind; 2], Experiment, Series, &'static str, Rule);

const BY_SCRATCH: [Kind; 2] = [Kind::Wasm, Kind::Scratch];
const BY_DISTRO: [Kind; 2] = [Kind::Wasm, Kind::Distro];
const POOLED_BY_SCRATCH: [Kind; 2] = [Kind::Pooled, Kind::Scratch];

/// The goals of ratios. Those of pooled functions are those of the pods.
static GOALS: [Goal; 12] = [
    (
        BY_SCRATCH,
        Experiment::Serial,
        Series::Response,
        "median response: geometric mean at most 1.05",
        Rule::GeometricMean(1.05),
    ),
    (
        BY_SCRATCH,
        Experiment::Serial,
        Series::Response,
        "median response: none over 1.15, but aes over 2",
        Rule::Each(1.15, &[("aes", 2.0)]),
    ),
    (
        BY_SCRATCH,
        Experiment::First,
        Series::Response,
        "median first response: each at most 1.0",
        Rule::Each(1.0, &[]),
    ),
    (
        BY_SCRATCH,
        Experiment::Concurrent,
        Series::Response,
        "median response: geometric mean at most 1.05",
        Rule::GeometricMean(1.05),
    ),
    (
        BY_SCRATCH,
        Experiment::Instantiation,
        Series::CreatedToStarted,
        "median from creation to start: geometric mean at most 0.45",
        Rule::GeometricMean(0.45),
    ),
    (
        BY_DISTRO,
        Experiment::Size,
        Series::Fetched,
        "bytes, against the distro image: each at most 1/60",
        Rule::Each(1.0 / 60.0, &[]),
    ),
    (
        BY_SCRATCH,
        Experiment::Size,
        Series::Fetched,
        "bytes, against the scratch image: each at most 1/3",
        Rule::Each(1.0 / 3.0, &[]),
    ),
    (
        POOLED_BY_SCRATCH,
        Experiment::Serial,
        Series::Response,
        "pooled, median response: geometric mean at most 1.05",
        Rule::GeometricMean(1.05),
    ),
    (
        POOLED_BY_SCRATCH,
        Experiment::Serial,
        Series::Response,
        "pooled, median response: none over 1.15, but aes over 2",
        Rule::Each(1.15, &[("aes", 2.0)]),
    ),
    (
        POOLED_BY_SCRATCH,
        Experiment::First,
        Series::Response,
        "pooled, median first response: each at most 1.0",
        Rule::Each(1.0, &[]),
    ),
    (
        POOLED_BY_SCRATCH,
        Experiment::Concurrent,
        Series::Response,
        "pooled, median response: geometric mean at most 1.05",
        Rule::GeometricMean(1.05),
    ),
    (
        POOLED_BY_SCRATCH,
        Experiment::Instantiation,
        Series::CreatedToAnswer,
        "pooled, median from creation to first answer: geometric mean at most 0.45",
        Rule::GeometricMean(0.45),
    ),
];

/// The goals of idle replicas in a gibibyte, of which more is better.
static DENSITIES: [(Kind, &str); 2] = [
    (
        Kind::Wasm,
        "idle pods in 1 GiB: at least twice as many, geometric mean",
    ),
    (
        Kind::Pooled,
        "pooled, idle functions in 1 GiB: at least twice as many, geometric mean",
    ),
];

/// Every goal of the measured kinds.
pub(super) fn judge(figures: &Figures) -> Vec<GoalResult> {
    let components = figures.components();
    let ratios = GOALS
        .iter()
        .filter(|([ours, _], ..)| components.contains(ours))
        .map(|(kinds, experiment, series, goal, rule)| {
            let ratios = figures.compared(*experiment, *series, *kinds);
            let (measured, is_reached) = match ratios.as_slice() {
                [] => ("not measured".to_owned(), None),
                ratios => {
                    let (measured, is_reached) = rule.judge(ratios);
                    (measured, Some(is_reached))
                }
            };
            GoalResult {
                experiment: *experiment,
                goal,
                measured,
                is_reached,
            }
        });
    let densities = DENSITIES
        .iter()
        .filter(|(ours, _)| components.contains(ours))
        .map(|(ours, goal)| density(figures, *ours, goal));
    let mut results: Vec<GoalResult> = ratios.chain(densities).collect();
    // Stable: the goals of one experiment stay in their order.
    results.sort_by_key(|result| result.experiment);
    results
}

/// More is better here, and counts are compared.
fn density(figures: &Figures, ours: Kind, goal: &'static str) -> GoalResult {
    let of = |function: &str, kind| figures.replicas_in_gibibyte(function, kind);
    let ratios: Vec<f64> = figures
        .functions(Experiment::Density, Series::FurtherPodMemory)
        .into_iter()
        .filter_map(|function| Some(of(function, ours)? / of(function, Kind::Scratch)?))
        .collect();
    let mean = geometric_mean(&ratios);
    GoalResult {
        experiment: Experiment::Density,
        goal,
        measured: if ratios.is_empty() {
            "not measured".to_owned()
        } else {
            format!("{mean:.2} times as many")
        },
        is_reached: (!ratios.is_empty()).then_some(mean >= 2.0),
    }
}

/// The head of the table of goals.
pub(super) const HEAD: [&str; 4] = ["experiment", "goal", "measured", ""];

impl GoalResult {
    /// A row of the table of goals.
    pub(super) fn row(&self) -> Vec<String> {
        let word = match self.is_reached {
            Some(true) => "reached",
            Some(false) => "MISSED",
            None => "-",
        };
        let number = self.experiment.number().to_string();
        [&number, self.goal, &self.measured, word]
            .map(str::to_owned)
            .to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::super::figures::tests::run;
    use super::*;
    use crate::summary::Ratio;

    #[test]
    fn a_pool_has_goals_when_it_was_measured() {
        fn check(kinds: &[Kind], expected: usize) {
            let figures = Figures::of(&run(kinds));
            let goals = judge(&figures);
            let pooled: Vec<_> = goals
                .iter()
                .filter(|result| result.goal.starts_with("pooled, "))
                .collect();
            assert_eq!(pooled.len(), expected, "{kinds:?}");
            assert_eq!(goals.len() - pooled.len(), 8, "{kinds:?}");
            assert!(goals.is_sorted_by_key(|result| result.experiment));
            for result in pooled {
                assert!(result.is_reached.is_some(), "{result:?}");
            }
        }
        check(&[Kind::Wasm, Kind::Scratch], 0);
        check(&[Kind::Wasm, Kind::Scratch, Kind::Pooled], 6);
    }

    fn compared(ratios: &[(&str, f64)]) -> Vec<Compared> {
        let all = ratios.iter().map(|(function, value)| Compared {
            experiment: Experiment::Serial,
            series: Series::Response,
            function: (*function).to_owned(),
            ours: Kind::Wasm,
            rival: Kind::Scratch,
            ratio: Ratio {
                value: *value,
                low: *value,
                high: *value,
            },
            published: None,
        });
        all.collect()
    }

    #[test]
    fn a_goal_is_reached_or_reports_what_missed_it() {
        fn check(rule: &Rule, ratios: &[(&str, f64)], expected: (&str, bool)) {
            let (measured, is_reached) = rule.judge(&compared(ratios));
            assert_eq!((measured.as_str(), is_reached), expected);
        }
        let mean = Rule::GeometricMean(1.05);
        check(&mean, &[("aes", 2.0), ("n-body", 0.5)], ("1.00", true));
        check(&mean, &[("aes", 2.0), ("n-body", 1.0)], ("1.41", false));
        let each = Rule::Each(1.15, &[("aes", 2.0)]);
        check(
            &each,
            &[("aes", 1.9), ("n-body", 1.1)],
            ("at most 1.90", true),
        );
        check(
            &each,
            &[("aes", 2.1), ("n-body", 1.2), ("matmul", 1.0)],
            ("2 of 3 over: aes 2.10, n-body 1.20", false),
        );
        check(
            &Rule::Each(1.0 / 60.0, &[]),
            &[("aes", 0.0125)],
            ("at most 1/80", true),
        );
    }
}
