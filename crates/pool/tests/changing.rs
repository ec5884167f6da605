//! Tests of functions that change while others load, listen or fail.

mod support;

use sampan_crd::pool_report::PoolCause;
use sampan_pool::{Event, ObjectKey, Seen};
use serde_json::json;

use support::registry::Registry;
use support::{Fixture, check, free_port, function, get, guest, resource};

#[tokio::test(flavor = "multi_thread")]
async fn functions_that_swap_their_ports_answer_there() {
    let (pool, registry) = (Fixture::start(), Registry::start().await);
    let (one, _) = registry.push("one", "1", guest("one"));
    let (two, _) = registry.push("two", "1", guest("two"));
    let (first, second) = (free_port(), free_port());
    let none = || json!({});
    pool.apply(resource("a", 1, first, &one, none())).await;
    pool.apply(resource("b", 1, second, &two, none())).await;
    pool.until_serving("a", 1).await;
    pool.until_serving("b", 1).await;
    pool.apply(resource("a", 1, second, &one, none())).await;
    pool.apply(resource("b", 1, first, &two, none())).await;
    pool.until("both have the other port", |report| {
        [("a", second), ("b", first)].iter().all(|(name, port)| {
            let serving = function(report, name).and_then(|f| f.serving.as_ref());
            serving.is_some_and(|serving| serving.port == *port)
        })
    })
    .await;
    check(second, 200, &["one"], &[]).await;
    check(first, 200, &["two"], &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_change_faster_than_a_pull_do_not_begin_it_again() {
    let (pool, registry) = (Fixture::start(), Registry::start().await);
    let (image, _) = registry.push("f", "1", guest("here"));
    registry.hold(true);
    let settings = ObjectKey::config_map("settings");
    let port = free_port();
    let env = json!({ "template": { "envFrom": [{ "configMapRef": { "name": "settings" } }] } });
    pool.apply(resource("f", 1, port, &image, env)).await;
    for value in ["v0", "v1", "v2", "v3"] {
        pool.set(settings.clone(), Some(&[("A", value)])).await;
        while registry.count("/manifests/") == 0 {
            tokio::task::yield_now().await;
        }
    }
    // The pool has seen the last change once it has seen a later event.
    pool.apply(resource("g", 1, free_port(), "not-an-image", json!({})))
        .await;
    pool.until_failed("g", PoolCause::InvalidImageName).await;
    registry.hold(false);
    while !get(port).await.contains("A=v3") {
        tokio::task::yield_now().await;
    }
    pool.until_serving("f", 1).await;
    assert_eq!(registry.count("/manifests/1"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_generation_is_reported_while_objects_change() {
    let (pool, registry) = (Fixture::start(), Registry::start().await);
    let (image, _) = registry.push("f", "1", guest("here"));
    let settings = ObjectKey::config_map("settings");
    let port = free_port();
    let env = json!({ "template": { "envFrom": [{ "configMapRef": { "name": "settings" } }] } });
    pool.apply(resource("f", 1, port, &image, env.clone()))
        .await;
    pool.set(settings.clone(), Some(&[("A", "v1")])).await;
    pool.until_serving("f", 1).await;
    let unreadable = Seen::Unreadable {
        uid: "uid-of-f".to_owned(),
        generation: 2,
        message: "unknown field".to_owned(),
    };
    pool.send(Event::Seen(unreadable)).await;
    pool.until_failed("f", PoolCause::Invalid).await;
    pool.set(settings, Some(&[("A", "v2")])).await;
    // The version that could be read follows its objects.
    while !get(port).await.contains("A=v2") {
        tokio::task::yield_now().await;
    }
    let report = pool.until("it is reported", |_| true).await;
    let found = function(&report, "f").expect("it is there");
    let failure = found.failure.as_ref().map(|failure| failure.cause);
    assert_eq!((found.generation, failure), (2, Some(PoolCause::Invalid)));
    // The user takes the change back.
    pool.apply(resource("f", 3, port, &image, env)).await;
    pool.until_serving("f", 3).await;
}
