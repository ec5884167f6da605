//! Tests of a pool that begins again, with neither API server nor registry.

mod support;

use std::io::ErrorKind;
use std::time::Duration;

use sampan_crd::pool_report::PoolCause;
use sampan_pool::{Event, ObjectKey};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::timeout;

use support::registry::Registry;
use support::{
    Fixture, TEST_TIMEOUT, check, free_port, function, guest, pooled, resource, settings,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_pool_serves_before_it_has_listed() {
    let (pool, registry) = (Fixture::start(), Registry::start().await);
    let (image, digest) = registry.push("f", "latest", guest("here"));
    let (port, gone) = (free_port(), free_port());
    let from = json!({ "secretKeyRef": { "name": "keys", "key": "token" } });
    let env = json!({ "env": [{ "name": "TOKEN", "valueFrom": from }] });
    let listed = vec![
        pooled(resource("f", 4, port, &image, env.clone())),
        pooled(resource("gone", 1, gone, &image, json!({}))),
    ];
    pool.send(Event::Listed(listed)).await;
    let keys = ObjectKey::secret("keys");
    pool.set(keys.clone(), Some(&[("token", "t1")])).await;
    pool.until_serving("f", 4).await;
    pool.until_serving("gone", 1).await;
    pool.until_ready().await;
    pool.send(Event::Deleted {
        uid: "uid-of-gone".to_owned(),
    })
    .await;
    pool.until_removed("gone").await;
    // A version that fails is not what is restored.
    pool.apply(resource("f", 5, port, "not-an-image", env.clone()))
        .await;
    pool.until_failed("f", PoolCause::InvalidImageName).await;
    let folder = pool.stop().await;

    let asked = registry.count("");
    let pool = Fixture::start_in(folder);
    // A list may come, in which the port is another function's.
    assert!(pool.health.reason().is_some());
    let served = pool.until_serving("f", 4).await.serving.expect("it serves");
    assert_eq!(served.digest, digest);
    check(port, 200, &["here", "TOKEN=t1"], &[]).await;
    // None comes, and the pod was ready before.
    pool.until_ready().await;
    let report = pool.until("it restarts", |_| true).await;
    assert!(
        !report.listed && function(&report, "gone").is_none(),
        "{report:?}"
    );

    // The list says what has changed since. The same image is not asked for again.
    let listed = vec![pooled(resource("f", 4, port, &image, env))];
    pool.send(Event::Listed(listed)).await;
    pool.until("it is listed", |report| report.listed).await;
    check(port, 200, &["TOKEN=t1"], &[]).await;
    pool.set(keys, Some(&[("token", "t2")])).await;
    while !support::get(port).await.contains("TOKEN=t2") {
        tokio::task::yield_now().await;
    }
    assert_eq!(registry.count(""), asked);
}

/// Proxies lead to a restarted pod before the kubelet has seen the restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_function_accepts_no_connection_before_it_is_loaded() {
    let (folder, registry, image, port) = served_once("1").await;
    let pool = Fixture::start_in(folder);
    // Also when the list comes first.
    let listed = vec![pooled(resource("f", 1, port, &image, json!({})))];
    pool.send(Event::Listed(listed)).await;
    let connected = async {
        loop {
            match TcpStream::connect(("127.0.0.1", port)).await {
                Ok(_) => return,
                Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionRefused),
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(TEST_TIMEOUT, connected).await.expect("it listens");
    check(port, 200, &["here"], &[]).await;
    drop(registry);
}

/// The folder of a pool that has served a function and stopped, the registry, and the function's
/// image and port.
async fn served_once(tag: &str) -> (TempDir, Registry, String, u16) {
    let (pool, registry) = (Fixture::start(), Registry::start().await);
    let (image, _) = registry.push("f", tag, guest("here"));
    let port = free_port();
    pool.apply(resource("f", 1, port, &image, json!({}))).await;
    pool.until_serving("f", 1).await;
    (pool.stop().await, registry, image, port)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_has_lost_its_disk_pulls_again() {
    let (folder, _registry, _, port) = served_once("1").await;
    std::fs::remove_dir_all(folder.path().join("cache")).expect("it is removed");
    let pool = Fixture::start_in(folder);
    pool.until_serving("f", 1).await;
    check(port, 200, &["here"], &[]).await;
}

/// Its snapshot may have some of the functions only.
#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_was_never_ready_waits_for_the_list() {
    let (folder, _registry, image, port) = served_once("1").await;

    let mut settings = settings(folder.path());
    settings.list_timeout = Duration::ZERO;
    settings.ready_timeout = Duration::ZERO;
    let pool = Fixture::start_with(folder, settings);
    pool.until_serving("f", 1).await;
    check(port, 200, &["here"], &[]).await;
    assert!(pool.health.reason().is_some());
    let listed = vec![pooled(resource("f", 1, port, &image, json!({})))];
    pool.send(Event::Listed(listed)).await;
    pool.until_ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_load_after_a_restart_is_repeated_from_the_disk() {
    let (folder, registry, _, port) = served_once("latest").await;
    // The module has to be compiled anew, and there is no compiler yet.
    drop(registry);
    let compiled = folder.path().join("cache/compiled");
    std::fs::remove_dir_all(compiled).expect("it is removed");
    let mut settings = settings(folder.path());
    let compiler = folder.path().join("compiler");
    let program = std::mem::replace(&mut settings.compiler.program, compiler.clone());
    let pool = Fixture::start_with(folder, settings);
    pool.until_failed("f", PoolCause::StartFailed).await;
    std::os::unix::fs::symlink(program, compiler).expect("it is made");
    pool.until_serving("f", 1).await;
    check(port, 200, &["here"], &[]).await;
}
