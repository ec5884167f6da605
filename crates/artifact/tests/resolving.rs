//! Tests of references that are resolved to digests.

mod fake;

use fake::{Fake, WASM, brisk, function};
use sampan_artifact::{Error, resolve};

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
