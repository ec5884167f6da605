//! Tests of images: credentials, policies and registries that fail.

mod support;

use sampan_crd::pool_report::PoolCause;
use sampan_pool::{Event, ObjectKey};
use serde_json::json;

use support::registry::{LOGIN, Registry};
use support::{Fixture, check, free_port, guest, pooled, resource};

#[tokio::test(flavor = "multi_thread")]
async fn a_private_image_takes_a_pull_secret_of_the_function() {
    let (pool, registry) = (Fixture::start(), Registry::start().await);
    let (image, _) = registry.push("f", "1", guest("here"));
    registry.make_private();
    let host = format!("127.0.0.1:{}", registry.port);
    let config = |auth: &str| json!({ "auths": { &host: { "auth": auth } } }).to_string();
    let key = ".dockerconfigjson";
    let (right, wrong) = (config(LOGIN), config("bWU6d3Jvbmc="));
    let secrets = |names: &[&str]| {
        let names: Vec<_> = names.iter().map(|name| json!({ "name": name })).collect();
        json!({ "imagePullSecrets": names })
    };
    let (a, b, c) = (free_port(), free_port(), free_port());
    pool.apply(resource(
        "a",
        1,
        a,
        &image,
        secrets(&["wrong", "gone", "right"]),
    ))
    .await;
    pool.set(ObjectKey::secret("wrong"), Some(&[(key, &wrong)]))
        .await;
    pool.set(ObjectKey::secret("right"), Some(&[(key, &right)]))
        .await;
    pool.set(ObjectKey::secret("gone"), None).await;
    pool.until_serving("a", 1).await;
    check(a, 200, &["here"], &[]).await;
    // The module is here, but that is no permission for another function.
    pool.apply(resource("b", 1, b, &image, json!({}))).await;
    pool.until_failed("b", PoolCause::ImagePullFailed).await;
    pool.apply(resource("c", 1, c, &image, secrets(&["gone"])))
        .await;
    let failed = pool.until_failed("c", PoolCause::ImagePullFailed).await;
    let message = failed.failure.expect("it fails").message;
    assert!(message.contains("do not exist: gone"), "{message}");
    assert!(!message.contains(LOGIN), "{message}");
    // With its own credentials it takes the module that is here.
    pool.apply(resource("b", 2, b, &image, secrets(&["right"])))
        .await;
    pool.until_serving("b", 2).await;
    assert_eq!(registry.count("/blobs/"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_fails_is_asked_again() {
    let (pool, registry) = (Fixture::start(), Registry::start().await);
    let (image, _) = registry.push("f", "1", guest("here"));
    registry.set_broken(true);
    let port = free_port();
    let listed = vec![pooled(resource("f", 1, port, &image, json!({})))];
    pool.send(Event::Listed(listed)).await;
    let failed = pool.until_failed("f", PoolCause::ImagePullFailed).await;
    assert_eq!(failed.generation, 1);
    // Ready, it would take the place of a pod that serves.
    assert!(pool.health.reason().is_some());
    registry.set_broken(false);
    pool.until_serving("f", 1).await;
    pool.until_ready().await;
    check(port, 200, &["here"], &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_is_ready_with_an_image_that_does_not_exist() {
    let (pool, registry) = (Fixture::start(), Registry::start().await);
    let (image, _) = registry.push("f", "1", guest("here"));
    let missing = image.replace("f:1", "f:2");
    let port = free_port();
    let listed = vec![pooled(resource("f", 1, port, &missing, json!({})))];
    pool.send(Event::Listed(listed)).await;
    pool.until_failed("f", PoolCause::ImagePullFailed).await;
    pool.until_ready().await;
}

/// Some registries answer that a private image does not exist.
#[tokio::test(flavor = "multi_thread")]
async fn all_credentials_are_tried_whatever_the_registry_answers() {
    let (pool, registry) = (Fixture::start(), Registry::start().await);
    let (image, _) = registry.push("f", "1", guest("here"));
    registry.hide();
    let host = format!("127.0.0.1:{}", registry.port);
    let config = |auth: &str| json!({ "auths": { &host: { "auth": auth } } }).to_string();
    let port = free_port();
    let secrets = json!({ "imagePullSecrets": [{ "name": "wrong" }, { "name": "right" }] });
    pool.apply(resource("f", 1, port, &image, secrets)).await;
    for (name, auth) in [("wrong", "bWU6d3Jvbmc="), ("right", LOGIN)] {
        let key = ".dockerconfigjson";
        pool.set(ObjectKey::secret(name), Some(&[(key, &config(auth))]))
            .await;
    }
    pool.until_serving("f", 1).await;
    check(port, 200, &["here"], &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_says_when_an_image_is_pulled() {
    let (pool, registry) = (Fixture::start(), Registry::start().await);
    let (image, first) = registry.push("f", "1", guest("one"));
    let policy = |policy: &str| json!({ "template": { "imagePullPolicy": policy } });
    let port = free_port();
    pool.apply(resource("f", 1, port, &image, policy("Never")))
        .await;
    pool.until_failed("f", PoolCause::ImagePullFailed).await;
    assert_eq!(registry.count(""), 0);
    pool.apply(resource("f", 2, port, &image, policy("IfNotPresent")))
        .await;
    let served = pool.until_serving("f", 2).await.serving.expect("it serves");
    assert_eq!(served.digest, first);
    let asked = registry.count("");

    // The tag moves. Neither policy notices.
    let (_, second) = registry.push("f", "1", guest("two"));
    for (generation, policy) in [(3, policy("IfNotPresent")), (4, policy("Never"))] {
        pool.apply(resource("f", generation, port, &image, policy))
            .await;
        let served = pool.until_serving("f", generation).await;
        assert_eq!(served.serving.expect("it serves").digest, first);
    }
    assert_eq!(registry.count(""), asked);
    check(port, 200, &["one"], &[]).await;
    pool.apply(resource("f", 5, port, &image, policy("Always")))
        .await;
    let served = pool.until_serving("f", 5).await.serving.expect("it serves");
    assert_eq!(served.digest, second);
    check(port, 200, &["two"], &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_that_wait_for_one_tag_share_a_pull() {
    let (pool, registry) = (Fixture::start(), Registry::start().await);
    let (image, digest) = registry.push("f", "latest", guest("here"));
    registry.hold(true);
    let names: Vec<_> = (0..12).map(|number| format!("f{number}")).collect();
    for name in &names {
        pool.apply(resource(name, 1, free_port(), &image, json!({})))
            .await;
    }
    while registry.count("/manifests/") == 0 {
        tokio::task::yield_now().await;
    }
    registry.hold(false);
    for name in &names {
        let served = pool.until_serving(name, 1).await.serving;
        assert_eq!(served.expect("it serves").digest, digest);
    }
    // One began before the others had asked.
    let asked = registry.count("/manifests/latest");
    assert!(asked < 6, "{asked}");
}
