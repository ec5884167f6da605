//! Which sequences share a container: starting one takes seconds under emulation, and families do not disturb each
//! other.

use serde_json::{Map, Value};

use crate::inputs::{Family, Sequence};

/// The sequences of one container, each of another family.
pub(crate) struct Plan {
    pub(crate) sequences: Vec<Sequence>,
}

impl Plan {
    /// As few containers as there are sequences of the largest family. Keys of `unified` belong to any controller,
    /// so they are alone.
    pub(crate) fn all(sequences: Vec<Sequence>) -> Vec<Plan> {
        let mut plans: Vec<Plan> = Vec::new();
        for sequence in sequences {
            let is_alone = sequence.family == Family::Unified;
            let has_place = |plan: &&mut Plan| {
                let mut there = plan.sequences.iter().map(|other| other.family);
                !is_alone
                    && there.all(|family| family != sequence.family && family != Family::Unified)
            };
            match plans.iter_mut().find(has_place) {
                Some(plan) => plan.sequences.push(sequence),
                None => plans.push(Plan {
                    sequences: vec![sequence],
                }),
            }
        }
        plans
    }

    /// One container for each sequence: after a refusal, its cause could be any of them.
    pub(crate) fn split(self) -> Vec<Plan> {
        let alone = |sequence| Plan {
            sequences: vec![sequence],
        };
        self.sequences.into_iter().map(alone).collect()
    }

    pub(crate) fn steps(&self) -> usize {
        let steps = self.sequences.iter().map(|sequence| sequence.steps.len());
        steps.max().unwrap_or(0)
    }

    /// The resources of a step: those of all families that have it.
    pub(crate) fn resources(&self, step: usize) -> Value {
        let parts = self.sequences.iter().filter_map(|one| one.steps.get(step));
        parts.fold(Value::Object(Map::new()), merge)
    }
}

impl Sequence {
    /// What its container got until a step, without the name of the family's object.
    pub(crate) fn label(&self, step: usize) -> String {
        let steps = self.steps.iter().take(step + 1);
        let inner = steps.flat_map(|step| step.as_object().into_iter().flat_map(Map::values));
        let texts = inner.map(Value::to_string).collect::<Vec<_>>();
        texts.join(" then ")
    }
}

/// Adds the fields of an object to those of another.
fn merge(mut all: Value, part: &Value) -> Value {
    if let (Some(all), Some(part)) = (all.as_object_mut(), part.as_object()) {
        for (key, value) in part {
            let known = all
                .remove(key)
                .filter(|known| known.is_object() && value.is_object());
            let merged = known.map_or_else(|| value.clone(), |known| merge(known, value));
            all.insert(key.clone(), merged);
        }
    }
    all
}

#[test]
fn families_share_a_container_and_keys_of_unified_do_not() {
    use serde_json::json;
    let sequence = |family, key: &str, values: &[Value]| Sequence {
        family,
        steps: values.iter().map(|value| json!({ key: value })).collect(),
    };
    let plans = Plan::all(vec![
        sequence(
            Family::Cpu,
            "cpu",
            &[json!({ "shares": 2 }), json!({ "shares": 3 })],
        ),
        sequence(Family::Cpu, "cpu", &[json!({ "shares": 4 })]),
        sequence(Family::Cpuset, "cpu", &[json!({ "cpus": "0" })]),
        sequence(Family::Unified, "unified", &[json!({ "cpu.weight": "1" })]),
    ]);
    let families: Vec<Vec<_>> = plans
        .iter()
        .map(|plan| plan.sequences.iter().map(|one| one.family).collect())
        .collect();
    let expected = [
        vec![Family::Cpu, Family::Cpuset],
        vec![Family::Cpu],
        vec![Family::Unified],
    ];
    assert_eq!(families, expected);
    assert_eq!(plans[0].steps(), 2);
    assert_eq!(
        plans[0].resources(0),
        json!({ "cpu": { "shares": 2, "cpus": "0" } })
    );
    assert_eq!(plans[0].resources(1), json!({ "cpu": { "shares": 3 } }));
    assert_eq!(
        plans[0].sequences[0].label(1),
        r#"{"shares":2} then {"shares":3}"#
    );
}
