//! Decides what to do with one object: a pure function of the desired and the observed object and
//! of the last change.

use std::time::Duration;

use sampan_crd::MANAGED_BY;
use serde_json::Value;

use super::applied;
use crate::difference::{digest as digest_of, is_same, projection};
use crate::history::{Change, WATCH_LAG};

/// The decision.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Do nothing: the object is as desired.
    Keep,
    /// Check it again after this time.
    Later(Duration),
    /// Query its existence and its owner, then write it.
    CheckOwner,
    /// Write it.
    Apply,
    /// Leave it unchanged: it has another owner.
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
    // Only a change with the same digest matters here.
    let change = change.filter(|change| change.wanted == digest);
    let since = change.map(|change| change.at.elapsed());
    let lagging = || Some(WATCH_LAG.checked_sub(since?)?).filter(|rest| !rest.is_zero());
    let Some(observed) = observed else {
        return lagging().map_or(Decision::CheckOwner, Decision::Later);
    };
    if !is_owned(observed, uid) {
        return Decision::Taken;
    }
    if observed["metadata"]["deletionTimestamp"].is_string() {
        // The end of its deletion is an event, and then it is made again.
        return Decision::Later(WATCH_LAG);
    }
    if let (Some(seen), Some(made)) = (version(observed), change.and_then(|change| change.version))
        && seen < made
        && let Some(rest) = lagging()
    {
        return Decision::Later(rest);
    }
    let there = projection(wanted, observed);
    if applied(observed) == Some(digest) {
        let matches_result = || change.is_some_and(|change| change.result == digest_of(&there));
        if is_same(wanted, &there) || matches_result() {
            return Decision::Keep;
        }
    }
    let pause = change.map_or(Duration::ZERO, Change::pause);
    match since.and_then(|since| pause.checked_sub(since)) {
        Some(rest) if !rest.is_zero() => Decision::Later(rest),
        _ => Decision::Apply,
    }
}

/// Whether an object is the function's: the function is its owner, or it has no owner and the
/// operator's labels, as after a deletion that left it behind.
pub(super) fn is_owned(object: &Value, uid: &str) -> bool {
    let owners = object["metadata"]["ownerReferences"].as_array();
    let owners = owners.map(Vec::as_slice).unwrap_or_default();
    if owners.iter().any(|owner| owner["uid"] == uid) {
        return true;
    }
    let (managed_by, operator) = MANAGED_BY;
    owners.iter().all(|owner| owner["controller"] != true)
        && object["metadata"]["labels"][managed_by] == operator
}

/// The resource version of an object, which grows with each change.
pub(super) fn version(object: &Value) -> Option<u64> {
    object["metadata"]["resourceVersion"].as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use serde_json::{Value, json};

    use super::{Decision, decide};
    use crate::difference::{digest, projection};
    use crate::history::Change;

    fn wanted() -> Value {
        json!({ "metadata": { "name": "f", "ownerReferences": [{ "uid": "u", "name": "f" }] }, "spec": { "a": 1 } })
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers pass temporary `json!` values"
    )]
    fn object(spec: Value, annotation: &str) -> Value {
        json!({
            "metadata": {
                "name": "f", "resourceVersion": "10", "ownerReferences": [{ "uid": "u", "name": "f" }],
                "annotations": { "sampan.dev/applied": annotation },
            },
            "spec": spec,
        })
    }

    fn change(result: &Value, version: u64, ago: u64, repeats: u32) -> Change {
        Change {
            wanted: digest(&wanted()),
            result: digest(&projection(&wanted(), result)),
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
    fn a_matching_object_is_kept() {
        let digest = digest(&wanted());
        let same = object(json!({ "a": 1, "b": 2 }), &digest);
        assert_eq!(check(Some(&same), None), Decision::Keep);
        // Its last write had another digest: a field may be left over.
        assert_eq!(
            check(Some(&object(json!({ "a": 1 }), "old")), None),
            Decision::Apply
        );
        assert_eq!(
            check(Some(&object(json!({ "a": 2 }), &digest)), None),
            Decision::Apply
        );
        // The API server has its own spelling.
        let spelt = object(json!({ "a": "1" }), &digest);
        assert_eq!(check(Some(&spelt), None), Decision::Apply);
        assert_eq!(
            check(Some(&spelt), Some(&change(&spelt, 10, 60, 0))),
            Decision::Keep
        );
    }

    #[test]
    fn a_stale_cache_delays_the_decision() {
        let digest = digest(&wanted());
        let old = object(json!({ "a": 2 }), &digest);
        let is_later = |decision| matches!(decision, Decision::Later(_));
        assert!(is_later(check(Some(&old), Some(&change(&old, 11, 0, 0)))));
        assert_eq!(
            check(Some(&old), Some(&change(&wanted(), 11, 60, 0))),
            Decision::Apply
        );
        assert!(is_later(check(None, Some(&change(&old, 11, 0, 0)))));
        assert_eq!(
            check(None, Some(&change(&old, 11, 60, 0))),
            Decision::CheckOwner
        );
        assert_eq!(check(None, None), Decision::CheckOwner);
    }

    #[test]
    fn repeated_reverts_are_delayed() {
        let undone = object(json!({ "a": 2 }), &digest(&wanted()));
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
    fn foreign_and_deleted_objects_are_not_applied() {
        let mut other = object(json!({ "a": 2 }), "");
        other["metadata"]["ownerReferences"] = json!([{ "uid": "other", "controller": true }]);
        assert_eq!(check(Some(&other), None), Decision::Taken);
        other["metadata"]["ownerReferences"] = Value::Null;
        assert_eq!(check(Some(&other), None), Decision::Taken);
        other["metadata"]["labels"] = json!({ "app.kubernetes.io/managed-by": "sampan-operator" });
        assert_eq!(check(Some(&other), None), Decision::Apply);
        let mut leaving = object(json!({ "a": 2 }), "");
        leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        assert!(matches!(check(Some(&leaving), None), Decision::Later(_)));
    }
}
