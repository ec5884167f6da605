//! Prints the results of the stages: a table, and one line with the counts of their tests.

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use super::recorder::Tally;

/// The outcome of a stage.
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
    tests: Tally,
    note: String,
}

/// The outcomes of all stages so far.
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
    /// Adds a stage, and prints its line at once.
    pub(super) fn add(
        &mut self,
        stage: &'static str,
        outcome: Outcome,
        took: Duration,
        tests: Tally,
        note: String,
    ) {
        let line = Line {
            stage,
            outcome,
            took,
            tests,
            note,
        };
        eprintln!("    {line}");
        self.lines.push(line);
    }

    /// Success if something passed and nothing failed.
    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(u8::from(!self.is_success()))
    }

    fn is_success(&self) -> bool {
        let has = |outcome| self.lines.iter().any(|line| line.outcome == outcome);
        has(Outcome::Passed) && !has(Outcome::Failed)
    }

    /// All tests, and one for each stage without any, or that failed or was skipped although none
    /// of its tests was.
    fn total(&self) -> Tally {
        let mut total = Tally::default();
        for line in &self.lines {
            total += line.tests;
            match line.outcome {
                Outcome::Passed if line.tests == Tally::default() => total.passed += 1,
                Outcome::Failed if line.tests.failed == 0 => total.failed += 1,
                Outcome::Skipped => total.skipped += 1,
                Outcome::Passed | Outcome::Failed => {}
            }
        }
        total
    }
}

impl fmt::Display for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stage, outcome) = (self.stage, self.outcome.name());
        let tests = match self.tests.passed + self.tests.failed {
            0 => String::new(),
            count => format!("{count} tests  "),
        };
        let line = format!(
            "{stage:<11} {outcome:<8} {:>7.1} s  {tests}{}",
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
        // Scripts read the last line, so its form is fixed.
        let Tally {
            passed,
            failed,
            skipped,
        } = self.total();
        writeln!(
            formatter,
            "\n{passed} passed, {failed} failed, {skipped} skipped"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tests(passed: u64, failed: u64) -> Tally {
        Tally {
            passed,
            failed,
            skipped: 0,
        }
    }

    #[test]
    fn the_last_line_counts_tests_and_stages_without_any() {
        fn check(stages: &[(Outcome, u64, u64)], expected: &str, success: bool) {
            let mut report = Report::default();
            for (outcome, passed, failed) in stages {
                let tests = tests(*passed, *failed);
                report.add("unit", *outcome, Duration::ZERO, tests, String::new());
            }
            let text = report.to_string();
            assert_eq!(text.lines().last(), Some(expected));
            assert_eq!(report.is_success(), success, "{stages:?}");
        }
        use Outcome::{Failed, Passed, Skipped};
        let tidy = (Passed, 0, 0);
        check(&[tidy], "1 passed, 0 failed, 0 skipped", true);
        check(
            &[tidy, (Passed, 9, 0)],
            "10 passed, 0 failed, 0 skipped",
            true,
        );
        check(
            &[tidy, (Skipped, 0, 0)],
            "1 passed, 0 failed, 1 skipped",
            true,
        );
        check(
            &[tidy, (Failed, 8, 2)],
            "9 passed, 2 failed, 0 skipped",
            false,
        );
        // A stage that does not compile fails without a test.
        check(&[(Failed, 0, 0)], "0 passed, 1 failed, 0 skipped", false);
        check(&[(Failed, 3, 0)], "3 passed, 1 failed, 0 skipped", false);
        check(&[(Skipped, 0, 0)], "0 passed, 0 failed, 1 skipped", false);
        check(&[], "0 passed, 0 failed, 0 skipped", false);
    }

    #[test]
    fn a_stage_is_shown_with_its_time_and_what_it_lacks() {
        let mut report = Report::default();
        let took = Duration::from_millis(1250);
        let note = "needs git: apt-get install git".to_owned();
        report.add("tidy", Outcome::Skipped, took, tests(0, 0), note);
        report.add("unit", Outcome::Failed, took, tests(3, 1), "why".to_owned());
        let text = report.to_string();
        let lines: Vec<_> = text.lines().skip(1).take(2).collect();
        let expected = [
            "tidy        skipped      1.2 s  needs git: apt-get install git",
            "unit        failed       1.2 s  4 tests  why",
        ];
        assert_eq!(lines, expected);
    }
}
