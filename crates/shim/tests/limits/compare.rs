//! Runs each plan under both runtimes, and finds where their limits differ.

use std::collections::BTreeSet;

use serde_json::json;

use crate::behaviour::reload;
use crate::container::{Container, Runtime};
use crate::environment::{Environment, disk};
use crate::inputs::Family;
use crate::plan::Plan;
use crate::snapshot::{self, Snapshot};
use crate::support::Node;

/// What one runtime made of one step; `None` when it refused.
type Outcome = Option<Snapshot>;

/// One step of one sequence, under both.
pub(crate) struct Row {
    pub(crate) family: Family,
    pub(crate) label: String,
    pub(crate) runc: Outcome,
    pub(crate) sampan: Outcome,
    /// What sampan said when it refused.
    pub(crate) said: Option<String>,
    /// Whether it is measured again after systemd has read its units anew.
    pub(crate) is_reload: bool,
}

/// All steps of a plan under one runtime, or what it refused a step with.
#[derive(Default)]
struct Trace {
    snapshots: Vec<Snapshot>,
    refused: Option<String>,
}

/// Every row of this environment: first a container without limits.
pub(crate) async fn run(node: &Node, environment: Environment) -> Vec<Row> {
    let sequences = crate::inputs::all(disk());
    let sequences = sequences
        .into_iter()
        .filter(|one| environment.has(one.family));
    let mut waiting = Plan::all(sequences.collect());
    waiting.push(Plan {
        sequences: vec![crate::inputs::Sequence {
            family: Family::Group,
            steps: vec![json!({})],
        }],
    });
    let mut rows = Vec::new();
    let mut number = 0;
    while let Some(plan) = waiting.pop() {
        number += 1;
        let (mut runc, first) = trace(node, Runtime::Runc, &plan, number).await;
        let (mut sampan, second) = trace(node, Runtime::Sampan, &plan, number).await;
        if node.groups().is_systemd() {
            reload();
            for (trace, container) in [(&mut runc, &first), (&mut sampan, &second)] {
                trace.add(node, container.as_ref());
            }
        }
        for container in [first, second].into_iter().flatten() {
            container.end().await;
        }
        let refused = runc.refused.is_some() || sampan.refused.is_some();
        if refused && plan.sequences.len() > 1 {
            waiting.extend(plan.split());
        } else {
            rows.extend(rows_of(node, &plan, &runc, &sampan));
        }
    }
    rows.sort_by(|one, other| {
        (one.family, &one.label, one.is_reload).cmp(&(other.family, &other.label, other.is_reload))
    });
    rows
}

/// Takes a container through the steps until one is refused. It still runs then.
async fn trace(
    node: &Node,
    runtime: Runtime,
    plan: &Plan,
    number: usize,
) -> (Trace, Option<Container>) {
    let id = format!("{}-{number}", runtime.name());
    let bundle = node.bundle(&id).busybox(&["sleep", "1000000"]);
    let bundle = bundle.resources(plan.resources(0));
    let mut found = Trace::default();
    let container = match Container::start(node, runtime, bundle).await {
        Ok(container) => container,
        Err(error) => {
            found.refused = Some(error);
            return (found, None);
        }
    };
    found.add(node, Some(&container));
    for step in 1..plan.steps() {
        if let Err(error) = container.update(&plan.resources(step)).await {
            found.refused = Some(error);
            break;
        }
        found.add(node, Some(&container));
    }
    (found, Some(container))
}

impl Trace {
    /// Reads what a container has now, unless something was refused.
    fn add(&mut self, node: &Node, container: Option<&Container>) {
        if let (Some(container), None) = (container, &self.refused) {
            self.snapshots
                .push(snapshot::take(node.groups(), container.id(), disk()));
        }
    }
}

fn rows_of(node: &Node, plan: &Plan, runc: &Trace, sampan: &Trace) -> Vec<Row> {
    let mut rows = Vec::new();
    // The disk is another on each machine.
    let disk = disk().map(|(major, minor)| format!(r#""major":{major},"minor":{minor},"#));
    let hidden = |label: String| match &disk {
        Some(numbers) => label.replace(numbers, "DISK, "),
        None => label,
    };
    for sequence in &plan.sequences {
        let outcome = |trace: &Trace, step: usize| -> Outcome {
            let snapshot = trace.snapshots.get(step)?.iter();
            let own = snapshot.filter(|(key, _)| {
                let alone = matches!(sequence.family, Family::Unified | Family::Group);
                alone || Family::of_key(key) == sequence.family
            });
            Some(
                own.map(|(key, value)| (key.clone(), value.clone()))
                    .collect(),
            )
        };
        let mut add = |step: usize, label: String, is_reload: bool| {
            rows.push(Row {
                family: sequence.family,
                label: hidden(label),
                runc: outcome(runc, step),
                sampan: outcome(sampan, step),
                said: sampan.refused.clone(),
                is_reload,
            });
        };
        for step in 0..sequence.steps.len() {
            add(step, sequence.label(step), false);
        }
        if node.groups().is_systemd() && runc.refused.is_none() {
            add(plan.steps(), sequence.label(sequence.steps.len() - 1), true);
        }
    }
    rows
}

impl Row {
    /// The files and properties that the runtimes left with other values.
    pub(crate) fn differing(&self) -> Vec<String> {
        let (Some(runc), Some(sampan)) = (&self.runc, &self.sampan) else {
            let equal = self.runc.is_none() == self.sampan.is_none();
            return if equal {
                Vec::new()
            } else {
                vec!["refused".to_owned()]
            };
        };
        let keys: BTreeSet<_> = runc.keys().chain(sampan.keys()).collect();
        let differs = |key: &&&String| runc.get(**key) != sampan.get(**key);
        keys.iter()
            .filter(differs)
            .map(|key| (*key).clone())
            .collect()
    }

    /// One runtime's value.
    pub(crate) fn value(&self, runtime: Runtime, key: &str) -> String {
        let outcome = match runtime {
            Runtime::Runc => &self.runc,
            Runtime::Sampan => &self.sampan,
        };
        match (outcome, runtime) {
            (None, Runtime::Sampan) => {
                let said = self.said.as_deref().unwrap_or_default();
                format!("refused ({})", said.trim())
            }
            (None, Runtime::Runc) => "refused".to_owned(),
            (Some(_), _) if key == "refused" => "carried out".to_owned(),
            (Some(snapshot), _) => snapshot
                .get(key)
                .map_or_else(|| "absent".to_owned(), Clone::clone),
        }
    }
}
