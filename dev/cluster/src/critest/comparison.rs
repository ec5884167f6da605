//! Compares the results of both runtimes: Sampan must pass what runc passes, or the documentation
//! must give the reason.

use std::fmt;

use anyhow::{Result, bail};

use super::Part;
use super::exceptions::Exceptions;
use super::results::{Outcome, Results};

/// The fewest specs that runc passes on any machine that can run critest. A lower count means that
/// critest did not work.
const MIN_PASSED_WHOLE: usize = 60;
const MIN_PASSED_SHORT: usize = 10;

/// A spec that differs, or an outdated entry of the documentation.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    spec: String,
    runc: &'static str,
    sampan: &'static str,
    note: String,
}

/// The results, as a table.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Specs that pass with both runtimes.
    pub same: usize,
    /// Specs that pass with neither, because of this machine's limits or an image that cannot be
    /// made.
    neither: Vec<String>,
    /// Specs that passed at the second attempt, with the runtime's name.
    repeated: Vec<String>,
    explained: Vec<Row>,
    /// Differences without a reason in the documentation, and outdated entries. Each is a failure.
    unexplained: Vec<Row>,
}

impl Comparison {
    pub(super) fn of(
        runc: &Results,
        sampan: &Results,
        exceptions: &Exceptions,
        part: Part,
    ) -> Result<Comparison> {
        let passed = runc.count(|outcome| *outcome == Outcome::Passed);
        let least = match part {
            Part::Short => MIN_PASSED_SHORT,
            Part::Whole => MIN_PASSED_WHOLE,
        };
        if passed < least {
            bail!("runc passed {passed} specs, and at least {least} were expected");
        }
        let mut comparison = Comparison::default();
        for (spec, with_runc) in &runc.outcomes {
            comparison.add(spec, with_runc, sampan.outcomes.get(spec), exceptions);
        }
        for (name, results) in [("runc", runc), ("Sampan", sampan)] {
            let repeated = results.repeated.iter();
            let repeated = repeated.map(|spec| format!("{name}: {spec}"));
            comparison.repeated.extend(repeated);
        }
        if part == Part::Whole {
            comparison.add_stale(exceptions, sampan);
        }
        Ok(comparison)
    }

    /// Whether nothing is unexplained.
    pub fn is_success(&self) -> bool {
        self.unexplained.is_empty()
    }

    /// The count of unexplained rows.
    pub fn failures(&self) -> usize {
        self.unexplained.len()
    }

    fn add(&mut self, spec: &str, runc: &Outcome, sampan: Option<&Outcome>, known: &Exceptions) {
        let sampan = sampan.cloned();
        let sampan = sampan.unwrap_or_else(|| Outcome::Failed("it did not run".to_owned()));
        match (runc, &sampan) {
            (Outcome::Passed, Outcome::Passed) => self.same += 1,
            (Outcome::Failed(_), Outcome::Failed(_)) => self.neither.push(spec.to_owned()),
            (Outcome::Passed, Outcome::Failed(_) | Outcome::Skipped) => {
                let row = |note: &str| Row {
                    spec: spec.to_owned(),
                    runc: runc.name(),
                    sampan: sampan.name(),
                    note: note.to_owned(),
                };
                let said = match &sampan {
                    Outcome::Failed(message) => message.as_str(),
                    _ => "",
                };
                match known.0.get(spec) {
                    Some(reason) => self.explained.push(row(reason)),
                    None => self.unexplained.push(row(said)),
                }
            }
            // A spec that only Sampan passes is no fault, and a spec that is skipped says nothing.
            (Outcome::Failed(_) | Outcome::Skipped, _) => {}
        }
    }

    /// Adds entries of specs that Sampan passes, or that do not exist. A spec that runc fails on
    /// this machine says nothing about its entry.
    fn add_stale(&mut self, exceptions: &Exceptions, sampan: &Results) {
        for spec in exceptions.0.keys() {
            let outcome = sampan.outcomes.get(spec);
            let note = match outcome {
                None => "docs/shim.md lists it, and critest has no such spec; remove the row",
                Some(Outcome::Passed) => "docs/shim.md lists it, and it passes; remove the row",
                Some(_) => continue,
            };
            self.unexplained.push(Row {
                spec: spec.clone(),
                runc: "",
                sampan: outcome.map_or("", Outcome::name),
                note: note.to_owned(),
            });
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "critest: {} specs pass with runc and with Sampan",
            self.same
        )?;
        for spec in &self.neither {
            writeln!(f, "  fails with both: {spec}")?;
        }
        for spec in &self.repeated {
            writeln!(f, "  passed at the second attempt with {spec}")?;
        }
        if self.explained.is_empty() && self.unexplained.is_empty() {
            return writeln!(f, "  no spec passes with runc alone");
        }
        writeln!(f, "\n| runc | sampan | spec | |\n|---|---|---|---|")?;
        for row in self.explained.iter().chain(&self.unexplained) {
            let Row {
                spec,
                runc,
                sampan,
                note,
            } = row;
            writeln!(f, "| {runc} | {sampan} | {spec} | {note} |")?;
        }
        if !self.unexplained.is_empty() {
            let count = self.unexplained.len();
            writeln!(f, "\n{count} of them are not explained by docs/shim.md")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(pairs: &[(&str, Outcome)]) -> Results {
        let many = (0..MIN_PASSED_WHOLE).map(|number| (format!("other {number}"), Outcome::Passed));
        let pairs = pairs.iter();
        let pairs = pairs.map(|(name, outcome)| ((*name).to_owned(), outcome.clone()));
        Results {
            outcomes: many.chain(pairs).collect(),
            repeated: Vec::new(),
        }
    }

    fn failed() -> Outcome {
        Outcome::Failed("why".to_owned())
    }

    #[test]
    fn what_runc_passes_is_passed_or_explained() {
        fn check(runc: Outcome, sampan: Outcome, listed: bool, part: Part, failures: usize) {
            let mut exceptions = Exceptions::default();
            if listed {
                let reason = "reason".to_owned();
                exceptions.0.insert("spec".to_owned(), reason);
            }
            let (with_runc, with_sampan) =
                (results(&[("spec", runc)]), results(&[("spec", sampan)]));
            let compared = Comparison::of(&with_runc, &with_sampan, &exceptions, part).unwrap();
            assert_eq!(compared.failures(), failures, "{compared}");
            assert_eq!(compared.is_success(), failures == 0);
        }
        use Outcome::{Passed, Skipped};
        check(Passed, Passed, false, Part::Whole, 0);
        check(Passed, failed(), false, Part::Whole, 1);
        check(Passed, Skipped, false, Part::Whole, 1);
        check(Passed, failed(), true, Part::Whole, 0);
        check(failed(), failed(), false, Part::Whole, 0);
        check(failed(), Passed, false, Part::Whole, 0);
        // An outdated entry is a failure, unless only some specs ran.
        check(Passed, Passed, true, Part::Whole, 1);
        check(failed(), Passed, true, Part::Whole, 1);
        check(Passed, Passed, true, Part::Short, 0);
        check(failed(), failed(), true, Part::Whole, 0);
        check(Skipped, Skipped, true, Part::Whole, 0);
    }

    #[test]
    fn an_entry_of_a_spec_that_does_not_exist_is_wrong() {
        let mut exceptions = Exceptions::default();
        exceptions.0.insert("gone".to_owned(), "reason".to_owned());
        let same = results(&[]);
        let compared = Comparison::of(&same, &same, &exceptions, Part::Whole).unwrap();
        assert_eq!(compared.failures(), 1, "{compared}");
    }

    #[test]
    fn a_run_in_which_runc_passes_few_specs_is_an_error() {
        let none = Results::default();
        let compared = Comparison::of(&none, &none, &Exceptions::default(), Part::Short);
        assert!(compared.is_err());
    }
}
