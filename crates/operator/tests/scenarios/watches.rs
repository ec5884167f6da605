//! Watches that are cut, lists that are old, a server that is down.

use std::time::Instant;

use http::Method;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use serde_json::json;

use crate::support::cluster::{cluster, until};
use crate::support::fault::{Fate, Way};
use crate::support::operator::{Operator, Place};

fn spec() -> serde_json::Value {
    json!({ "image": "registry.example/f:1", "replicas": 1, "ingress": { "host": "f.example" } })
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_23_what_was_deleted_while_watches_were_cut_is_made_again() {
    let place = Place::new(cluster().await, "cut").await;
    let way = Way::clear();
    // Watches end at once, with what a server says whose history is too short.
    way.change(|request| {
        if request
            .uri()
            .query()
            .unwrap_or_default()
            .contains("watch=1")
        {
            Fate::Answer(410)
        } else {
            Fate::Pass
        }
    });
    place.make("f", spec()).await.expect("it is taken");
    let operator = Operator::start(&place.admin, &way, &place.namespace, None);
    // Without any watch, by lists alone.
    place.told("f").await;
    let services = place.api::<Service>();
    until("the Service is there", async || {
        services.get_opt("f").await.expect("an answer").is_some()
    })
    .await;
    let before = services.get("f").await.expect("the Service").uid();
    services
        .delete("f", &DeleteParams::default())
        .await
        .expect("it is deleted");
    way.change(|_| Fate::Pass);
    until("the Service is made again", async || {
        let service = services.get_opt("f").await.expect("an answer");
        service.is_some_and(|service| service.uid() != before)
    })
    .await;
    let deletes = way
        .writes()
        .into_iter()
        .filter(|(method, _)| *method == Method::DELETE);
    assert_eq!(deletes.count(), 0);
    operator.stop().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_24_an_old_list_costs_no_child_its_life() {
    let place = Place::new(cluster().await, "stale").await;
    place.make("f", spec()).await.expect("it is taken");
    let way = Way::clear();
    let operator = Operator::start(&place.admin, &way, &place.namespace, None);
    place.told("f").await;
    operator.stop().await.expect("it ends");
    let version = async || {
        let deployment = place
            .api::<Deployment>()
            .get("f")
            .await
            .expect("the Deployment");
        (deployment.uid(), deployment.metadata.generation)
    };
    let before = version().await;

    // The next operator is told that nothing of it is there.
    let way = Way::with(|request| {
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
            Some(kind) if list => Fate::Reply(
                json!({ "kind": format!("{kind}List"), "apiVersion": "v1", "metadata": { "resourceVersion": "1" }, "items": [] })
                    .to_string(),
            ),
            // Nothing corrects the lie.
            Some(_) if query.contains("watch=1") => Fate::Answer(500),
            _ => Fate::Pass,
        }
    });
    let operator = Operator::start(&place.admin, &way, &place.namespace, None);
    until("several rounds are over", async || {
        operator.metrics.reconciles() > 5
    })
    .await;
    assert_eq!(version().await, before);
    let deletes = way
        .writes()
        .into_iter()
        .filter(|(method, _)| *method == Method::DELETE);
    assert_eq!(deletes.count(), 0);
    assert!(operator.is_running());
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_25_a_storm_of_errors_is_met_with_patience() {
    let place = Place::new(cluster().await, "storm").await;
    let way = Way::clear();
    let operator = Operator::start(&place.admin, &way, &place.namespace, None);
    place.make("quiet", spec()).await.expect("it is taken");
    place.told("quiet").await;
    let mut count = 0_usize;
    way.change(move |_| {
        count += 1;
        Fate::Answer(if count.is_multiple_of(2) { 429 } else { 503 })
    });
    let (began, before) = (Instant::now(), way.seen().len());
    for number in 0..10 {
        place
            .make(&format!("f-{number}"), spec())
            .await
            .expect("it is taken");
    }
    let storm = std::time::Duration::from_secs(5);
    until("the storm is over", async || began.elapsed() > storm).await;
    let requests = way.seen().len() - before;
    // Six watches and eleven functions, each of which waits longer every time: 0.25 s at the least.
    assert!(requests < 300, "{requests} requests in {storm:?}");
    assert!(operator.is_running());
    way.change(|_| Fate::Pass);
    for number in 0..10 {
        place.told(&format!("f-{number}")).await;
    }
    operator.stop().await.expect("it ends");
}
