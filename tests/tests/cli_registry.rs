//! Tests `sampan push` and `sampan pull` as a user calls them: the output, the file, and the exit
//! codes of docs/cli.md.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sampan_tests::program;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Command;

const COMMAND: &str = "(module (func (export \"_start\")))";
const LACKS: &str = "(module (import \"acme\" \"x\" (func)) (func (export \"_start\")))";

/// The content of a registry: `blobs/DIGEST` and `manifests/NAME`.
type Store = Arc<Mutex<BTreeMap<String, Bytes>>>;

/// A registry on a loopback port, which ends with the test's runtime.
async fn registry() -> (u16, Store) {
    let store = Store::default();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let kept = store.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let kept = kept.clone();
            let service = service_fn(move |request| {
                let kept = kept.clone();
                async move { Ok::<_, Infallible>(answer(request, &kept).await) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    (port, store)
}

async fn answer(request: Request<Incoming>, store: &Store) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    let path = parts.uri.path().trim_start_matches("/v2/functions/hello/");
    let query = parts.uri.query().unwrap_or_default();
    let mut store = store.lock().expect("the store");
    let (status, location, bytes) = match (&parts.method, query.strip_prefix("digest=")) {
        (&Method::POST, _) => (202, "/v2/functions/hello/blobs/uploads/1", Bytes::new()),
        (&Method::PUT, Some(digest)) => {
            store.insert(format!("blobs/{}", digest.replace("%3A", ":")), body);
            (201, "/", Bytes::new())
        }
        (&Method::PUT, None) => {
            store.insert(path.to_owned(), body);
            (201, "/", Bytes::new())
        }
        _ => match store.get(path) {
            Some(bytes) => (200, "/", bytes.clone()),
            None => (404, "/", Bytes::new()),
        },
    };
    Response::builder()
        .status(status)
        .header("location", location)
        .body(Full::new(bytes))
        .expect("an answer")
}

async fn sampan(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(program("sampan"))
        .args(arguments)
        .current_dir(folder)
        // No user's credentials take part.
        .env("DOCKER_CONFIG", folder)
        .output()
        .await
        .expect("it starts")
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        let bytes = wat::parse_str(text).unwrap_or_else(|_| text.as_bytes().to_vec());
        fs::write(folder.path().join(name), bytes).expect("a file");
    }
    folder
}

fn check(output: &Output, code: i32, said: &str) {
    let (out, err) = (&output.stdout, &output.stderr);
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(err)
    );
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(text.contains(said), "no {said} in: {text}");
    assert!(!text.contains("panicked"), "{text}");
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("JSON on standard output")
}

#[tokio::test]
async fn a_function_goes_to_a_registry_and_comes_back() {
    let (port, _) = registry().await;
    let folder = folder(&[
        ("hello.wasm", COMMAND),
        ("function.yaml", "name: hello\nfile: hello.wasm\n"),
    ]);
    let at = folder.path();
    let to = format!("127.0.0.1:{port}/functions/hello:1");
    let pushed = sampan(at, &["push", "hello.wasm", &to, "--output", "json"]).await;
    check(&pushed, 0, "sha256:");
    let pushed = json(&pushed);
    assert_eq!(pushed["kind"], "command-preview1", "{pushed}");
    assert_eq!(pushed["known"], 0, "{pushed}");

    // The same by its `function.yaml`, under another tag: the digest is the same, and only the tag
    // is sent.
    let other = format!("127.0.0.1:{port}/functions/hello:2");
    let again = sampan(at, &["push", "function.yaml", &other]).await;
    let digest = pushed["digest"].as_str().expect("a digest");
    let pinned = format!("127.0.0.1:{port}/functions/hello@{digest}");
    check(&again, 0, &format!("{pinned}\n"));

    fs::create_dir(at.join("there")).expect("a folder");
    let there = at.join("there");
    for (name, written) in [(&to, true), (&other, false)] {
        let pulled = sampan(&there, &["pull", name, "--output", "json"]).await;
        check(&pulled, 0, digest);
        assert_eq!(json(&pulled)["written"], written);
    }
    let file = |folder: &Path| fs::read(folder.join("hello.wasm")).expect("a file");
    assert_eq!(file(&there), file(at));

    fs::write(there.join("hello.wasm"), "mine").expect("a file");
    check(
        &sampan(&there, &["pull", &to]).await,
        19,
        "holds something else",
    );
    check(&sampan(&there, &["pull", &to, "--force"]).await, 0, digest);
    assert_eq!(file(&there), file(at));
    check(
        &sampan(&there, &["pull", &to, "-o", "x.wasm", "--most", "1Ki"]).await,
        0,
        digest,
    );
}

#[tokio::test]
async fn failed_pushes_and_pulls_report_the_cause_and_the_exit_code() {
    let (port, store) = registry().await;
    let folder = folder(&[
        ("hello.wasm", COMMAND),
        ("lacks.wasm", LACKS),
        ("text.wasm", "hello"),
    ]);
    let at = folder.path();
    let name = |tag: &str| format!("127.0.0.1:{port}/functions/hello:{tag}");
    let one = name("1");
    check(
        &sampan(at, &["push", "text.wasm", &one]).await,
        11,
        "not WebAssembly",
    );
    check(
        &sampan(at, &["push", "text.wasm", &one, "--force"]).await,
        11,
        "not WebAssembly",
    );
    check(
        &sampan(at, &["push", "lacks.wasm", &one]).await,
        14,
        "acme x",
    );
    check(
        &sampan(at, &["push", "nowhere.wasm", &one]).await,
        10,
        "nowhere.wasm",
    );
    check(
        &sampan(at, &["push", "hello.wasm", "hello:1"]).await,
        2,
        "names no registry",
    );
    check(
        &sampan(at, &["pull", &one]).await,
        32,
        "is not in the registry",
    );
    assert!(store.lock().expect("the store").is_empty());

    check(
        &sampan(at, &["push", "lacks.wasm", &one, "--force"]).await,
        0,
        "sha256:",
    );
    let kept = store.lock().expect("the store").clone();
    for (path, bytes) in kept
        .iter()
        .filter(|(path, _)| path.starts_with("blobs/sha256"))
    {
        let mut bytes = bytes.to_vec();
        bytes.push(b' ');
        store
            .lock()
            .expect("the store")
            .insert(path.clone(), bytes.into());
    }
    let refused = sampan(at, &["pull", &one, "--output", "json"]).await;
    check(&refused, 33, "help:");
    assert_eq!(json(&refused)["exit_code"], 33);
    assert!(!at.join("hello.wasm.part").exists());
    let files = fs::read_dir(at).expect("a folder").count();
    assert_eq!(files, 3, "nothing was left behind");

    fs::write(at.join("config.json"), "[").expect("a file");
    check(
        &sampan(at, &["pull", &one]).await,
        31,
        "not Docker's configuration",
    );
    fs::remove_file(at.join("config.json")).expect("removed");

    let closed = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let free = closed.local_addr().expect("an address").port();
    drop(closed);
    let nowhere = format!("127.0.0.1:{free}/functions/hello:1");
    check(
        &sampan(at, &["pull", &nowhere]).await,
        30,
        "cannot be reached (4 attempts)",
    );
}
