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

/// Every goal.
pub(super) fn judge(figures: &Figures) -> Vec<GoalResult> {
    let rules = [
        (
            Experiment::Serial,
            Series::Response,
            Kind::Scratch,
            "median response: geometric mean at most 1.05",
            Rule::GeometricMean(1.05),
        ),
        (
            Experiment::Serial,
            Series::Response,
            Kind::Scratch,
            "median response: none over 1.15, but aes over 2",
            Rule::Each(1.15, &[("aes", 2.0)]),
        ),
        (
            Experiment::First,
            Series::Response,
            Kind::Scratch,
            "median first response: each at most 1.0",
            Rule::Each(1.0, &[]),
        ),
        (
            Experiment::Concurrent,
            Series::Response,
            Kind::Scratch,
            "median response: geometric mean at most 1.05",
            Rule::GeometricMean(1.05),
        ),
        (
            Experiment::Instantiation,
            Series::CreatedToStarted,
            Kind::Scratch,
            "median from creation to start: geometric mean at most 0.45",
            Rule::GeometricMean(0.45),
        ),
        (
            Experiment::Size,
            Series::Fetched,
            Kind::Distro,
            "bytes, against the distro image: each at most 1/60",
            Rule::Each(1.0 / 60.0, &[]),
        ),
        (
            Experiment::Size,
            Series::Fetched,
            Kind::Scratch,
            "bytes, against the scratch image: each at most 1/3",
            Rule::Each(1.0 / 3.0, &[]),
        ),
    ];
    let rules = rules.into_iter();
    let mut results: Vec<GoalResult> = rules
        .map(|(experiment, series, rival, goal, rule)| {
            let ratios = figures.compared(experiment, series, rival);
            let (measured, is_reached) = match ratios.as_slice() {
                [] => ("not measured".to_owned(), None),
                ratios => {
                    let (measured, is_reached) = rule.judge(ratios);
                    (measured, Some(is_reached))
                }
            };
            GoalResult {
                experiment,
                goal,
                measured,
                is_reached,
            }
        })
        .collect();
    results.push(density(figures));
    results
}

/// More is better here, and counts are compared.
fn density(figures: &Figures) -> GoalResult {
    let of = |function: &str, kind| figures.pods_in_gibibyte(function, kind);
    let ratios: Vec<f64> = figures
        .functions(Experiment::Density, Series::FurtherPodMemory)
        .into_iter()
        .filter_map(|function| Some(of(function, Kind::Wasm)? / of(function, Kind::Scratch)?))
        .collect();
    let mean = geometric_mean(&ratios);
    GoalResult {
        experiment: Experiment::Density,
        goal: "idle pods in 1 GiB: at least twice as many, geometric mean",
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
    use super::*;
    use crate::summary::Ratio;

    fn compared(ratios: &[(&str, f64)]) -> Vec<Compared> {
        let all = ratios.iter().map(|(function, value)| Compared {
            experiment: Experiment::Serial,
            series: Series::Response,
            function: (*function).to_owned(),
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
