//! Tests of operators that end in the middle of their work.

use http::Method;
use sampan_crd::ConditionKind;
use serde_json::{Value, json};

use crate::support::cluster::{cluster, until};
use crate::support::fault::{FaultAction, FaultInjector, is_write};
use crate::support::operator::{Operator, TestNamespace, reason};

/// The most writes of one change; past the last one there is no crash, and the loop ends.
const MAX_WRITES: usize = 16;

fn first() -> Value {
    json!({ "image": "registry.example/f:1", "replicas": 1, "ingress": { "host": "f.example" } })
}

/// The changed resource: without an Ingress, and with other pods.
fn second() -> Value {
    json!({ "image": "registry.example/f:2", "replicas": 2, "ingress": null })
}

/// Crashes at the write with that number; returns whether there was one.
async fn crash(
    namespace: &TestNamespace,
    name: &str,
    number: usize,
    action: fn() -> FaultAction,
) -> bool {
    let mut writes = 0;
    let faults = FaultInjector::with(move |request| {
        if is_write(request.method(), request.uri().path()) {
            writes += 1;
            if writes == number {
                return action();
            }
        }
        FaultAction::Pass
    });
    let operator = Operator::start(&namespace.admin, &faults, &namespace.name, None);
    tokio::select! {
        () = faults.crashed() => {
            drop(operator);
            true
        }
        // It finished, with fewer writes than that.
        () = settled(namespace, name, &operator) => {
            drop(operator);
            false
        }
    }
}

/// Waits until the function has a status and several further reconciles have changed nothing.
async fn settled(namespace: &TestNamespace, name: &str, operator: &Operator) {
    namespace.wait_for_status(name).await;
    let mut before = Value::Null;
    let mut reconciles = 0;
    until("nothing changes any more", async || {
        let made = namespace.objects(name).await;
        let done = operator.metrics.reconciles();
        if made != before {
            (before, reconciles) = (made, done);
        }
        done >= reconciles + 4
    })
    .await;
}

/// Makes or changes a function, with a crash at each write, before and after it.
async fn check(prefix: &str, changed: bool) {
    let cluster = cluster().await;
    let namespace = TestNamespace::new(cluster, prefix).await;
    let faults = FaultInjector::clear();
    let mut expected = Value::Null;
    for (kind, action) in [
        ("none", None),
        ("before", Some(FaultAction::CrashBefore)),
        ("after", Some(FaultAction::CrashAfter)),
    ] {
        for number in 1..=MAX_WRITES {
            let name = format!("f-{kind}-{number}");
            namespace
                .make(&name, first())
                .await
                .expect("it is accepted");
            if changed {
                let operator = Operator::start(&namespace.admin, &faults, &namespace.name, None);
                settled(&namespace, &name, &operator).await;
                operator.stop().await.expect("it ends");
                namespace.change(&name, second()).await;
            }
            let crashed = match &action {
                None => false,
                Some(FaultAction::CrashBefore) => {
                    crash(&namespace, &name, number, || FaultAction::CrashBefore).await
                }
                Some(_) => crash(&namespace, &name, number, || FaultAction::CrashAfter).await,
            };
            let operator = Operator::start(&namespace.admin, &faults, &namespace.name, None);
            settled(&namespace, &name, &operator).await;
            operator.stop().await.expect("it ends");
            let made = namespace.objects(&name).await;
            if action.is_none() {
                expected = made;
                break;
            }
            assert_eq!(made, expected, "{kind} {number}");
            // Other functions of this namespace would have writes as well.
            let functions = namespace.api::<sampan_crd::WasmFunction>();
            functions
                .delete(&name, &kube::api::DeleteParams::default())
                .await
                .expect("it is deleted");
            if !crashed {
                assert!(number > 3, "the operator made only {number} writes");
                break;
            }
            assert!(number < MAX_WRITES, "there are more writes than were tried");
        }
        assert_ne!(expected, Value::Null);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_22_a_crash_at_any_write_of_a_new_function_leaves_the_same_objects() {
    check("crash-new", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_22_a_crash_at_any_write_of_a_change_leaves_the_same_objects() {
    check("crash-change", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_26_one_of_two_operators_leads_and_the_other_takes_over() {
    let namespace = TestNamespace::new(cluster().await, "two").await;
    // The first one ends in the middle of its second write.
    let mut writes = 0;
    let first_faults = FaultInjector::with(move |request| {
        if is_write(request.method(), request.uri().path()) {
            writes += 1;
            if writes == 2 {
                return FaultAction::CrashAfter;
            }
        }
        FaultAction::Pass
    });
    let one = Operator::start(
        &namespace.admin,
        &first_faults,
        &namespace.name,
        Some("one"),
    );
    let leases = namespace.api::<k8s_openapi::api::coordination::v1::Lease>();
    until("the first one holds the Lease", async || {
        leases
            .get_opt("sampan-operator")
            .await
            .expect("an answer")
            .is_some()
    })
    .await;
    let second_faults = FaultInjector::clear();
    let two = Operator::start(
        &namespace.admin,
        &second_faults,
        &namespace.name,
        Some("two"),
    );
    namespace.make("f", first()).await.expect("it is accepted");
    first_faults.crashed().await;
    assert!(
        second_faults.writes().is_empty(),
        "both work: {:?}",
        second_faults.writes()
    );
    drop(one);
    let function = namespace.wait_for_status("f").await;
    assert_eq!(reason(&function, ConditionKind::Accepted), "Valid");
    settled(&namespace, "f", &two).await;
    for count in [
        namespace
            .api::<k8s_openapi::api::apps::v1::Deployment>()
            .list(&kube::api::ListParams::default())
            .await
            .expect("a list")
            .items
            .len(),
        namespace
            .api::<k8s_openapi::api::core::v1::Service>()
            .list(&kube::api::ListParams::default())
            .await
            .expect("a list")
            .items
            .len(),
    ] {
        assert_eq!(count, 1);
    }
    // A graceful stop releases the Lease.
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
    let namespace = TestNamespace::new(cluster().await, "late").await;
    let faults = FaultInjector::clear();
    let mut operator = Operator::start(&namespace.admin, &faults, &namespace.name, Some("one"));
    namespace.make("f", first()).await.expect("it is accepted");
    namespace.wait_for_status("f").await;
    faults.change(|request| {
        if request.uri().path().contains("/leases") && request.method() == Method::PUT {
            FaultAction::Answer(500)
        } else {
            FaultAction::Pass
        }
    });
    operator.ended().await.expect_err("the Lease is lost");
}
