//! Tests of functions in a pool: their ports, their environment, their versions and their end.

mod support;

use std::time::Duration;

use sampan_crd::pool_report::PoolCause;
use sampan_pool::{Event, ObjectKey, ObjectKind, Seen};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

use support::registry::Registry;
use support::{Fixture, check, free_port, function, get, guest, pooled, resource};

#[tokio::test(flavor = "multi_thread")]
async fn each_function_answers_on_its_own_port() {
    let (pool, registry) = (Fixture::start(), Registry::start().await);
    let (first, digest) = registry.push("first", "1", guest("one"));
    let (second, _) = registry.push("second", "1", guest("two"));
    let (a, b) = (free_port(), free_port());
    let none = json!({});
    let listed = vec![
        pooled(resource("a", 3, a, &first, none.clone())),
        pooled(resource("b", 1, b, &second, none)),
    ];
    pool.send(Event::Listed(listed)).await;
    let served = pool.until_serving("a", 3).await;
    pool.until_serving("b", 1).await;
    let serving = served.serving.expect("it serves");
    assert_eq!((serving.port, serving.digest), (a, digest));
    check(a, 200, &["one"], &["two"]).await;
    check(b, 200, &["two"], &["one"]).await;
    let report = pool.until("it is listed", |report| report.listed).await;
    let used = function(&report, "a").expect("it is there");
    assert!(
        used.last_request.is_some() && used.in_flight == 0,
        "{used:?}"
    );
    assert_eq!(pool.health.reason(), None);
    let metrics = pool.metrics.encode().expect("the metrics");
    for line in [
        "sampan_pool_functions{state=\"serving\"} 2",
        "sampan_pool_listed 1",
        "sampan_function_requests_total{function=\"a\",code=\"200\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_object_reaches_the_next_request_without_a_pull() {
    let (pool, registry) = (Fixture::start(), Registry::start().await);
    let (image, _) = registry.push("env", "latest", guest("env"));
    let port = free_port();
    let env = json!({
        "env": [
            { "name": "TOKEN", "valueFrom": { "secretKeyRef": { "name": "keys", "key": "token" } } },
            { "name": "BOTH", "value": "$(COLOR)-$(TOKEN)" },
            { "name": "NODE", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } },
        ],
        "template": { "envFrom": [{ "configMapRef": { "name": "settings" } }] },
    });
    pool.apply(resource("env", 1, port, &image, env)).await;
    let (settings, keys) = (ObjectKey::config_map("settings"), ObjectKey::secret("keys"));
    pool.set(settings.clone(), Some(&[("COLOR", "blue")])).await;
    pool.set(keys.clone(), Some(&[("token", "t1")])).await;
    pool.until_serving("env", 1).await;
    let first = &[
        "env",
        "COLOR=blue",
        "TOKEN=t1",
        "BOTH=blue-t1",
        "NODE=<NODE_NAME>",
    ];
    check(port, 200, first, &[]).await;
    let pulled = registry.count("");
    pool.set(settings, Some(&[("COLOR", "red"), ("SIZE", "9")]))
        .await;
    pool.set(keys, Some(&[("token", "t2"), ("other", "unused")]))
        .await;
    // The report does not change with the environment.
    while !get(port).await.contains("BOTH=red-t2") {
        tokio::task::yield_now().await;
    }
    check(
        port,
        200,
        &["COLOR=red", "SIZE=9", "TOKEN=t2"],
        &["blue", "unused"],
    )
    .await;
    assert_eq!(registry.count(""), pulled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_does_not_load_leaves_the_one_before() {
    let (pool, registry) = (Fixture::start(), Registry::start().await);
    let (good, _) = registry.push("good", "1", guest("good"));
    let (bad, _) = registry.push("bad", "1", b"\0asm\x01\0\0\0\x63".to_vec());
    let (better, _) = registry.push("better", "1", guest("better"));
    let port = free_port();
    let none = || json!({});
    pool.apply(resource("f", 1, port, &good, none())).await;
    pool.until_serving("f", 1).await;

    let missing = good.replace("good:1", "good:2");
    for (generation, image, cause) in [
        (2, bad.as_str(), PoolCause::StartFailed),
        (3, missing.as_str(), PoolCause::ImagePullFailed),
        (4, "not-an-image", PoolCause::InvalidImageName),
    ] {
        pool.apply(resource("f", generation, port, image, none()))
            .await;
        let failed = pool.until_failed("f", cause).await;
        let serving = failed.serving.map(|serving| serving.generation);
        assert_eq!((failed.generation, serving), (generation, Some(1)));
        check(port, 200, &["good"], &[]).await;
    }
    let invalid = json!({ "limits": { "memory": "1" } });
    pool.apply(resource("f", 5, port, &good, invalid)).await;
    pool.until_failed("f", PoolCause::Invalid).await;
    let unreadable = Event::Seen(Seen::Unreadable {
        uid: "uid-of-f".to_owned(),
        generation: 6,
        message: "unknown field".to_owned(),
    });
    pool.send(unreadable).await;
    let what = "the unreadable generation is reported";
    pool.until(what, |report| {
        function(report, "f").is_some_and(|f| f.generation == 6)
    })
    .await;
    check(port, 200, &["good"], &[]).await;

    pool.apply(resource("f", 7, port, &better, none())).await;
    pool.until_serving("f", 7).await;
    check(port, 200, &["better"], &["good"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_object_is_reported_until_it_is_there() {
    let (pool, registry) = (Fixture::start(), Registry::start().await);
    let (image, _) = registry.push("f", "1", guest("here"));
    let port = free_port();
    let from = json!({ "secretKeyRef": { "name": "keys", "key": "token" } });
    let env = json!({ "env": [{ "name": "TOKEN", "valueFrom": from }] });
    pool.send(Event::Listed(vec![pooled(resource(
        "f", 1, port, &image, env,
    ))]))
    .await;
    let keys = ObjectKey::secret("keys");
    let kind = ObjectKind::Secret;
    pool.until("it is there", |report| function(report, "f").is_some())
        .await;
    check(
        port,
        503,
        &["sampan-cause: compiling", "retry-after: 1"],
        &[],
    )
    .await;
    assert!(pool.health.reason().is_some());

    pool.send(Event::Access {
        kind,
        forbidden: true,
    })
    .await;
    pool.until_failed("f", PoolCause::Forbidden).await;
    pool.send(Event::Access {
        kind,
        forbidden: false,
    })
    .await;
    let (asked, found) = (vec!["keys".to_owned()], [].into());
    pool.send(Event::ObjectsListed { kind, asked, found }).await;
    let failed = pool
        .until_failed("f", PoolCause::ConfigurationMissing)
        .await;
    let message = failed.failure.expect("it fails").message;
    assert!(message.contains("Secret keys does not exist"), "{message}");
    // A failure is a report, so the pod is ready for the other functions.
    assert_eq!(pool.health.reason(), None);
    let refused = &["sampan-cause: not_loaded"];
    check(port, 503, refused, &["keys"]).await;
    pool.set(keys.clone(), Some(&[("other", "x")])).await;
    let what = "the missing key is reported";
    pool.until(what, |report| {
        let failure = function(report, "f").and_then(|f| f.failure.as_ref());
        failure.is_some_and(|failure| failure.message.contains("\"token\""))
    })
    .await;
    pool.set(keys, Some(&[("token", "t1")])).await;
    pool.until_serving("f", 1).await;
    check(port, 200, &["here", "TOKEN=t1"], &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_seen_deletion_removes_a_function() {
    let (pool, registry) = (Fixture::start(), Registry::start().await);
    let (image, _) = registry.push("f", "1", guest("here"));
    let ports: Vec<u16> = (0..4).map(|_| free_port()).collect();
    let one = |index: usize| {
        let name = format!("f{index}");
        pooled(resource(&name, 1, ports[index], &image, json!({})))
    };
    pool.send(Event::Listed((0..4).map(one).collect())).await;
    for index in 0..4 {
        pool.until_serving(&format!("f{index}"), 1).await;
    }
    // All of them have one image, which was pulled once.
    assert_eq!(registry.count("/blobs/"), 1);
    let uid = |index: usize| format!("uid-of-f{index}");
    pool.send(Event::Deleted { uid: uid(0) }).await;
    pool.until_removed("f0").await;
    pool.send(Event::Seen(Seen::Elsewhere { uid: uid(1) }))
        .await;
    pool.until_removed("f1").await;
    // The list has one of the two that are left, which it cannot read.
    let unreadable = Seen::Unreadable {
        uid: uid(3),
        generation: 2,
        message: "unknown field".to_owned(),
    };
    pool.send(Event::Listed(vec![unreadable])).await;
    pool.until_removed("f2").await;
    check(ports[3], 200, &["here"], &[]).await;
    for port in &ports[..3] {
        // The listener closes a moment after the report.
        while TcpStream::connect(("127.0.0.1", *port)).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }
    let metrics = pool.metrics.encode().expect("the metrics");
    assert!(!metrics.contains("function=\"f0\""), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_has_moved_away_is_served_for_a_time() {
    let (pool, registry) = (Fixture::start(), Registry::start().await);
    let (image, _) = registry.push("f", "1", guest("here"));
    let port = free_port();
    let moved = |left: Duration| {
        Event::Seen(Seen::Served {
            resource: Box::new(resource(
                "f",
                1,
                port,
                &image,
                json!({ "placement": "Pod" }),
            )),
            leaves_in: Some(left),
        })
    };
    // One that has left before this pod began is none of it.
    pool.send(moved(Duration::ZERO)).await;
    pool.send(Event::Listed(Vec::new())).await;
    let report = pool.until("it is listed", |report| report.listed).await;
    assert!(report.functions.is_empty());
    pool.send(moved(Duration::from_secs(3))).await;
    pool.until_serving("f", 1).await;
    check(port, 200, &["here"], &[]).await;
    pool.until_removed("f").await;
    // The listener closes a moment after the report.
    while TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_reported_and_tried_again() {
    let (pool, registry) = (Fixture::start(), Registry::start().await);
    let (image, _) = registry.push("f", "1", guest("here"));
    let taken = free_port();
    let other = TcpListener::bind(("::", taken)).await.expect("a port");
    pool.apply(resource("f", 1, taken, &image, json!({}))).await;
    let failed = pool.until_failed("f", PoolCause::PortUnavailable).await;
    assert_eq!(failed.serving, None);
    drop(other);
    pool.until_serving("f", 1).await;
    check(taken, 200, &["here"], &[]).await;
    // Another port takes the place of this one.
    let port = free_port();
    pool.apply(resource("f", 1, port, &image, json!({}))).await;
    let what = "it serves the other port";
    pool.until(what, |report| {
        let serving = function(report, "f").and_then(|f| f.serving.as_ref());
        serving.is_some_and(|serving| serving.port == port)
    })
    .await;
    check(port, 200, &["here"], &[]).await;
}
