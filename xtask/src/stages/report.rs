//! How the stages went: a table, and one line that counts them.

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

/// How one went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    Failed,
    Skipped,
}

#[derive(Debug)]
struct Line {
    stage: &'static str,
    outcome: Outcome,
    took: Duration,
    note: String,
}

/// How all of them went so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    lines: Vec<Line>,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Outcome::Passed => "passed",
            Outcome::Failed => "failed",
            Outcome::Skipped => "skipped",
        }
    }
}

impl Report {
    /// Adds a stage, and says so at once.
    pub(super) fn add(
        &mut self,
        stage: &'static str,
        outcome: Outcome,
        took: Duration,
        note: String,
    ) {
        let line = Line {
            stage,
            outcome,
            took,
            note,
        };
        eprintln!("    {line}");
        self.lines.push(line);
    }

    /// Success when something passed and nothing failed.
    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(u8::from(!self.is_success()))
    }

    fn is_success(&self) -> bool {
        self.count(Outcome::Failed) == 0 && self.count(Outcome::Passed) > 0
    }

    fn count(&self, outcome: Outcome) -> usize {
        self.lines
            .iter()
            .filter(|line| line.outcome == outcome)
            .count()
    }
}

impl fmt::Display for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stage, outcome) = (self.stage, self.outcome.name());
        let line = format!(
            "{stage:<11} {outcome:<8} {:>7.1} s  {}",
            self.took.as_secs_f64(),
            self.note
        );
        formatter.write_str(line.trim_end())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter)?;
        for line in &self.lines {
            writeln!(formatter, "{line}")?;
        }
        // Those who run this read the last line, so its form is fixed.
        writeln!(
            formatter,
            "\n{} passed, {} failed, {} skipped",
            self.count(Outcome::Passed),
            self.count(Outcome::Failed),
            self.count(Outcome::Skipped)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts_the_stages() {
        fn check(outcomes: &[Outcome], expected: &str, success: bool) {
            let mut report = Report::default();
            for outcome in outcomes {
                report.add("unit", *outcome, Duration::from_millis(1500), String::new());
            }
            let text = report.to_string();
            assert_eq!(text.lines().last(), Some(expected));
            assert_eq!(report.is_success(), success, "{outcomes:?}");
        }
        use Outcome::{Failed, Passed, Skipped};
        check(&[Passed, Passed], "2 passed, 0 failed, 0 skipped", true);
        check(&[Passed, Skipped], "1 passed, 0 failed, 1 skipped", true);
        check(
            &[Passed, Failed, Skipped],
            "1 passed, 1 failed, 1 skipped",
            false,
        );
        check(&[Skipped], "0 passed, 0 failed, 1 skipped", false);
        check(&[], "0 passed, 0 failed, 0 skipped", false);
    }

    #[test]
    fn a_stage_is_shown_with_its_time_and_what_it_lacks() {
        let mut report = Report::default();
        let note = "needs git: apt-get install git".to_owned();
        report.add("tidy", Outcome::Skipped, Duration::from_millis(1250), note);
        let text = report.to_string();
        let expected = "tidy        skipped      1.2 s  needs git: apt-get install git";
        assert_eq!(text.lines().nth(1), Some(expected));
    }
}
