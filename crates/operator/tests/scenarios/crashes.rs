//! Operators that end in the middle of their work.

use http::Method;
use sampan_crd::ConditionKind;
use serde_json::{Value, json};

use crate::support::cluster::{cluster, until};
use crate::support::fault::{Fate, Way, is_write};
use crate::support::operator::{Operator, Place, reason};

/// The most writes that one change takes; past the last one there is no crash, and the loop ends.
const MOST_WRITES: usize = 16;

fn first() -> Value {
    json!({ "image": "registry.example/f:1", "replicas": 1, "ingress": { "host": "f.example" } })
}

/// What is changed: an Ingress goes, and the pods are others.
fn second() -> Value {
    json!({ "image": "registry.example/f:2", "replicas": 2, "ingress": null })
}

/// Crashes at the write of that number; whether there was one.
async fn crash(place: &Place, name: &str, number: usize, fate: fn() -> Fate) -> bool {
    let mut writes = 0;
    let way = Way::with(move |request| {
        if is_write(request.method(), request.uri().path()) {
            writes += 1;
            if writes == number {
                return fate();
            }
        }
        Fate::Pass
    });
    let operator = Operator::start(&place.admin, &way, &place.namespace, None);
    tokio::select! {
        () = way.crashed() => {
            drop(operator);
            true
        }
        // It came to its end, with fewer writes than that.
        () = settled(place, name, &operator) => {
            drop(operator);
            false
        }
    }
}

/// Waits until the function is told of and several rounds more have changed nothing.
async fn settled(place: &Place, name: &str, operator: &Operator) {
    place.told(name).await;
    let mut before = Value::Null;
    let mut rounds = 0;
    until("nothing changes any more", async || {
        let made = place.made(name).await;
        let done = operator.metrics.reconciles();
        if made != before {
            (before, rounds) = (made, done);
        }
        done >= rounds + 4
    })
    .await;
}

/// A function that is made, or then changed, with a crash at each write, before and after it.
async fn check(prefix: &str, changed: bool) {
    let cluster = cluster().await;
    let place = Place::new(cluster, prefix).await;
    let way = Way::clear();
    let mut expected = Value::Null;
    for (kind, fate) in [
        ("none", None),
        ("before", Some(Fate::CrashBefore)),
        ("after", Some(Fate::CrashAfter)),
    ] {
        for number in 1..=MOST_WRITES {
            let name = format!("f-{kind}-{number}");
            place.make(&name, first()).await.expect("it is taken");
            if changed {
                let operator = Operator::start(&place.admin, &way, &place.namespace, None);
                settled(&place, &name, &operator).await;
                operator.stop().await.expect("it ends");
                place.change(&name, second()).await;
            }
            let crashed = match &fate {
                None => false,
                Some(Fate::CrashBefore) => crash(&place, &name, number, || Fate::CrashBefore).await,
                Some(_) => crash(&place, &name, number, || Fate::CrashAfter).await,
            };
            let operator = Operator::start(&place.admin, &way, &place.namespace, None);
            settled(&place, &name, &operator).await;
            operator.stop().await.expect("it ends");
            let made = place.made(&name).await;
            if fate.is_none() {
                expected = made;
                break;
            }
            assert_eq!(made, expected, "{kind} {number}");
            // Other functions of this namespace would have writes as well.
            let functions = place.api::<sampan_crd::WasmFunction>();
            functions
                .delete(&name, &kube::api::DeleteParams::default())
                .await
                .expect("it is deleted");
            if !crashed {
                assert!(number > 3, "the operator made only {number} writes");
                break;
            }
            assert!(
                number < MOST_WRITES,
                "there are more writes than were tried"
            );
        }
        assert_ne!(expected, Value::Null);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_22_a_crash_at_any_write_of_a_new_function_changes_nothing_in_the_end() {
    check("crash-new", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_22_a_crash_at_any_write_of_a_change_changes_nothing_in_the_end() {
    check("crash-change", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_26_of_two_operators_one_works_and_the_other_takes_over() {
    let place = Place::new(cluster().await, "two").await;
    // The first one ends in the middle of its second write.
    let mut writes = 0;
    let first_way = Way::with(move |request| {
        if is_write(request.method(), request.uri().path()) {
            writes += 1;
            if writes == 2 {
                return Fate::CrashAfter;
            }
        }
        Fate::Pass
    });
    let one = Operator::start(&place.admin, &first_way, &place.namespace, Some("one"));
    let leases = place.api::<k8s_openapi::api::coordination::v1::Lease>();
    until("the first one holds the Lease", async || {
        leases
            .get_opt("sampan-operator")
            .await
            .expect("an answer")
            .is_some()
    })
    .await;
    let second_way = Way::clear();
    let two = Operator::start(&place.admin, &second_way, &place.namespace, Some("two"));
    place.make("f", first()).await.expect("it is taken");
    first_way.crashed().await;
    assert!(
        second_way.writes().is_empty(),
        "both work: {:?}",
        second_way.writes()
    );
    drop(one);
    let told = place.told("f").await;
    assert_eq!(reason(&told, ConditionKind::Accepted), "Valid");
    settled(&place, "f", &two).await;
    for count in [
        place
            .api::<k8s_openapi::api::apps::v1::Deployment>()
            .list(&kube::api::ListParams::default())
            .await
            .expect("a list")
            .items
            .len(),
        place
            .api::<k8s_openapi::api::core::v1::Service>()
            .list(&kube::api::ListParams::default())
            .await
            .expect("a list")
            .items
            .len(),
    ] {
        assert_eq!(count, 1);
    }
    // Asked to end it lets go of the Lease.
    two.stop().await.expect("it ends");
    let lease = leases
        .get("sampan-operator")
        .await
        .expect("the Lease")
        .spec
        .expect("its holder");
    assert_eq!(lease.holder_identity.as_deref(), Some(""));
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_26_an_operator_that_cannot_renew_its_lease_ends() {
    let place = Place::new(cluster().await, "late").await;
    let way = Way::clear();
    let mut operator = Operator::start(&place.admin, &way, &place.namespace, Some("one"));
    place.make("f", first()).await.expect("it is taken");
    place.told("f").await;
    way.change(|request| {
        if request.uri().path().contains("/leases") && request.method() == Method::PUT {
            Fate::Answer(500)
        } else {
            Fate::Pass
        }
    });
    operator.ended().await.expect_err("it stops working");
}
