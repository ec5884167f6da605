//! Tests of pushing to a fake registry: sent parts, parts that are skipped, and wrong responses.

mod fake;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use fake::{Fake, WASM, answer, brisk, function, images, silent, status, with};
use http::Method;
use sampan_artifact::{Artifact, ContentError, Digest, Error, Progress, Pushed};

/// The objects of a registry, by the end of their paths.
type Store = Arc<Mutex<BTreeMap<String, Bytes>>>;

/// A correct registry, except for changes of its responses by `twist`.
async fn registry(
    store: &Store,
    twist: impl Fn(&http::request::Parts, http::Response<fake::Body>) -> http::Response<fake::Body>
    + Send
    + Sync
    + 'static,
) -> Fake {
    let store = store.clone();
    Fake::start(move |parts, body| twist(parts, keep(&store, parts, body))).await
}

fn keep(store: &Store, parts: &http::request::Parts, body: Bytes) -> http::Response<fake::Body> {
    let path = parts.uri.path();
    let mut store = store.lock().expect("the store");
    match parts.method {
        Method::POST => with(
            status(202),
            "location",
            "/v2/function/blobs/uploads/7?state=x",
        ),
        Method::PUT if path.contains("/uploads/") => {
            let query = parts.uri.query().unwrap_or_default();
            let digest = query.strip_prefix("state=x&digest=").unwrap_or_default();
            let digest = digest.replace("%3A", ":");
            if Digest::of(&body).as_str() != digest {
                return status(400);
            }
            store.insert(format!("blobs/{digest}"), body);
            status(201)
        }
        Method::PUT => {
            let name = path.rsplit('/').next().unwrap_or_default();
            let digest = Digest::of(&body).to_string();
            store.insert(format!("manifests/{name}"), body);
            with(status(201), "docker-content-digest", &digest)
        }
        Method::HEAD | Method::GET => {
            let key = path.trim_start_matches("/v2/function/");
            store
                .get(key)
                .map_or_else(|| status(404), |bytes| answer(200, bytes.clone()))
        }
        _ => status(405),
    }
}

async fn push(fake: &Fake, artifact: &Artifact) -> Result<Pushed, Error> {
    let registry = fake.registry(":1", None, brisk());
    sampan_artifact::push(&registry, artifact, &silent()).await
}

#[tokio::test]
async fn a_pushed_function_is_pulled_and_nothing_is_sent_twice() {
    let store = Store::default();
    let fake = registry(&store, |_, response| response).await;
    let artifact = function(WASM);
    let first = push(&fake, &artifact).await.expect("pushed");
    assert_eq!(first.digest, artifact.root.digest);
    assert_eq!((first.sent, first.known), (artifact.size(), 0));
    let blobs = artifact.blobs.len();
    assert_eq!(
        fake.seen()
            .iter()
            .filter(|seen| seen.method == Method::POST)
            .count(),
        blobs
    );

    let second = push(&fake, &artifact).await.expect("pushed");
    assert_eq!(second.digest, first.digest);
    let known: usize = artifact.blobs.iter().map(|blob| blob.bytes.len()).sum();
    assert_eq!(second.known, known as u64);
    assert_eq!(
        fake.seen()
            .iter()
            .filter(|seen| seen.method == Method::POST)
            .count(),
        blobs
    );

    let pulled = fake.pull().await.expect("pulled");
    assert_eq!((pulled.wasm.as_ref(), pulled.digest), (WASM, first.digest));
}

#[tokio::test]
async fn the_tag_comes_last() {
    for artifact in [function(WASM), images(WASM)] {
        let store = Store::default();
        let fake = registry(&store, |_, response| response).await;
        push(&fake, &artifact).await.expect("pushed");
        let seen = fake.seen();
        let last = seen.last().expect("a request");
        assert_eq!(
            (&last.method, last.path.as_str()),
            (&Method::PUT, "/v2/function/manifests/1")
        );
        assert_eq!(fake.count("manifests/1"), 1);
        assert_eq!(fake.pull().await.expect("pulled").wasm, WASM);
    }
}

#[tokio::test]
async fn progress_is_reported_up_to_the_end() {
    let store = Store::default();
    let fake = registry(&store, |_, response| response).await;
    let artifact = function(WASM);
    let reports: Arc<Mutex<Vec<Progress>>> = Arc::default();
    let log = reports.clone();
    let registry = fake.registry(":1", None, brisk());
    let observer: sampan_artifact::Observer =
        Arc::new(move |progress| log.lock().expect("the log").push(progress));
    sampan_artifact::push(&registry, &artifact, &observer)
        .await
        .expect("pushed");
    let reports = reports.lock().expect("the log");
    let total = artifact.size();
    assert!(
        reports.is_sorted_by_key(|progress| progress.done),
        "{reports:?}"
    );
    assert!(
        reports.iter().all(|progress| progress.total == total),
        "{reports:?}"
    );
    assert_eq!(reports.last().map(|progress| progress.done), Some(total));
}

#[tokio::test]
async fn s45_an_upload_that_breaks_begins_again() {
    let store = Store::default();
    let failures = AtomicUsize::new(2);
    let fake = registry(&store, move |parts, response| {
        let upload = parts.method == Method::PUT && parts.uri.path().contains("/uploads/");
        let less = |count: usize| count.checked_sub(1);
        if upload
            && failures
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
                .is_ok()
        {
            return status(503);
        }
        response
    })
    .await;
    push(&fake, &function(WASM)).await.expect("pushed");
    assert_eq!(fake.pull().await.expect("pulled").wasm, WASM);
}

#[tokio::test]
async fn s42_a_registry_that_stored_something_else_is_detected() {
    // The only manifest of an artifact is what the tag names. Those of images come before it.
    for (artifact, is_tagged) in [(function(WASM), true), (images(WASM), false)] {
        let store = Store::default();
        let fake = registry(&store, |parts, response| {
            if parts.method == Method::PUT && parts.uri.path().contains("/manifests/") {
                return with(response, "docker-content-digest", Digest::of(b"x").as_str());
            }
            response
        })
        .await;
        let error = push(&fake, &artifact).await.expect_err("refused");
        let claim = matches!(
            error,
            Error::Content {
                source: ContentError::Claim { .. },
                ..
            }
        );
        assert!(claim, "{error}");
        let store = store.lock().expect("the store");
        assert_eq!(store.contains_key("manifests/1"), is_tagged);
    }
}

#[tokio::test]
async fn s45_an_upload_is_not_sent_to_metadata() {
    let fake = Fake::start(|parts, _| match parts.method {
        Method::POST => with(status(202), "location", "http://169.254.169.254/upload"),
        _ => status(404),
    })
    .await;
    let error = push(&fake, &function(WASM)).await.expect_err("refused");
    assert!(matches!(error, Error::Redirect { .. }), "{error}");
}

#[tokio::test]
async fn a_digest_is_nothing_to_push_to() {
    let fake = Fake::start(|_, _| status(500)).await;
    let digest = Digest::of(b"");
    for rest in [format!("@{digest}"), format!(":1@{digest}")] {
        let registry = fake.registry(&rest, None, brisk());
        let outcome = sampan_artifact::push(&registry, &function(WASM), &silent()).await;
        assert!(
            matches!(outcome, Err(Error::PushToDigest(_))),
            "{outcome:?}"
        );
    }
    assert!(fake.seen().is_empty());
}
