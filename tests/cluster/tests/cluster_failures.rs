//! Tests functions that cannot run: each reports the reason soon, in its conditions and in an
//! event.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use sampan_cluster_tests::{Namespace, TEST_TIMEOUT, hello, push, push_bytes, push_text};

/// How soon a function must report why it cannot run.
const MAX_REPORT_DELAY: Duration = Duration::from_secs(10);

/// The text of a handler; `MODULE` stands for the content of its module.
const HANDLER: &str = include_str!("../../handler.wat");

/// What the condition `Ready=False` and an event must contain for a function.
struct Case {
    name: &'static str,
    image: String,
    /// The rest of `spec`.
    more: &'static str,
    reason: &'static str,
    words: &'static str,
}

impl Case {
    fn new(name: &'static str, image: String, reason: &'static str, words: &'static str) -> Case {
        Case {
            name,
            image,
            more: "",
            reason,
            words,
        }
    }

    fn with(self, more: &'static str) -> Case {
        Case { more, ..self }
    }
}

/// Deploys a function that cannot run, waits until it reports the reason, and returns how long that
/// took.
fn check(namespace: &Namespace, case: &Case) -> Duration {
    let Case {
        name,
        image,
        more,
        reason,
        words,
    } = case;
    namespace.deploy(name, image, &format!("  replicas: 1\n{more}"));
    let begun = Instant::now();
    let kubectl = namespace.kubectl();
    let wfn = format!("wfn/{name}");
    let path = "jsonpath={.status.conditions[?(@.type==\"Ready\")]}";
    let of_function = format!("involvedObject.kind=WasmFunction,involvedObject.name={name}");
    let lines = "jsonpath={range .items[*]}{.reason}: {.message}{\"\\n\"}{end}";
    loop {
        let ready = kubectl.output(&["get", &wfn, "-o", path]);
        let events = [
            "get",
            "events",
            "--field-selector",
            &of_function,
            "-o",
            lines,
        ];
        let events = kubectl.output(&events);
        let is_reported = |said: &str| said.contains(reason) && said.contains(words);
        if ready.contains("\"False\"") && is_reported(&ready) && events.lines().any(is_reported) {
            return begun.elapsed();
        }
        assert!(
            begun.elapsed() < TEST_TIMEOUT,
            "{name} never reports `{reason}` and `{words}`: {ready}\n{events}"
        );
        thread::sleep(Duration::from_millis(100));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_that_cannot_run_report_the_reason() {
    let namespace = Namespace::create("failures").await;
    let cluster = namespace.cluster().clone();
    let registry = &cluster.registry;
    let text = |text: &str, name: &str| push_text(&cluster, text, &format!("failures/{name}"));
    let broken = b"\0asm\x01\0\0\0and nothing that follows";
    let foreign = "(module (import \"elsewhere\" \"thing\" (func)) (func (export \"_start\")))";
    let trap = HANDLER.replace("MODULE", "(func $trap unreachable) (start $trap)");
    let good = push(&cluster, Path::new(&hello()), "failures/hello");
    let (repository, _) = good.split_once('@').expect("an image by its digest");
    let cases = [
        Case::new(
            "missing",
            format!("{registry}/failures/absent:1"),
            "ImagePullFailed",
            "not found",
        ),
        Case::new(
            "wrong-digest",
            format!("{repository}@sha256:{}", "0".repeat(64)),
            "ImagePullFailed",
            "not found",
        ),
        // No server listens there.
        Case::new(
            "unpullable",
            "127.0.0.1:1/failures/hello:1".to_owned(),
            "ImagePullFailed",
            "connection refused",
        ),
        Case::new(
            "not-wasm",
            push_bytes(&cluster, broken, "failures/bytes"),
            "StartFailed",
            "not WebAssembly",
        ),
        Case::new(
            "missing-import",
            text(foreign, "foreign"),
            "StartFailed",
            "elsewhere",
        )
        .with("  http: cgi\n"),
        // It would run and end, again and again.
        Case::new(
            "command",
            text("(module (func (export \"_start\")))", "command"),
            "StartFailed",
            "http: cgi",
        ),
        Case::new(
            "no-start",
            text("(module (func (export \"f\")))", "library"),
            "StartFailed",
            "_start",
        ),
        Case::new("traps", text(&trap, "trap"), "StartFailed", "unreachable"),
        Case::new(
            "small",
            push(&cluster, Path::new(&hello()), "failures/small"),
            "StartFailed",
            "memory",
        )
        .with("  limits: { memory: 1Mi }\n"),
    ];
    for case in &cases {
        let took = check(&namespace, case);
        eprintln!("{} reports the reason after {took:?}", case.name);
        assert!(
            took < MAX_REPORT_DELAY,
            "{} reports the reason only after {took:?}",
            case.name
        );
    }
    namespace.delete().await;
}
