//! Tests of digests by other algorithms than the usual one.

mod fake;

use fake::documents::{archive, descriptor, refused, registry};
use fake::{Fake, WASM, answer, with};
use sampan_artifact::{ContentError, ManifestError, media};
use serde_json::json;
use tar::EntryType;

#[tokio::test]
async fn digests_of_sha512_are_verified() {
    use sha2::Digest as _;
    fn sha512(bytes: &[u8]) -> String {
        format!("sha512:{}", hex::encode(sha2::Sha512::digest(bytes)))
    }
    async fn check(damaged: Option<usize>) {
        let layer = archive(&[("app.wasm", EntryType::Regular, "", WASM)]);
        let config = json!({"config": {"Entrypoint": ["/app.wasm"]},
            "rootfs": {"type": "layers", "diff_ids": [sha512(&layer)]}});
        let config = config.to_string().into_bytes();
        let named = |kind: &str, bytes: &[u8]| json!({"mediaType": kind, "digest": sha512(bytes), "size": bytes.len()});
        let root = json!({"schemaVersion": 2, "mediaType": media::MANIFEST,
            "config": named(media::IMAGE_CONFIG, &config),
            "layers": [named(media::TAR_LAYER, &layer)]});
        let root = root.to_string().into_bytes();
        let reference = format!("@{}", sha512(&root));
        let mut blobs = [root, config, layer].map(|bytes| (sha512(&bytes), bytes));
        if let Some(index) = damaged {
            let (_, bytes) = &mut blobs[index];
            *bytes.last_mut().expect("a byte") ^= 1;
        }
        let fake = Fake::start(move |parts, _| {
            let name = parts.uri.path().rsplit('/').next().unwrap_or_default();
            match blobs.iter().find(|(digest, _)| digest == name) {
                Some((digest, bytes)) => {
                    let found = with(answer(200, bytes.clone()), "content-type", media::MANIFEST);
                    with(found, "docker-content-digest", digest)
                }
                None => fake::status(404),
            }
        })
        .await;
        let outcome = fake.pull_as(&reference, None, fake::brisk()).await;
        if damaged.is_some() {
            let error = refused(outcome);
            assert!(matches!(error, ContentError::Digest { .. }), "{error}");
        } else {
            let pulled = outcome.expect("a function");
            assert_eq!(pulled.wasm, WASM);
            assert_eq!(format!("@{}", pulled.digest), reference);
        }
    }
    check(None).await;
    for index in 0..3 {
        check(Some(index)).await;
    }
}

#[tokio::test]
async fn a_digest_of_another_algorithm_is_refused_by_its_name() {
    let digest = format!("blake3:{}", "0".repeat(64));
    let layer = json!({"mediaType": media::WASM_LAYER, "digest": digest, "size": WASM.len()});
    let config = b"{}".to_vec();
    let root = json!({"schemaVersion": 2, "mediaType": media::MANIFEST,
        "config": descriptor(media::WASM_CONFIG, &config), "layers": [layer]});
    let fake = registry(root, media::MANIFEST, vec![config]).await;
    match refused(fake.pull().await) {
        ContentError::Manifest(ManifestError::Json(error)) => {
            assert!(error.to_string().contains(&digest), "{error}");
        }
        other => panic!("{other}"),
    }
}
