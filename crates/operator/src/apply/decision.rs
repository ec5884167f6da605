//! What is to become of one object: a plain function of what is wanted, what is there, and what was
//! changed a moment ago.

use std::time::Duration;

use sampan_crd::MANAGED_BY;
use serde_json::Value;

use super::applied;
use crate::difference::{digest as digest_of, is_same, projection};
use crate::memory::{Change, LAG};

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Nothing: it is as it is wanted.
    Keep,
    /// Look at it again after this time.
    Later(Duration),
    /// Ask whether it is there and whose it is, and then write it.
    Look,
    /// Write it.
    Apply,
    /// Leave it alone: it is somebody else's.
    Taken,
}

/// Decides. `digest` is that of `wanted`.
pub(super) fn decide(
    wanted: &Value,
    digest: &str,
    observed: Option<&Value>,
    change: Option<&Change>,
    uid: &str,
) -> Decision {
    // Only a change that had the same in mind says anything about this one.
    let change = change.filter(|change| change.wanted == digest);
    let since = change.map(|change| change.at.elapsed());
    let lagging = || Some(LAG.checked_sub(since?)?).filter(|rest| !rest.is_zero());
    let Some(observed) = observed else {
        return lagging().map_or(Decision::Look, Decision::Later);
    };
    if !is_ours(observed, uid) {
        return Decision::Taken;
    }
    if observed["metadata"]["deletionTimestamp"].is_string() {
        // Its end is an event, and then it is made again.
        return Decision::Later(LAG);
    }
    if let (Some(seen), Some(made)) = (version(observed), change.and_then(|change| change.version))
        && seen < made
        && let Some(rest) = lagging()
    {
        return Decision::Later(rest);
    }
    let there = projection(wanted, observed);
    if applied(observed) == Some(digest) {
        let as_it_became = || change.is_some_and(|change| change.became == digest_of(&there));
        if is_same(wanted, &there) || as_it_became() {
            return Decision::Keep;
        }
    }
    let pause = change.map_or(Duration::ZERO, Change::pause);
    match since.and_then(|since| pause.checked_sub(since)) {
        Some(rest) if !rest.is_zero() => Decision::Later(rest),
        _ => Decision::Apply,
    }
}

/// Whether an object is the function's: it has it as its owner, or has no owner and our labels, as after
/// a deletion that left it behind.
pub(super) fn is_ours(object: &Value, uid: &str) -> bool {
    let owners = object["metadata"]["ownerReferences"].as_array();
    let owners = owners.map(Vec::as_slice).unwrap_or_default();
    if owners.iter().any(|owner| owner["uid"] == uid) {
        return true;
    }
    let (managed_by, operator) = MANAGED_BY;
    owners.iter().all(|owner| owner["controller"] != true)
        && object["metadata"]["labels"][managed_by] == operator
}

/// The version of an object, which grows with each change.
pub(super) fn version(object: &Value) -> Option<u64> {
    object["metadata"]["resourceVersion"].as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use serde_json::{Value, json};

    use super::{Decision, decide};
    use crate::difference::{digest, projection};
    use crate::memory::Change;

    fn wanted() -> Value {
        json!({ "metadata": { "name": "f", "ownerReferences": [{ "uid": "u", "name": "f" }] }, "spec": { "a": 1 } })
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "what `json!` makes is handed over where it is made"
    )]
    fn there(spec: Value, annotation: &str) -> Value {
        json!({
            "metadata": {
                "name": "f", "resourceVersion": "10", "ownerReferences": [{ "uid": "u", "name": "f" }],
                "annotations": { "sampan.dev/applied": annotation },
            },
            "spec": spec,
        })
    }

    fn change(became: &Value, version: u64, ago: u64, repeats: u32) -> Change {
        Change {
            wanted: digest(&wanted()),
            became: digest(&projection(&wanted(), became)),
            version: Some(version),
            at: Instant::now()
                .checked_sub(Duration::from_secs(ago))
                .expect("a time"),
            repeats,
        }
    }

    fn check(observed: Option<&Value>, change: Option<&Change>) -> Decision {
        decide(&wanted(), &digest(&wanted()), observed, change, "u")
    }

    #[test]
    fn what_is_as_wanted_is_left_alone() {
        let digest = digest(&wanted());
        let same = there(json!({ "a": 1, "b": 2 }), &digest);
        assert_eq!(check(Some(&same), None), Decision::Keep);
        // Something else was wanted when it was written: a field may be left over.
        assert_eq!(
            check(Some(&there(json!({ "a": 1 }), "old")), None),
            Decision::Apply
        );
        assert_eq!(
            check(Some(&there(json!({ "a": 2 }), &digest)), None),
            Decision::Apply
        );
        // The API server spells it in its own way.
        let spelt = there(json!({ "a": "1" }), &digest);
        assert_eq!(check(Some(&spelt), None), Decision::Apply);
        assert_eq!(
            check(Some(&spelt), Some(&change(&spelt, 10, 60, 0))),
            Decision::Keep
        );
    }

    #[test]
    fn a_cache_that_is_behind_is_waited_for() {
        let digest = digest(&wanted());
        let old = there(json!({ "a": 2 }), &digest);
        let is_later = |decision| matches!(decision, Decision::Later(_));
        assert!(is_later(check(Some(&old), Some(&change(&old, 11, 0, 0)))));
        assert_eq!(
            check(Some(&old), Some(&change(&wanted(), 11, 60, 0))),
            Decision::Apply
        );
        assert!(is_later(check(None, Some(&change(&old, 11, 0, 0)))));
        assert_eq!(check(None, Some(&change(&old, 11, 60, 0))), Decision::Look);
        assert_eq!(check(None, None), Decision::Look);
    }

    #[test]
    fn a_tug_of_war_slows_down() {
        let undone = there(json!({ "a": 2 }), &digest(&wanted()));
        let made = wanted();
        assert_eq!(
            check(Some(&undone), Some(&change(&made, 9, 0, 2))),
            Decision::Apply
        );
        assert!(matches!(
            check(Some(&undone), Some(&change(&made, 9, 0, 8))),
            Decision::Later(_)
        ));
        assert_eq!(
            check(Some(&undone), Some(&change(&made, 9, 301, 30))),
            Decision::Apply
        );
    }

    #[test]
    fn what_is_somebody_elses_is_left_alone() {
        let mut other = there(json!({ "a": 2 }), "");
        other["metadata"]["ownerReferences"] = json!([{ "uid": "other", "controller": true }]);
        assert_eq!(check(Some(&other), None), Decision::Taken);
        other["metadata"]["ownerReferences"] = Value::Null;
        assert_eq!(check(Some(&other), None), Decision::Taken);
        other["metadata"]["labels"] = json!({ "app.kubernetes.io/managed-by": "sampan-operator" });
        assert_eq!(check(Some(&other), None), Decision::Apply);
        let mut leaving = there(json!({ "a": 2 }), "");
        leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        assert!(matches!(check(Some(&leaving), None), Decision::Later(_)));
    }
}
