//! Tests a new function: what `sampan new` writes builds unchanged, is served from its folder, and
//! is reloaded when its file changes.
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use sampan_tests::{Answer, Sampan};
use serde_json::Value;

/// The variable with the folder in which `cargo xtask test` has made and built it.
const FOLDER: &str = "SAMPAN_NEW_FUNCTION_DIR";

/// The path of its build result, as in its `function.yaml`.
const WASM: &str = "target/wasm32-wasip2/release/first_steps.wasm";

/// A copy of the folder, without the rest of its build.
fn copy() -> tempfile::TempDir {
    let source = env::var_os(FOLDER);
    let source = source.unwrap_or_else(|| panic!("{FOLDER} is not set; see `cargo xtask test`"));
    let source = PathBuf::from(source);
    let copy = tempfile::tempdir().unwrap();
    for file in ["function.yaml", WASM] {
        let to = copy.path().join(file);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(source.join(file), to).unwrap();
    }
    copy
}

fn check(answer: &Answer, expected: &str) {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.text(), expected);
}

/// Replaces a file as cargo does at the end of a build: another file under the same name.
fn replace(file: &Path, bytes: &[u8]) {
    let new = file.with_extension("new");
    fs::write(&new, bytes).unwrap();
    fs::rename(&new, file).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_function_answers_and_follows_its_file() {
    let folder = copy();
    let mut sampan = Sampan::up(folder.path()).await;
    assert_eq!(sampan.functions("ready"), ["first-steps"]);
    check(&sampan.call("first-steps", "/").await, "Hello, World!\n");
    let answer = sampan.call_by_name("first-steps", "/?name=Ann").await;
    check(&answer, "Hello, Ann!\n");

    // A build result that is no WebAssembly is reported, and the working function stays.
    let wasm = folder.path().join(WASM);
    let built = fs::read(&wasm).unwrap();
    replace(&wasm, b"no component");
    let failed = sampan.event("failed").await;
    assert_eq!(failed["still_served"], Value::Bool(true), "{failed}");
    check(&sampan.call("first-steps", "/").await, "Hello, World!\n");

    // The next working one takes over: the same with another greeting of equal length.
    let changed = swap(&built, b"Hello, ", b"Howdy, ");
    replace(&wasm, &changed);
    sampan.event("changed").await;
    check(&sampan.call("first-steps", "/").await, "Howdy, World!\n");
    assert!(sampan.stop().await.success());
}

/// The bytes with another text in place of a unique one.
fn swap(bytes: &[u8], text: &[u8], other: &[u8]) -> Vec<u8> {
    let places: Vec<_> = bytes
        .windows(text.len())
        .enumerate()
        .filter(|(_, window)| *window == text)
        .map(|(place, _)| place)
        .collect();
    let [place] = places[..] else {
        panic!("the text is there at {places:?}");
    };
    let mut swapped = bytes.to_vec();
    swapped[place..place + text.len()].copy_from_slice(other);
    swapped
}
