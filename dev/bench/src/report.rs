//! Prints the results of a run as a table, and writes all samples as JSON.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use sampan_measure::processor::processor;
use sampan_measure::statistics::Spread;
use serde::Serialize;

/// One line of the table.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) measure: String,
    pub(crate) subject: String,
    pub(crate) unit: Unit,
    pub(crate) spread: Spread,
    /// The goal of the figure.
    pub(crate) goal: Option<Goal>,
    pub(crate) samples: Vec<f64>,
}

/// The unit of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    /// A ratio to the native program.
    Ratio,
    RequestsPerSecond,
    Microseconds,
    Milliseconds,
    Kibibytes,
    Count,
}

/// A goal for a figure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

/// All results of one run.
#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    rows: Vec<Row>,
}

/// Prints the rows of a run on this machine, and writes its samples.
///
/// # Errors
///
/// When the file cannot be written.
pub(crate) fn publish(rows: Vec<Row>, json: &Path) -> Result<()> {
    let report = Report {
        machine: Machine::here(),
        rows,
    };
    print!("{report}");
    report.write(json)?;
    eprintln!("samples: {}", json.display());
    Ok(())
}

/// The machine of a run.
#[derive(Debug, Serialize)]
struct Machine {
    kernel: String,
    processor: String,
    processors: usize,
}

impl Machine {
    /// This machine.
    fn here() -> Self {
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        Self {
            kernel: kernel.trim().to_owned(),
            processor: processor(&info).unwrap_or("unknown").to_owned(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

impl Row {
    /// # Panics
    ///
    /// Without samples.
    pub(crate) fn new(measure: &str, subject: &str, unit: Unit, samples: Vec<f64>) -> Self {
        Self {
            measure: measure.to_owned(),
            subject: subject.to_owned(),
            unit,
            spread: Spread::of(&samples),
            goal: None,
            samples,
        }
    }

    /// Adds a goal for its median.
    pub(crate) fn with_goal(mut self, goal: Goal) -> Self {
        self.goal = Some(goal);
        self
    }

    fn goal_text(&self) -> String {
        let shown = |bound: f64| self.unit.show(bound);
        match self.goal {
            None => String::new(),
            Some(Goal::AtLeast(bound)) if self.spread.median >= bound => {
                format!("reached (>= {})", shown(bound))
            }
            Some(Goal::AtMost(bound)) if self.spread.median <= bound => {
                format!("reached (<= {})", shown(bound))
            }
            Some(Goal::AtLeast(bound)) => format!("MISSED (>= {})", shown(bound)),
            Some(Goal::AtMost(bound)) => format!("MISSED (<= {})", shown(bound)),
        }
    }
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Self::Ratio => format!("{value:.2}x"),
            Self::RequestsPerSecond => format!("{value:.0}/s"),
            Self::Microseconds => format!("{value:.0} us"),
            Self::Milliseconds => format!("{value:.1} ms"),
            Self::Kibibytes => format!("{value:.0} KiB"),
            Self::Count => format!("{value:.0}"),
        }
    }
}

impl Report {
    /// Writes everything as JSON.
    fn write(&self, path: &Path) -> Result<()> {
        let mut json = serde_json::to_string_pretty(self)?;
        json.push('\n');
        fs::write(path, json).with_context(|| format!("failed to write {}", path.display()))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = &self.machine;
        let (count, processor) = (machine.processors, &machine.processor);
        writeln!(
            f,
            "{count} processors ({processor}), Linux {}\n",
            machine.kernel
        )?;
        let width = |text: fn(&Row) -> &str| {
            self.rows
                .iter()
                .map(|row| text(row).len())
                .max()
                .unwrap_or_default()
        };
        let (measure, subject) = (width(|row| &row.measure), width(|row| &row.subject));
        let head = ("measure", "subject", "median", "least", "greatest");
        writeln!(
            f,
            "{:measure$}  {:subject$}  {:>10}  {:>10}  {:>10}  goal",
            head.0, head.1, head.2, head.3, head.4
        )?;
        for row in &self.rows {
            let show = |value| row.unit.show(value);
            let Spread {
                median,
                least,
                greatest,
            } = row.spread;
            let line = format!(
                "{:measure$}  {:subject$}  {:>10}  {:>10}  {:>10}  {}",
                row.measure,
                row.subject,
                show(median),
                show(least),
                show(greatest),
                row.goal_text()
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_compared_with_the_median() {
        fn check(samples: &[f64], goal: Goal, expected: &str) {
            let row = Row::new("m", "s", Unit::Ratio, samples.to_vec()).with_goal(goal);
            assert_eq!(row.goal_text(), expected);
        }
        check(&[0.4, 0.5, 0.9], Goal::AtLeast(0.45), "reached (>= 0.45x)");
        check(&[0.4, 0.4, 0.9], Goal::AtLeast(0.45), "MISSED (>= 0.45x)");
        check(&[1.0, 1.2], Goal::AtMost(1.15), "reached (<= 1.15x)");
        check(&[1.2], Goal::AtMost(1.15), "MISSED (<= 1.15x)");
    }
}
