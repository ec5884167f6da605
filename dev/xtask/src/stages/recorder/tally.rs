//! Parses the output of cargo's test runner: counts of passed, failed and ignored tests, and the
//! failures' text.

use std::ops::AddAssign;

/// The most lines of failures to show; the file has the rest.
const MAX_LINES: usize = 200;

/// How many of the last lines are shown when the output has no list of failures.
const TAIL_LINES: usize = 60;

/// Counts of tests over many runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Tally {
    /// Adds the counts of a line.
    pub(crate) fn read(&mut self, line: &str) {
        *self += result(line).unwrap_or_default();
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// Parses the counts in `test result: ok. 13 passed; 0 failed; 1 ignored; ...`.
fn result(line: &str) -> Option<Tally> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |name: &str| {
        let mut counts = counts.split("; ");
        counts.find_map(|count| count.strip_suffix(name)?.trim_end().parse().ok())
    };
    Some(Tally {
        passed: count("passed")?,
        failed: count("failed")?,
        skipped: count("ignored")?,
    })
}

/// The lines between `failures:` and the result, for each run with failures; without any, the end
/// of the text.
pub(super) fn failures(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        inside |= line == "failures:";
        if inside {
            lines.push(line);
        }
        inside &= !line.starts_with("test result: ");
    }
    if lines.is_empty() {
        let all: Vec<_> = text.lines().collect();
        return all[all.len().saturating_sub(TAIL_LINES)..].to_vec();
    }
    lines.truncate(MAX_LINES);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_counted() {
        fn check(line: &str, expected: [u64; 3]) {
            let mut tally = Tally::default();
            tally.read(line);
            let counts = [tally.passed, tally.failed, tally.skipped];
            assert_eq!(counts, expected, "{line}");
        }
        check(
            "test result: ok. 13 passed; 0 failed; 0 ignored; 0 measured; 2 filtered out",
            [13, 0, 0],
        );
        check(
            "test result: FAILED. 12 passed; 1 failed; 3 ignored",
            [12, 1, 3],
        );
        check("test one ... ok", [0, 0, 0]);
        check("test result: odd", [0, 0, 0]);
    }

    #[test]
    fn only_failures_are_shown() {
        let text = "test a ... ok\ntest b ... FAILED\n\nfailures:\n\n---- b ----\nboom\n\n\
            test result: FAILED. 1 passed; 1 failed\nnext run\ntest result: ok. 1 passed\n";
        let shown = failures(text);
        assert_eq!(shown.first(), Some(&"failures:"));
        assert!(shown.contains(&"boom"));
        assert_eq!(
            shown.last(),
            Some(&"test result: FAILED. 1 passed; 1 failed")
        );
    }

    #[test]
    fn without_a_runner_the_end_is_shown() {
        let lines: Vec<_> = (0..100).map(|line| line.to_string()).collect();
        let text = lines.join("\n");
        let shown = failures(&text);
        assert_eq!((shown.len(), shown[0], shown[59]), (60, "40", "99"));
    }
}
