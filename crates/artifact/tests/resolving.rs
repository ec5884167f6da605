//! Tests of references that are resolved to digests.

mod fake;

use fake::{Fake, MAX_BYTES, WASM, answer, brisk, function, serve, silent, status, with};
use sampan_artifact::{Error, pull, resolve};

#[tokio::test]
async fn a_tag_is_resolved_with_one_request() {
    let artifact = function(WASM);
    let digest = artifact.root.digest.clone();
    let fake = Fake::with(artifact).await;
    let check = async |rest: &str, expected: Option<()>| {
        let registry = fake.registry(rest, None, brisk());
        match resolve(&registry).await {
            Ok(found) => assert_eq!((Some(()), &found), (expected, &digest), "{rest}"),
            Err(Error::NotFound(_)) => assert_eq!(expected, None, "{rest}"),
            Err(error) => panic!("{rest}: {error}"),
        }
    };
    check(":1", Some(())).await;
    assert_eq!(fake.seen().len(), 1);
    check(&format!("@{digest}"), Some(())).await;
    check(":2", None).await;
    assert_eq!(fake.count("/blobs/"), 0);
}

#[tokio::test]
async fn an_image_that_was_resolved_is_pulled_with_the_same_token() {
    let artifact = function(WASM);
    let fake = Fake::start(move |parts, _| {
        if parts.uri.path() == "/token" {
            return answer(200, r#"{"token":"one"}"#);
        }
        if parts
            .headers
            .get("authorization")
            .is_none_or(|value| value != "Bearer one")
        {
            let challenge = r#"Bearer realm="/token",service="registry""#;
            return with(status(401), "www-authenticate", challenge);
        }
        serve(&artifact, parts)
    })
    .await;
    let registry = fake.registry(":1", None, brisk());
    let digest = resolve(&registry).await.expect("it is there");
    let registry = registry.at(&digest);
    assert_eq!(registry.reference().digest(), Some(&digest));
    let pulled = pull(&registry, MAX_BYTES, &silent()).await;
    assert_eq!(pulled.expect("it is pulled").wasm, WASM);
    assert_eq!(fake.count("/token"), 1);
}
