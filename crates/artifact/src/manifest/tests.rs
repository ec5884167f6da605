//! Tests of the target of each document.

use serde_json::{Value, json};

use super::*;

const ZERO: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

fn descriptor(media_type: &str, size: u64) -> Value {
    json!({"mediaType": media_type, "digest": ZERO, "size": size})
}

fn entry(os: &str, architecture: &str, size: u64) -> Value {
    let mut entry = descriptor(media::MANIFEST, size);
    entry["platform"] = json!({"os": os, "architecture": architecture});
    entry
}

fn index(entries: &[Value]) -> Value {
    json!({"schemaVersion": 2, "mediaType": media::INDEX, "manifests": entries})
}

fn manifest(layers: &[Value]) -> Value {
    json!({"schemaVersion": 2, "mediaType": media::MANIFEST,
        "config": descriptor(media::IMAGE_CONFIG, 9), "layers": layers})
}

fn read_json(document: &Value) -> Result<Target, ManifestError> {
    read(document.to_string().as_bytes(), "", false)
}

#[test]
fn an_index_leads_to_the_wasm_artifact_or_to_linux() {
    let check = |entries: &[Value], size: Option<u64>| match (read_json(&index(entries)), size) {
        (Ok(Target::Manifest(entry)), Some(size)) => assert_eq!(entry.size, size),
        (Err(ManifestError::NoPlatform), None) => {}
        (outcome, _) => panic!("{entries:?}: {outcome:?}"),
    };
    let amd64 = entry("linux", "amd64", 1);
    let arm64 = entry("linux", "arm64", 2);
    let wasm = entry("wasip2", "wasm", 3);
    let old = entry("wasi", "wasm", 4);
    let windows = entry("windows", "amd64", 5);
    check(&[amd64.clone(), arm64.clone(), wasm.clone()], Some(3));
    check(&[old.clone(), wasm], Some(3));
    check(&[amd64.clone(), old], Some(4));
    check(&[arm64.clone(), amd64.clone()], Some(1));
    check(&[arm64], Some(2));
    check(&[descriptor(media::MANIFEST, 6)], Some(6));
    check(&[amd64, entry("linux", "amd64", 7)], Some(1));
    check(&[windows], None);
    check(&[descriptor("application/json", 8)], None);
    check(&[], None);
}

#[test]
fn a_manifest_leads_to_its_module_or_its_archives() {
    let wasm = descriptor(media::WASM_LAYER, 1);
    let tar = descriptor(media::TAR_LAYER, 2);
    let module = |layers: &[Value]| match read_json(&manifest(layers)) {
        Ok(Target::Module(layer)) => layer.size,
        outcome => panic!("{layers:?}: {outcome:?}"),
    };
    assert_eq!(module(std::slice::from_ref(&wasm)), 1);
    assert_eq!(module(&[tar.clone(), wasm.clone()]), 1);
    assert_eq!(
        module(&[descriptor("application/vnd.wasm.content.layer.v1+wasm", 7)]),
        7
    );
    let Ok(Target::Image(image)) = read_json(&manifest(&[tar.clone(), tar.clone()])) else {
        panic!("two archives are an image");
    };
    assert_eq!(image.layers.len(), 2);
    let refused = |layers: &[Value]| read_json(&manifest(layers)).expect_err("refused");
    assert!(matches!(
        refused(&[wasm.clone(), wasm]),
        ManifestError::Ambiguous(2)
    ));
    assert!(matches!(refused(&[]), ManifestError::NoLayer(_)));
    let zstd = descriptor("application/vnd.oci.image.layer.v1.tar+zstd", 1);
    assert!(matches!(refused(&[zstd]), ManifestError::NoLayer(_)));
    assert!(matches!(
        refused(&vec![tar; 10_000]),
        ManifestError::TooMany { count: 10_000, .. }
    ));
}

#[test]
fn documents_that_are_something_else_are_refused() {
    let check = |bytes: &[u8], announced: &str, nested: bool, expected: &str| {
        let error = read(bytes, announced, nested).expect_err("refused");
        assert!(error.to_string().contains(expected), "{error}");
    };
    check(b"{", "", false, "JSON");
    check(br#"{"schemaVersion": 1}"#, "", false, "version 1");
    check(br#"{"schemaVersion": 2}"#, "text/html", false, "text/html");
    let both =
        json!({"schemaVersion": 2, "mediaType": media::INDEX, "manifests": [], "layers": []});
    check(both.to_string().as_bytes(), "", false, "neither");
    let confused = json!({"schemaVersion": 2, "mediaType": media::MANIFEST, "manifests": []});
    check(confused.to_string().as_bytes(), "", false, "neither");
    check(
        index(&[]).to_string().as_bytes(),
        "",
        true,
        "promised a manifest",
    );
    let many = index(&vec![entry("linux", "amd64", 1); 300]);
    check(many.to_string().as_bytes(), "", false, "300 manifests");
    let bad =
        r#"{"schemaVersion":2,"manifests":[{"mediaType":"x","digest":"sha256:..","size":1}]}"#;
    check(bad.as_bytes(), media::INDEX, false, "JSON");
}

#[test]
fn a_document_without_a_type_has_the_announced_one() {
    let bare = json!({"schemaVersion": 2, "manifests": [entry("linux", "amd64", 1)]}).to_string();
    let announced = read(bare.as_bytes(), media::INDEX, false);
    assert!(
        matches!(announced, Ok(Target::Manifest(_))),
        "{announced:?}"
    );
}

#[test]
fn a_configuration_names_its_module_and_every_layer() {
    let check = |config: Value, modules: &[&str]| {
        let document = json!({"config": config, "rootfs": {"type": "layers", "diff_ids": [ZERO]}});
        let contents = read_config(document.to_string().as_bytes(), 1).expect("a configuration");
        assert_eq!(contents.modules, modules, "{document}");
    };
    check(
        json!({"Entrypoint": ["/a.wasm", "x"], "Cmd": ["y"]}),
        &["a.wasm"],
    );
    check(json!({"Cmd": ["/b.wasm"]}), &["b.wasm"]);
    check(json!({"Entrypoint": [], "Cmd": null}), &[]);
    check(json!({}), &[]);
    check(Value::Null, &[]);
    let below = |folder: &str, program: &str, path: &[&str], modules: &[&str]| {
        check(
            json!({"WorkingDir": folder, "Entrypoint": [program], "Env": path}),
            modules,
        );
    };
    below("/app", "./a.wasm", &[], &["app/a.wasm"]);
    below("/app", "b/../a.wasm", &[], &["app/a.wasm"]);
    below("/app/", "../../../a.wasm", &[], &["a.wasm"]);
    below("app", "b/a.wasm", &[], &["app/b/a.wasm"]);
    below("/app", "/a.wasm", &[], &["a.wasm"]);
    below("", "./a.wasm", &[], &["a.wasm"]);
    below(
        "/app",
        "a.wasm",
        &["HOME=/", "PATH=/bin:lib"],
        &["bin/a.wasm", "app/lib/a.wasm", "app/a.wasm", "a.wasm"],
    );
    let defaults = ["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin"];
    let folders = defaults.into_iter().chain(["sbin", "bin", "app"]);
    let found: Vec<_> = folders.map(|folder| format!("{folder}/a.wasm")).collect();
    let found = found.iter().map(String::as_str).chain(["a.wasm"]);
    below("/app", "a.wasm", &[], &found.collect::<Vec<_>>());
    let document = json!({"rootfs": {"type": "layers", "diff_ids": []}}).to_string();
    let outcome = read_config(document.as_bytes(), 1);
    assert!(
        matches!(outcome, Err(ManifestError::DiffIds { .. })),
        "{outcome:?}"
    );
}
