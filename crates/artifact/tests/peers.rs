//! Scenario 45: registries that require credentials, are slow, break off, or redirect.

mod fake;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fake::{Fake, WASM, answer, brisk, broken, function, redirect, serve, stalled, status, with};
use sampan_artifact::{Error, Login, RetryPolicy};
use tokio::net::TcpListener;

/// `me:secret`
const BASIC: &str = "Basic bWU6c2VjcmV0";

fn login() -> Login {
    Login::Password {
        user: "me".into(),
        password: "secret".into(),
    }
}

/// A registry that has a function and fails the first `times` requests.
async fn failing(
    times: usize,
    fail: impl Fn() -> http::Response<fake::Body> + Send + Sync + 'static,
) -> Fake {
    let artifact = function(WASM);
    let count = AtomicUsize::new(0);
    Fake::start(move |parts, _| {
        if count.fetch_add(1, Ordering::SeqCst) < times {
            return fail();
        }
        serve(&artifact, parts)
    })
    .await
}

#[tokio::test]
async fn s45_failures_that_pass_are_tried_again_and_others_are_not() {
    async fn check(code: u16, again: bool) {
        let fake = failing(2, move || status(code)).await;
        let outcome = fake.pull().await;
        assert_eq!(outcome.is_ok(), again, "{code}: {outcome:?}");
        assert_eq!(
            fake.count("manifests/1"),
            if again { 3 } else { 1 },
            "{code}"
        );
        // A permanent failure ends after a number of attempts.
        let fake = failing(usize::MAX, move || status(code)).await;
        assert!(fake.pull().await.is_err(), "{code}");
        assert_eq!(fake.seen().len(), if again { 3 } else { 1 }, "{code}");
    }
    for code in [408, 429, 500, 502, 503, 504] {
        check(code, true).await;
    }
    for code in [400, 403, 404, 405, 410, 418, 501] {
        check(code, false).await;
    }
}

#[tokio::test]
async fn s45_retry_after_is_respected() {
    let fake = failing(1, || with(status(429), "retry-after", "0")).await;
    fake.pull().await.expect("a function");
    // Longer than the longest wait: the client gives up at once instead of asking too early.
    let text = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"come back tomorrow"}]}"#;
    let fake = failing(9, move || with(answer(429, text), "retry-after", "86400")).await;
    let error = fake.pull().await.expect_err("refused");
    assert!(
        error
            .to_string()
            .contains("429: TOOMANYREQUESTS come back tomorrow"),
        "{error}"
    );
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn s45_a_connection_that_breaks_is_tried_again() {
    let artifact = function(WASM);
    let victim = artifact.wasm.to_string();
    let breaks = Arc::new(AtomicUsize::new(2));
    let left = breaks.clone();
    let fake = Fake::start(move |parts, _| {
        let hit = parts.uri.path().ends_with(&victim);
        let once_more =
            || left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if hit && once_more().is_ok() {
            return broken(Bytes::from_static(&WASM[..4]), WASM.len());
        }
        serve(&artifact, parts)
    })
    .await;
    assert_eq!(fake.pull().await.expect("a function").wasm, WASM);
    breaks.store(usize::MAX, Ordering::SeqCst);
    let error = fake.pull().await.expect_err("refused");
    assert!(
        matches!(error, Error::Unreachable { attempts: 3, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn s45_an_unreachable_registry_is_reported() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let fake = Fake::with(function(WASM)).await;
    // Accepts, and closes without a response.
    let port = listener.local_addr().expect("an address").port();
    let closing = tokio::spawn(async move {
        loop {
            drop(listener.accept().await);
        }
    });
    let reference = format!("127.0.0.1:{port}/function:1")
        .parse()
        .expect("a reference");
    let options = sampan_artifact::Options {
        retry: brisk(),
        ..Default::default()
    };
    let registry = sampan_artifact::Registry::new(reference, options).expect("a client");
    let error = sampan_artifact::pull(&registry, fake::MAX_BYTES, &fake::silent())
        .await
        .expect_err("refused");
    assert!(
        matches!(error, Error::Unreachable { attempts: 3, .. }),
        "{error}"
    );
    closing.abort();
    let _ = closing.await;
    let error = sampan_artifact::pull(&registry, fake::MAX_BYTES, &fake::silent())
        .await
        .expect_err("refused");
    assert!(
        matches!(error, Error::Unreachable { attempts: 3, .. }),
        "{error}"
    );
    drop(fake);
}

#[tokio::test]
async fn s45_a_silent_registry_times_out() {
    let artifact = function(WASM);
    let victim = artifact.wasm.to_string();
    let fake = Fake::start(move |parts, _| {
        if parts.uri.path().ends_with(&victim) {
            return stalled(Bytes::from_static(&WASM[..4]), WASM.len());
        }
        serve(&artifact, parts)
    })
    .await;
    let check = async |policy: RetryPolicy| {
        let error = fake.pull_as(":1", None, policy).await.expect_err("refused");
        assert!(matches!(error, Error::Slow { attempts: 2, .. }), "{error}");
    };
    let two = RetryPolicy {
        attempts: 2,
        ..brisk()
    };
    // By the time between two chunks, and by the time for the whole.
    check(RetryPolicy {
        read_timeout: Duration::from_millis(200),
        ..two
    })
    .await;
    check(RetryPolicy {
        request_timeout: Duration::from_millis(300),
        ..two
    })
    .await;
}

#[tokio::test]
async fn s45_credentials_answer_a_challenge_and_come_only_then() {
    async fn check(login: Option<Login>, expected: Result<(), &str>) {
        let artifact = function(WASM);
        let fake = Fake::start(move |parts, _| {
            let given = parts.headers.get("authorization");
            if given.is_some_and(|value| value == BASIC) {
                return serve(&artifact, parts);
            }
            with(status(401), "www-authenticate", r#"Basic realm="registry""#)
        })
        .await;
        let outcome = fake.pull_as(":1", login, brisk()).await;
        match (outcome, expected) {
            (Ok(_), Ok(())) => {
                assert_eq!(fake.seen()[0].authorization, None);
                assert_eq!(fake.count("manifests/1"), 2);
            }
            (Err(error), Err(expected)) => {
                assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
                assert!(error.to_string().contains(expected), "{error}");
                assert!(fake.seen().len() <= 2, "{:?}", fake.seen());
            }
            (outcome, _) => panic!("{outcome:?}"),
        }
    }
    check(Some(login()), Ok(())).await;
    check(None, Err("without credentials")).await;
    let wrong = Some(Login::Password {
        user: "me".into(),
        password: "wrong".into(),
    });
    check(wrong, Err("with the credentials")).await;
}

/// A registry that is its own token service, under another path.
async fn with_tokens(expected_token_request: fn(&fake::Seen) -> bool) -> Fake {
    let artifact = function(WASM);
    Fake::start(move |parts, body| {
        let header = parts.headers.get("authorization");
        let authorization = header.map(|value| value.to_str().expect("a text").to_owned());
        if parts.uri.path() == "/token" {
            let seen = fake::Seen {
                method: parts.method.clone(),
                path: String::new(),
                query: parts.uri.query().unwrap_or_default().to_owned(),
                authorization,
                body,
            };
            return if expected_token_request(&seen) {
                answer(200, r#"{"access_token": "ticket", "expires_in": 60}"#)
            } else {
                status(401)
            };
        }
        if authorization.as_deref() == Some("Bearer ticket") {
            return serve(&artifact, parts);
        }
        let challenge = r#"Bearer realm="/token",service="registry""#;
        with(status(401), "www-authenticate", challenge)
    })
    .await
}

#[tokio::test]
async fn s45_tokens_are_requested_once_with_the_credentials() {
    let fake = with_tokens(|seen| {
        seen.authorization.as_deref() == Some(BASIC)
            && seen.query == "scope=repository%3Afunction%3Apull&service=registry"
    })
    .await;
    fake.pull_as(":1", Some(login()), brisk())
        .await
        .expect("a function");
    assert_eq!(fake.count("/token"), 1);
    let refused = fake.pull_as(":1", None, brisk()).await;
    assert!(
        matches!(refused, Err(Error::Unauthorized { .. })),
        "{refused:?}"
    );

    let anonymous = with_tokens(|seen| seen.authorization.is_none()).await;
    anonymous.pull().await.expect("a function");

    let identity = with_tokens(|seen| {
        let form = String::from_utf8_lossy(&seen.body).into_owned();
        seen.method == http::Method::POST
            && form.contains("grant_type=refresh_token")
            && form.contains("refresh_token=long")
    })
    .await;
    let login = Some(Login::Identity("long".into()));
    identity
        .pull_as(":1", login, brisk())
        .await
        .expect("a function");
}

#[tokio::test]
async fn s45_credentials_are_not_forwarded() {
    let artifact = function(WASM);
    let storage = Fake::with(function(WASM)).await;
    let to = format!("http://127.0.0.1:{}", storage.port);
    let fake = Fake::start(move |parts, _| {
        let given = parts.headers.get("authorization");
        if given.is_none_or(|value| value != BASIC) {
            return with(status(401), "www-authenticate", r#"Basic realm="registry""#);
        }
        if parts.uri.path().contains("/blobs/") {
            return redirect(&format!("{to}{}?signature=secret", parts.uri.path()));
        }
        serve(&artifact, parts)
    })
    .await;
    let pulled = fake
        .pull_as(":1", Some(login()), brisk())
        .await
        .expect("a function");
    assert_eq!(pulled.wasm, WASM);
    let seen = storage.seen();
    assert!(!seen.is_empty());
    assert!(
        seen.iter().all(|seen| seen.authorization.is_none()),
        "{seen:?}"
    );
}

#[tokio::test]
async fn s45_a_registry_cannot_send_us_to_metadata() {
    for to in [
        "http://169.254.169.254/latest/meta-data/iam",
        "http://[fe80::1]/x",
        "http://[::ffff:a9fe:a9fe]/x",
        "http://100.100.100.200/x",
        "file:///etc/passwd",
    ] {
        let artifact = function(WASM);
        let fake = Fake::start(move |parts, _| {
            if parts.uri.path().contains("/blobs/") {
                return redirect(to);
            }
            serve(&artifact, parts)
        })
        .await;
        let error = fake.pull().await.expect_err("refused");
        assert!(matches!(error, Error::Redirect { .. }), "{to}: {error}");
        // The same address as its token service.
        let challenge = format!(r#"Bearer realm="{to}""#);
        let fake = Fake::start(move |_, _| with(status(401), "www-authenticate", &challenge)).await;
        let error = fake
            .pull_as(":1", Some(login()), brisk())
            .await
            .expect_err("refused");
        assert!(matches!(error, Error::Redirect { .. }), "{to}: {error}");
    }
}

#[tokio::test]
async fn s45_redirects_in_a_circle_end() {
    let fake = Fake::start(|parts, _| redirect(parts.uri.path())).await;
    let error = fake.pull().await.expect_err("refused");
    assert!(matches!(error, Error::Protocol { .. }), "{error}");
    assert_eq!(fake.seen().len(), 6);
}

#[tokio::test]
async fn s45_protocol_violations_are_reported() {
    let check = async |response: fn() -> http::Response<fake::Body>, expected: &str| {
        let fake = Fake::start(move |_, _| response()).await;
        let error = fake
            .pull_as(":1", Some(login()), brisk())
            .await
            .expect_err("refused");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(fake.seen().len() <= 2, "{:?}", fake.seen());
    };
    check(|| status(401), "does not say which").await;
    check(|| status(307), "where to go on").await;
    check(|| answer(200, "<html>"), "not the JSON").await;
    let realm = || {
        with(
            status(401),
            "www-authenticate",
            r#"Bearer realm="http://:0:0""#,
        )
    };
    check(realm, "has no address").await;
}
