//! Scenarios 42 to 44: a registry with wrong digests, endless responses, or malicious images.
//!
//! None of them results in a function.

mod fake;

use std::io::Write as _;

use bytes::Bytes;
use fake::documents::{archive, descriptor, refused, registry};
use fake::{Fake, WASM, answer, endless, function, part, serve, with};
use flate2::Compression;
use flate2::write::GzEncoder;
use sampan_artifact::{Artifact, ContentError, Digest, Error, Layout, ManifestError, media};
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

/// An image of one layer, as other tools push it: without an index.
async fn image(layer: Vec<u8>, unpacked: &[u8], gzip: bool) -> Fake {
    let config = json!({"Entrypoint": ["/app.wasm"]});
    image_with(config, layer, unpacked, gzip).await
}

/// As [`image`], with this configuration of its process.
async fn image_with(config: Value, layer: Vec<u8>, unpacked: &[u8], gzip: bool) -> Fake {
    let config = json!({"config": config,
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(unpacked)]}});
    let config = config.to_string().into_bytes();
    let kind = if gzip {
        media::GZIP_LAYER
    } else {
        media::TAR_LAYER
    };
    let root = json!({"schemaVersion": 2, "mediaType": media::MANIFEST,
        "config": descriptor(media::IMAGE_CONFIG, &config), "layers": [descriptor(kind, &layer)]});
    registry(root, media::MANIFEST, vec![config, layer]).await
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

#[tokio::test]
async fn an_honest_registry_is_believed() {
    for (artifact, layout) in [
        (function(WASM), Layout::Artifact),
        (fake::images(WASM), Layout::Image),
    ] {
        let (digest, wasm) = (artifact.root.digest.clone(), artifact.wasm.clone());
        let fake = Fake::with(artifact).await;
        let pulled = fake.pull().await.expect("a function");
        assert_eq!(pulled.digest, digest);
        assert_eq!(pulled.wasm_digest, wasm);
        assert_eq!(pulled.wasm, WASM);
        assert_eq!(pulled.layout, layout);
        let by_digest = fake
            .pull_as(&format!("@{digest}"), None, fake::brisk())
            .await;
        assert_eq!(by_digest.expect("a function"), pulled);
    }
}

#[tokio::test]
async fn images_of_other_tools_are_understood() {
    let layer = archive(&[("app.wasm", EntryType::Regular, "", WASM)]);
    for zipped in [false, true] {
        let sent = if zipped { gzip(&layer) } else { layer.clone() };
        let pulled = image(sent, &layer, zipped)
            .await
            .pull()
            .await
            .expect("a function");
        assert_eq!(pulled.wasm, WASM);
        assert_eq!(pulled.layout, Layout::Image);
    }
}

#[tokio::test]
async fn a_relative_entrypoint_is_found_in_the_working_directory() {
    async fn check(folder: &str, entrypoint: &str, path: &str) {
        let other: &[u8] = b"\0asm\x01\0\0\0";
        let file = |path, bytes| (path, EntryType::Regular, "", bytes);
        let layer = archive(&[
            file("one.wasm", other),
            file(path, WASM),
            file("two.wasm", other),
        ]);
        let config = json!({"WorkingDir": folder, "Entrypoint": [entrypoint]});
        let fake = image_with(config, layer.clone(), &layer, false).await;
        let pulled = fake.pull().await.expect("a function");
        assert_eq!(pulled.wasm, WASM, "{entrypoint} in {folder}");
    }
    check("/app", "hello.wasm", "app/hello.wasm").await;
    check("/app", "./hello.wasm", "./app/hello.wasm").await;
    check("/app/", "bin/hello.wasm", "app/bin/hello.wasm").await;
    check("/app", "../lib/hello.wasm", "lib/hello.wasm").await;
    check("/app", "/lib/hello.wasm", "lib/hello.wasm").await;
    check("/app", "hello.wasm", "usr/bin/hello.wasm").await;
    check("/app", "hello.wasm", "hello.wasm").await;
}

/// A function, and the end of the path of its module, of a manifest in an index, or of its tag.
fn with_victim(end: &str) -> (Artifact, String) {
    match end {
        "blob" => {
            let artifact = function(WASM);
            let victim = artifact.wasm.to_string();
            (artifact, victim)
        }
        "manifest" => {
            let artifact = fake::images(WASM);
            let victim = artifact.manifests[0].digest.to_string();
            (artifact, victim)
        }
        _ => (function(WASM), "1".to_owned()),
    }
}

#[tokio::test]
async fn s42_a_wrong_blob_manifest_or_header_is_refused() {
    // The response to a path with this end has other bytes of the same length.
    async fn check(end: &'static str, expected: &str) {
        let (artifact, victim) = with_victim(end);
        let fake = Fake::start(move |parts, _| {
            let mut response = serve(&artifact, parts);
            if parts.uri.path().ends_with(&victim) {
                let all = artifact.blobs.iter().chain(&artifact.manifests);
                let honest = all.into_iter().find(|part| part.digest.as_str() == victim);
                let mut bytes = honest.expect("a part").bytes.to_vec();
                let last = bytes.len() - 1;
                bytes[last] ^= 1;
                response = answer(200, bytes);
            }
            response
        })
        .await;
        let error = refused(fake.pull().await);
        assert!(
            matches!(error, ContentError::Digest { .. }),
            "{end}: {error}"
        );
        assert!(error.to_string().contains(expected), "{end}: {error}");
    }
    check("blob", "asked for was sha256:").await;
    check("manifest", "asked for was sha256:").await;

    let artifact = function(WASM);
    let fake = Fake::start(move |parts, _| {
        let other = Digest::of(b"other").to_string();
        with(serve(&artifact, parts), "docker-content-digest", &other)
    })
    .await;
    let error = refused(fake.pull().await);
    assert!(matches!(error, ContentError::Claim { .. }), "{error}");

    let fake = Fake::with(function(WASM)).await;
    let other = Digest::of(b"other");
    let artifact = function(WASM);
    let lying = Fake::start(move |_, _| part(&artifact.root)).await;
    let error = refused(
        lying
            .pull_as(&format!("@{other}"), None, fake::brisk())
            .await,
    );
    assert!(matches!(error, ContentError::Digest { .. }), "{error}");
    let absent = fake
        .pull_as(&format!("@{other}"), None, fake::brisk())
        .await;
    assert!(matches!(absent, Err(Error::NotFound(_))), "{absent:?}");
}

#[tokio::test]
async fn s43_nothing_is_read_beyond_the_declared_size() {
    async fn check(end: &'static str) -> ContentError {
        let (artifact, victim) = with_victim(end);
        let fake = Fake::start(move |parts, _| {
            if parts.uri.path().ends_with(&format!("/{victim}")) {
                return endless();
            }
            serve(&artifact, parts)
        })
        .await;
        refused(fake.pull().await)
    }
    let declared = |error: ContentError| match error {
        ContentError::Endless { declared } => declared,
        other => panic!("{other:?}"),
    };
    assert_eq!(declared(check("blob").await), WASM.len() as u64);
    assert_eq!(
        declared(check("manifest").await),
        fake::images(WASM).manifests[0].bytes.len() as u64
    );
    assert_eq!(declared(check("tag").await), 4 << 20);
}

#[tokio::test]
async fn s43_too_much_is_refused_before_it_is_asked_for() {
    let module = json!({"mediaType": media::WASM_LAYER, "digest": Digest::of(b""), "size": fake::MAX_BYTES + 1});
    let root = json!({"schemaVersion": 2, "mediaType": media::MANIFEST,
        "config": descriptor(media::WASM_CONFIG, b"{}"), "layers": [module]});
    let fake = registry(root, media::MANIFEST, vec![]).await;
    let error = refused(fake.pull().await);
    assert!(matches!(error, ContentError::Size { .. }), "{error}");
    assert_eq!(fake.seen().len(), 1, "{:?}", fake.seen());

    let layers = vec![descriptor(media::TAR_LAYER, b""); 10_000];
    let root = json!({"schemaVersion": 2, "mediaType": media::MANIFEST,
        "config": descriptor(media::IMAGE_CONFIG, b"{}"), "layers": layers});
    let fake = registry(root, media::MANIFEST, vec![]).await;
    let error = refused(fake.pull().await);
    let many = matches!(
        error,
        ContentError::Manifest(ManifestError::TooMany { count: 10_000, .. })
    );
    assert!(many, "{error}");
    assert_eq!(fake.seen().len(), 1, "{:?}", fake.seen());
}

#[tokio::test]
async fn s43_a_shorter_blob_is_refused() {
    let mut artifact = function(WASM);
    artifact.blobs[0].bytes = Bytes::from_static(b"\0asm");
    let error = refused(Fake::with(artifact).await.pull().await);
    assert!(
        matches!(error, ContentError::Short { actual: 4, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn s43_a_gzip_bomb_stops_at_the_limit() {
    let zeros = vec![0; 64 << 20];
    let unpacked = archive(&[("app.wasm", EntryType::Regular, "", &zeros)]);
    let packed = gzip(&unpacked);
    assert!((packed.len() as u64) < fake::MAX_BYTES, "{}", packed.len());
    let error = refused(image(packed, &unpacked, true).await.pull().await);
    assert!(
        error.to_string().contains("unpacks to more than"),
        "{error}"
    );
}

#[tokio::test]
async fn s44_traps_in_archives_are_refused() {
    async fn check(entries: &[(&str, EntryType, &str, &[u8])], expected: &str) {
        let layer = archive(entries);
        let error = refused(image(layer.clone(), &layer, false).await.pull().await);
        assert!(error.to_string().contains(expected), "{expected}: {error}");
    }
    let good = ("app.wasm", EntryType::Regular, "", WASM);
    let file = EntryType::Regular;
    check(
        &[good, ("../../etc/cron.d/x", file, "", b"x")],
        "not a path inside",
    )
    .await;
    check(
        &[good, ("/etc/cron.d/x", file, "", b"x")],
        "not a path inside",
    )
    .await;
    let link = EntryType::Symlink;
    let chain: [(&str, EntryType, &str, &[u8]); 3] = [
        ("a", link, "..", b""),
        ("a/b", link, "..", b""),
        ("a/b/x", file, "", b"x"),
    ];
    check(&chain, "symbolic link").await;
    check(&[("app.wasm", link, "/etc/passwd", b"")], "symbolic link").await;
    check(
        &[("app.wasm", EntryType::Link, "/etc/passwd", b"")],
        "hard link",
    )
    .await;
    check(&[good, ("sda", EntryType::Block, "", b"")], "device").await;
    check(&[good, ("tty", EntryType::Char, "", b"")], "device").await;
    check(&[good, good], "twice").await;
    check(&[("app.wasm", file, "", b"#!/bin/sh")], "not WebAssembly").await;
    check(&[("readme", file, "", b"x")], "neither the file").await;
}

#[tokio::test]
async fn s44_a_size_in_an_extended_header_that_contradicts_is_refused() {
    let mut builder = Builder::new(Vec::new());
    builder
        .append_pax_extensions([("size", &b"1024"[..])])
        .expect("memory");
    let mut header = Header::new_ustar();
    header.set_path("app.wasm").expect("a short path");
    header.set_size(WASM.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    builder.append(&header, WASM).expect("memory");
    builder.append(&header, WASM).expect("memory");
    let layer = builder.into_inner().expect("memory");
    let error = refused(image(layer.clone(), &layer, false).await.pull().await);
    assert!(error.to_string().contains("contradict"), "{error}");
}

#[tokio::test]
async fn an_archive_that_differs_from_its_image_is_rejected() {
    let layer = archive(&[("app.wasm", EntryType::Regular, "", WASM)]);
    let error = refused(image(layer, b"other", false).await.pull().await);
    assert!(error.to_string().contains("configuration says"), "{error}");
}
