//! Tests of cut watches, old lists and a failing server.

use std::time::Instant;

use http::Method;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use serde_json::json;

use crate::support::cluster::{cluster, until};
use crate::support::fault::{FaultAction, FaultInjector};
use crate::support::operator::{Operator, TestNamespace};

fn spec() -> serde_json::Value {
    json!({ "image": "registry.example/f:1", "replicas": 1, "ingress": { "host": "f.example" } })
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_23_a_service_deleted_while_watches_fail_is_recreated() {
    let namespace = TestNamespace::new(cluster().await, "cut").await;
    let faults = FaultInjector::clear();
    // Watches end at once, with the response of a server with a short history.
    faults.change(|request| {
        if request
            .uri()
            .query()
            .unwrap_or_default()
            .contains("watch=1")
        {
            FaultAction::Answer(410)
        } else {
            FaultAction::Pass
        }
    });
    namespace.make("f", spec()).await.expect("it is accepted");
    let operator = Operator::start(&namespace.admin, &faults, &namespace.name, None);
    // Without any watch, by lists alone.
    namespace.wait_for_status("f").await;
    let services = namespace.api::<Service>();
    until("the Service is there", async || {
        services.get_opt("f").await.expect("an answer").is_some()
    })
    .await;
    let before = services.get("f").await.expect("the Service").uid();
    services
        .delete("f", &DeleteParams::default())
        .await
        .expect("it is deleted");
    faults.change(|_| FaultAction::Pass);
    until("the Service is made again", async || {
        let service = services.get_opt("f").await.expect("an answer");
        service.is_some_and(|service| service.uid() != before)
    })
    .await;
    let deletes = faults
        .writes()
        .into_iter()
        .filter(|(method, _)| *method == Method::DELETE);
    assert_eq!(deletes.count(), 0);
    operator.stop().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_24_a_stale_list_deletes_no_child() {
    let namespace = TestNamespace::new(cluster().await, "stale").await;
    namespace.make("f", spec()).await.expect("it is accepted");
    let faults = FaultInjector::clear();
    let operator = Operator::start(&namespace.admin, &faults, &namespace.name, None);
    namespace.wait_for_status("f").await;
    operator.stop().await.expect("it ends");
    let version = async || {
        let deployment = namespace
            .api::<Deployment>()
            .get("f")
            .await
            .expect("the Deployment");
        (deployment.uid(), deployment.metadata.generation)
    };
    let before = version().await;

    // The next operator receives lists without the objects.
    let faults = FaultInjector::with(|request| {
        let path = request.uri().path();
        let query = request.uri().query().unwrap_or_default();
        let list = *request.method() == Method::GET
            && query.contains("labelSelector")
            && !query.contains("watch=1");
        let kind = ["Deployment", "Service", "Ingress"]
            .into_iter()
            .find(|kind| {
                path.ends_with(&format!("/{}s", kind.to_lowercase()))
                    || (*kind == "Ingress" && path.ends_with("/ingresses"))
            });
        match kind {
            Some(kind) if list => FaultAction::Reply(
                json!({ "kind": format!("{kind}List"), "apiVersion": "v1", "metadata": { "resourceVersion": "1" }, "items": [] })
                    .to_string(),
            ),
            // No watch corrects the lists.
            Some(_) if query.contains("watch=1") => FaultAction::Answer(500),
            _ => FaultAction::Pass,
        }
    });
    let operator = Operator::start(&namespace.admin, &faults, &namespace.name, None);
    until("several reconciles are over", async || {
        operator.metrics.reconciles() > 5
    })
    .await;
    assert_eq!(version().await, before);
    let deletes = faults
        .writes()
        .into_iter()
        .filter(|(method, _)| *method == Method::DELETE);
    assert_eq!(deletes.count(), 0);
    assert!(operator.is_running());
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_25_repeated_errors_cause_backoff() {
    let namespace = TestNamespace::new(cluster().await, "storm").await;
    let faults = FaultInjector::clear();
    let operator = Operator::start(&namespace.admin, &faults, &namespace.name, None);
    namespace
        .make("quiet", spec())
        .await
        .expect("it is accepted");
    namespace.wait_for_status("quiet").await;
    let mut count = 0_usize;
    faults.change(move |_| {
        count += 1;
        FaultAction::Answer(if count.is_multiple_of(2) { 429 } else { 503 })
    });
    let (began, before) = (Instant::now(), faults.seen().len());
    for number in 0..10 {
        namespace
            .make(&format!("f-{number}"), spec())
            .await
            .expect("it is accepted");
    }
    let storm = std::time::Duration::from_secs(5);
    until("the storm is over", async || began.elapsed() > storm).await;
    let requests = faults.seen().len() - before;
    // Six watches and eleven functions, each of which waits longer every time: at least 0.25 s.
    assert!(requests < 300, "{requests} requests in {storm:?}");
    assert!(operator.is_running());
    faults.change(|_| FaultAction::Pass);
    for number in 0..10 {
        namespace.wait_for_status(&format!("f-{number}")).await;
    }
    operator.stop().await.expect("it ends");
}
