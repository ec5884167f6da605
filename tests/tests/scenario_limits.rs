//! Tests guests that exceed their limits: each is stopped at its limit, its cause is reported, and
//! no other function is affected.
//!
//! The numbers are those of the project's list of hostile scenarios.

use std::time::{Duration, Instant};

use http::Method;
use sampan_tests::{Guests, Sampan};

/// What a stopped call may take over its deadline, with the other tests on the same processors.
const SLACK: Duration = Duration::from_secs(5);

async fn check(sampan: &Sampan, path: &str, status: u16, text: &str) {
    let answer = sampan.call("probe", path).await;
    assert_eq!(answer.status, status, "{path}: {answer:?}");
    assert!(answer.text().contains(text), "{path}: {answer:?}");
    let neighbour = sampan.call("neighbour", "/").await;
    assert_eq!(neighbour.text(), "probe", "after {path}");
}

/// A server of the probe with these lines and of a neighbour, and its folder, which it watches.
async fn up(lines: &str) -> (Sampan, Guests) {
    let guests = Guests::one("probe", lines).and("neighbour", "probe", "");
    (Sampan::up(guests.folder()).await, guests)
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_1_an_endless_loop_ends_at_the_deadline() {
    fn limits(lines: &str) -> String {
        format!("limits: {{ {lines} }}\n")
    }
    for lines in ["timeout: 300ms", "processorTime: 300ms"] {
        let (sampan, _files) = up(&limits(lines)).await;
        let begun = Instant::now();
        let (spinning, neighbour) = tokio::join!(sampan.call("probe", "/spin"), async {
            let answer = sampan.call("neighbour", "/").await;
            (answer, begun.elapsed())
        });
        let took = begun.elapsed();
        assert_eq!(spinning.status, 504, "{lines}: {spinning:?}");
        assert!(took >= Duration::from_millis(300), "{lines}: {took:?}");
        assert!(
            took < Duration::from_millis(300) + SLACK,
            "{lines}: {took:?}"
        );
        let (answer, answered) = neighbour;
        assert_eq!(answer.text(), "probe", "{lines}");
        assert!(answered < took, "{lines}: the neighbour waited for it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_in_the_queue_counts_against_the_deadline() {
    let (sampan, _files) = up("limits: { timeout: 4s, concurrency: 1 }\n").await;
    // The one that comes second waits for the first.
    let (one, other) = tokio::join!(
        sampan.call("probe", "/sleep?2500"),
        sampan.call("probe", "/sleep?2500")
    );
    let statuses = [one.status, other.status];
    let with = |status: u16| statuses.iter().filter(|found| **found == status).count();
    assert!(with(200) <= 1, "{one:?} {other:?}");
    assert!(with(504) >= 1, "{one:?} {other:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_2_memory_ends_at_its_limit() {
    let (sampan, _files) = up("limits: { memory: 32Mi }\n").await;
    let before = sampan.resident();
    let answer = sampan.call("probe", "/grow").await;
    let mebibytes: u32 = answer.text().parse().expect("a number");
    assert!((24..32).contains(&mebibytes), "{mebibytes}");
    check(&sampan, "/exhaust", 500, "crashed").await;
    for _ in 0..20 {
        sampan.call("probe", "/grow").await;
    }
    let grown = sampan.resident().saturating_sub(before);
    assert!(grown < 200 << 20, "the server grew by {grown} bytes");
    assert!(sampan.stderr().contains("out_of_memory"));
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_2_a_module_that_begins_past_its_limit_is_not_run() {
    fn module(memories: &str) -> Vec<u8> {
        let text = format!("(module {memories} (func (export \"_start\")))");
        wat::parse_str(text).expect("it is a module")
    }
    let http = "http: cgi\nlimits: { memory: 32Mi }\n";
    let hundred = "(memory 1)".repeat(100);
    let guests = Guests::none()
        .with("large", &module("(memory 1024)"), http)
        .with("memory64", &module("(memory i64 1)"), http)
        .with("hundred", &module(&hundred), http)
        .with("table", &module("(table 10000000 funcref)"), http)
        .and("probe", "probe", "");
    let sampan = Sampan::up(guests.folder()).await;
    for name in ["large", "memory64", "hundred", "table"] {
        let answer = sampan.call(name, "/").await;
        assert!(answer.status.is_server_error(), "{name}: {answer:?}");
    }
    assert_eq!(sampan.call("probe", "/").await.text(), "probe");
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_3_recursion_without_end_is_a_trap() {
    let (sampan, _files) = up("").await;
    for _ in 0..3 {
        check(&sampan, "/recurse", 500, "crashed").await;
    }
    // Rust's own stack, which is in linear memory, ends first; a module without one exhausts the
    // host's.
    let text = "(module (func $down (call $down)) (func (export \"_start\") (call $down)))";
    let module = wat::parse_str(text).expect("it is a module");
    let guests = Guests::none().with("down", &module, "http: cgi\n");
    let sampan = Sampan::up(guests.folder()).await;
    for _ in 0..3 {
        assert_eq!(sampan.call("down", "/").await.status, 500);
    }
    sampan
        .wait_for_log(|said| said.contains("trap_stack_overflow"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_4_output_is_cut_and_harmless() {
    let (sampan, _files) = up("limits: { output: 4Ki }\n").await;
    check(&sampan, "/print?1000000000", 200, "printed").await;
    let said = sampan.stderr();
    assert!(said.len() < 100_000, "{} bytes of logs", said.len());
    assert!(
        said.contains("\\u{1b}[31mred") || said.contains("\\x1b[31mred"),
        "{said}"
    );
    let guest = said.lines().filter(|line| line.contains("guest"));
    for line in guest {
        let escapes = line.matches('\x1b').count();
        assert_eq!(line.matches("\x1b]").count(), 0, "{escapes}: {line:?}");
        assert!(!line.contains('\x07'), "{line:?}");
    }
    assert!(said.contains("dropped") || said.contains("cut"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_5_handles_and_sockets_end_at_a_cap() {
    let (sampan, _files) = up("").await;
    sampan.call("probe", "/").await;
    let before = sampan.open_files();
    for _ in 0..3 {
        check(&sampan, "/handles", 500, "crashed").await;
        check(&sampan, "/socket", 200, "not ").await;
    }
    let after = sampan.open_files();
    assert!(after <= before + 4, "{before} open files became {after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_6_host_calls_have_limits() {
    let (sampan, _files) = up("").await;
    let before = sampan.resident();
    check(&sampan, "/random?4294967295", 500, "crashed").await;
    check(&sampan, "/random?18446744073709551615", 500, "crashed").await;
    check(&sampan, "/random?1000", 200, "1000").await;
    check(&sampan, "/fields", 500, "crashed").await;
    let grown = sampan.resident().saturating_sub(before);
    assert!(grown < 100 << 20, "the server grew by {grown} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_10_a_call_that_waits_ends_at_its_deadline() {
    let (sampan, _files) = up("limits: { timeout: 300ms, concurrency: 1, queue: 0 }\n").await;
    for _ in 0..2 {
        // The second would find no slot if the first had not left its own.
        check(&sampan, "/never", 504, "").await;
    }
    check(&sampan, "/sleep?1", 200, "slept").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_13_nothing_is_left_for_the_next_request() {
    let (sampan, _files) = up("").await;
    for _ in 0..50 {
        check(&sampan, "/leave", 200, "left").await;
        let answer = sampan.call("probe", "/scan").await;
        let found: u32 = answer.text().parse().expect("a number");
        // The search itself makes one on its stack, and perhaps one of a register.
        assert!(found <= 2, "{found} copies");
        assert_eq!(sampan.call("probe", "/calls").await.text(), "1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reused_instance_remembers_and_is_replaced() {
    let (sampan, _files) = up("instances: { reuse: { requests: 3 } }\n").await;
    let mut seen = Vec::new();
    for _ in 0..6 {
        let answer = sampan.send(Method::GET, "probe", "/calls").await;
        seen.push(answer.text().to_owned());
    }
    assert_eq!(seen, ["1", "2", "3", "1", "2", "3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_has_its_status_and_is_logged_once() {
    let (sampan, _files) = up("").await;
    for (path, status, cause) in [
        ("/panic", 500, "trap_unreachable"),
        ("/nothing", 502, "no_response"),
        ("/recurse", 500, "trap_memory_out_of_bounds"),
    ] {
        let logged = |said: &str| {
            let warned = said.lines().filter(|line| line.contains(" WARN "));
            warned.filter(|line| line.contains(cause)).count()
        };
        let before = logged(&sampan.stderr());
        check(&sampan, path, status, "").await;
        sampan.wait_for_log(|said| logged(said) > before).await;
        assert_eq!(logged(&sampan.stderr()), before + 1, "{path}");
    }
    sampan
        .wait_for_log(|said| said.contains("this is why"))
        .await;
}
