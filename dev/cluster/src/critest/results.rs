//! Parses the results of one run from ginkgo's report.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

/// The outcome of each spec, by its name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Results {
    pub(super) outcomes: BTreeMap<String, Outcome>,
    /// The specs that passed at the second attempt.
    pub(super) repeated: Vec<String>,
}

/// The outcome of a spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    /// The first line of its failure message.
    Failed(String),
    Skipped,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Suite {
    #[serde(default)]
    spec_reports: Vec<Report>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Report {
    container_hierarchy_texts: Option<Vec<String>>,
    leaf_node_type: String,
    leaf_node_text: String,
    state: String,
    #[serde(default)]
    num_attempts: u32,
    failure: Option<Failure>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Failure {
    #[serde(default)]
    message: String,
}

impl Outcome {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Outcome::Passed => "passed",
            Outcome::Failed(_) => "failed",
            Outcome::Skipped => "skipped",
        }
    }
}

impl Results {
    pub(super) fn read(file: &Path) -> Result<Results> {
        let bytes = fs::read(file).with_context(|| format!("failed to read {}", file.display()))?;
        parse(&bytes).with_context(|| format!("in {}", file.display()))
    }

    pub(super) fn count(&self, is: impl Fn(&Outcome) -> bool) -> usize {
        self.outcomes.values().filter(|outcome| is(outcome)).count()
    }
}

fn parse(bytes: &[u8]) -> Result<Results> {
    let suites: Vec<Suite> =
        serde_json::from_slice(bytes).context("failed to parse ginkgo's report")?;
    let mut results = Results::default();
    for report in suites.into_iter().flat_map(|suite| suite.spec_reports) {
        let failure = report.failure.map(|failure| failure.message);
        let first_line = |text: String| text.lines().next().unwrap_or_default().to_owned();
        let failure = failure.map(first_line).unwrap_or_default();
        let outcome = match report.state.as_str() {
            "passed" => Outcome::Passed,
            "skipped" | "pending" => Outcome::Skipped,
            _ => Outcome::Failed(failure),
        };
        if report.leaf_node_type == "It" {
            let mut words = report.container_hierarchy_texts.unwrap_or_default();
            words.push(report.leaf_node_text);
            let name = words.join(" ");
            if outcome == Outcome::Passed && report.num_attempts > 1 {
                results.repeated.push(name.clone());
            }
            results.outcomes.insert(name, outcome);
        } else if let Outcome::Failed(message) = outcome {
            bail!("{} failed: {message}", report.leaf_node_type);
        }
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_are_named_by_all_their_texts() {
        let report = br#"[{"SuitePath":"/x","SpecReports":[
            {"ContainerHierarchyTexts":null,"LeafNodeType":"BeforeSuite","LeafNodeText":"","State":"passed"},
            {"ContainerHierarchyTexts":["[k8s.io] Pod","ports"],"LeafNodeType":"It","LeafNodeText":"maps","State":"passed","NumAttempts":2},
            {"ContainerHierarchyTexts":["[k8s.io] Pod"],"LeafNodeType":"It","LeafNodeText":"stops","State":"timedout",
             "Failure":{"Message":"too slow\nat line 3"}},
            {"ContainerHierarchyTexts":["[k8s.io] Pod"],"LeafNodeType":"It","LeafNodeText":"NRI","State":"skipped"}]}]"#;
        let expected = [
            ("[k8s.io] Pod NRI", Outcome::Skipped),
            ("[k8s.io] Pod ports maps", Outcome::Passed),
            ("[k8s.io] Pod stops", Outcome::Failed("too slow".to_owned())),
        ];
        let expected = expected.map(|(name, outcome)| (name.to_owned(), outcome));
        let results = parse(report).unwrap();
        assert_eq!(results.outcomes, BTreeMap::from(expected));
        assert_eq!(results.repeated, ["[k8s.io] Pod ports maps"]);
    }

    #[test]
    fn a_suite_that_could_not_begin_is_an_error() {
        let report = br#"[{"SpecReports":[{"LeafNodeType":"BeforeSuite","LeafNodeText":"",
            "State":"failed","Failure":{"Message":"no runtime"}}]}]"#;
        let error = parse(report).unwrap_err().to_string();
        assert_eq!(error, "BeforeSuite failed: no runtime");
        assert!(parse(b"{}").is_err());
    }
}
