//! Functions that cannot run: each says why in its conditions and in an event.

use std::path::Path;

use sampan_cluster_tests::{Namespace, hello, push, push_bytes, push_text};

/// The reason and the message of `Ready=False`, once the message has the words.
fn check(namespace: &Namespace, name: &str, image: &str, words: &str) {
    namespace.apply(&format!(
        "apiVersion: sampan.dev/v1alpha1\nkind: WasmFunction\nmetadata: {{ name: {name} }}\nspec: {{ image: '{image}', replicas: 1 }}\n"
    ));
    let kubectl = namespace.kubectl();
    let path = "jsonpath={.status.conditions[?(@.type==\"Ready\")]}";
    let begun = std::time::Instant::now();
    loop {
        let wfn = format!("wfn/{name}");
        let ready = kubectl.output(&["get", &wfn, "-o", path]);
        let events = kubectl.output(&[
            "get",
            "events",
            "--field-selector",
            &format!("involvedObject.kind=WasmFunction,involvedObject.name={name}"),
            "-o",
            "jsonpath={range .items[*]}{.reason}: {.message}{\"\\n\"}{end}",
        ]);
        if ready.contains(words) && ready.contains("\"False\"") && events.contains(words) {
            return;
        }
        assert!(
            begun.elapsed() < sampan_cluster_tests::PATIENCE,
            "{name} never says `{words}`: {ready}\n{events}"
        );
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_run_says_why() {
    let namespace = Namespace::create("failures").await;
    let cluster = namespace.cluster().clone();
    let registry = &cluster.registry;
    check(
        &namespace,
        "missing",
        &format!("{registry}/failures/nobody:1"),
        "not found",
    );
    let bytes = push_bytes(
        &cluster,
        b"\0asm\x01\0\0\0and nothing that follows",
        "failures/bytes",
    );
    check(&namespace, "not-wasm", &bytes, "not WebAssembly");
    let foreign = push_text(
        &cluster,
        "(module (import \"elsewhere\" \"thing\" (func)) (func (export \"_start\")))",
        "failures/foreign",
    );
    check(&namespace, "missing-import", &foreign, "elsewhere");
    let library = push_text(
        &cluster,
        "(module (func (export \"f\")))",
        "failures/library",
    );
    check(&namespace, "no-start", &library, "_start");
    let good = push(&cluster, Path::new(&hello()), "failures/hello");
    let (repository, _) = good.split_once('@').unwrap();
    let wrong = format!("{repository}@sha256:{}", "0".repeat(64));
    check(&namespace, "wrong-digest", &wrong, "not found");
    let trap = push_text(
        &cluster,
        "(module (memory (export \"memory\") 1) (func (export \"_start\") unreachable))",
        "failures/trap",
    );
    check(&namespace, "traps", &trap, "134");
    namespace.delete().await;
}
