//! Tests of the processor time and the memory that functions of a pool share.

mod support;

use std::collections::BTreeMap;

use sampan_crd::pool_report::PoolCause;
use sampan_pool::Resource;
use serde_json::{Value, json};
use tokio::task::{JoinSet, yield_now};
use tokio::time::timeout;

use support::registry::Registry;
use support::{
    Fixture, TEST_TIMEOUT, begin, check, counting_guest, endless_guest, free_port, function, get,
    guest, guest_of, guest_with, lasting_guest, settings,
};

/// The bytes of a page.
const PAGE: u64 = 65_536;

fn with(name: &str, port: u16, image: &str, more: Value) -> Resource {
    support::resource(name, 1, port, image, more)
}

/// Limits with which a guest outlives any test.
fn endless() -> Value {
    json!({ "timeout": "1h", "processorTime": "1h" })
}

/// The guest time of a function.
fn used(pool: &Fixture, name: &str) -> f64 {
    function(&pool.report(), name).map_or(0.0, |function| function.guest_seconds)
}

/// How often calls of a function have waited for a reason.
fn waits(pool: &Fixture, name: &str, reason: &str) -> u64 {
    let labels = format!("{{function=\"{name}\",reason=\"{reason}\"}}");
    pool.value(&format!("sampan_function_waits_total{labels}"))
}

/// The memory of a function's instances, in bytes.
fn memory(pool: &Fixture, name: &str) -> u64 {
    let labels = format!("{{function=\"{name}\"}}");
    pool.value(&format!("sampan_function_instance_memory_bytes{labels}"))
}

/// Waits for a condition that no event announces.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            yield_now().await;
        }
    };
    timeout(TEST_TIMEOUT, wait).await.expect(what);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_has_the_processor_time_of_each_function() {
    let (pool, registry) = (Fixture::start(), Registry::start().await);
    let (image, _) = registry.push("f", "1", counting_guest("counted", 1_000_000));
    let port = free_port();
    pool.apply(with("f", port, &image, json!({}))).await;
    pool.until_serving("f", 1).await;
    let mut before = 0.0;
    for _ in 0..3 {
        let revision = pool.report().revision;
        check(port, 200, &["counted"], &[]).await;
        let after = used(&pool, "f");
        assert!(after > before, "{after} is not more than {before}");
        // Not each request renews the report.
        assert_eq!(pool.report().revision, revision);
        before = after;
    }
    let metrics = pool.metrics.encode().expect("the metrics");
    let line = "sampan_function_guest_seconds_total{function=\"f\"} ";
    let counted = metrics.lines().find_map(|found| found.strip_prefix(line));
    let counted: f64 = counted.expect("it is there").parse().expect("a number");
    assert!(counted >= before, "{counted} and {before}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_greedy_function_waits_while_a_quiet_one_answers() {
    let (pool, registry) = (Fixture::start(), Registry::start().await);
    let (greedy, _) = registry.push("greedy", "1", endless_guest());
    let (quiet, _) = registry.push("quiet", "1", guest("quiet"));
    let (a, b) = (free_port(), free_port());
    let limits = json!({ "limits": endless() });
    pool.apply(with("greedy", a, &greedy, limits)).await;
    pool.apply(with("quiet", b, &quiet, json!({}))).await;
    pool.until_serving("greedy", 1).await;
    pool.until_serving("quiet", 1).await;
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        calls.spawn(get(a));
    }
    until("the greedy function waits", || {
        waits(&pool, "greedy", "share") > 8
    })
    .await;
    for _ in 0..100 {
        check(b, 200, &["quiet"], &[]).await;
    }
    let report = pool.report();
    let still = function(&report, "greedy").expect("it is there").in_flight;
    assert_eq!(still, 8);
    let (greedy, quiet) = (used(&pool, "greedy"), used(&pool, "quiet"));
    assert!(quiet < greedy, "{quiet} and {greedy}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn functions_get_guest_time_by_their_weights_and_not_by_their_calls() {
    let (pool, registry) = (Fixture::start(), Registry::start().await);
    let (image, _) = registry.push("endless", "1", endless_guest());
    let mut calls = JoinSet::new();
    for (name, weight, count) in [("light", 100, 12), ("heavy", 300, 4)] {
        let port = free_port();
        let more = json!({ "limits": endless(), "pool": { "weight": weight } });
        pool.apply(with(name, port, &image, more)).await;
        pool.until_serving(name, 1).await;
        for _ in 0..count {
            calls.spawn(get(port));
        }
    }
    let names = ["light", "heavy"];
    until("both functions wait", || {
        names.iter().all(|name| waits(&pool, name, "share") > 20)
    })
    .await;
    let now = || BTreeMap::from(names.map(|name| (name, used(&pool, name))));
    let before = now();
    let since = || -> BTreeMap<_, _> {
        let now = now().into_iter();
        now.map(|(name, used)| (name, used - before[name]))
            .collect()
    };
    until("they compute", || since().values().sum::<f64>() > 1.0).await;
    let since = since();
    let share = since["heavy"] / since.values().sum::<f64>();
    assert!((0.65..0.85).contains(&share), "{share}: {since:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_function_at_its_cap_waits_and_goes_on() {
    let (pool, registry) = (Fixture::start(), Registry::start().await);
    let (image, _) = registry.push("endless", "1", endless_guest());
    let port = free_port();
    let more = json!({ "limits": endless(), "pool": { "processors": "100m" } });
    pool.apply(with("f", port, &image, more)).await;
    pool.until_serving("f", 1).await;
    let mut calls = JoinSet::new();
    calls.spawn(get(port));
    until("it waits", || waits(&pool, "f", "cap") > 0).await;
    let before = used(&pool, "f");
    until("it goes on", || used(&pool, "f") > before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_share_the_total_memory_of_their_function() {
    let (pool, registry) = (Fixture::start(), Registry::start().await);
    let grow = "(if (i32.eq (memory.grow (i32.const 32)) (i32.const -1)) (then unreachable))";
    let (growing, _) = registry.push("growing", "1", lasting_guest("grown", grow, 2));
    let (large, _) = registry.push("large", "1", guest_of("large", "", 20));
    let (a, b, c) = (free_port(), free_port(), free_port());
    let total = |size: &str| json!({ "limits": { "totalMemory": size, "processorTime": "1h" } });
    pool.apply(with("growing", a, &growing, total("3Mi"))).await;
    pool.apply(with("large", b, &large, total("2Mi"))).await;
    pool.apply(with("alone", c, &growing, total("1Mi"))).await;
    pool.until_serving("growing", 1).await;
    pool.until_serving("large", 1).await;
    pool.until_serving("alone", 1).await;
    let first = begin(a, "grown").await;
    let refused = &["sampan-cause: total_memory", "retry-after: 1"];
    check(a, 503, refused, &["grown"]).await;
    drop(first);
    // What one instance alone cannot have is not free in a moment.
    let refused = &["sampan-cause: trap_out_of_memory"];
    check(c, 500, refused, &["grown", "retry-after"]).await;
    // There is room for one instance, so the others wait. What an instance takes is known after the first one.
    check(b, 200, &["large"], &[]).await;
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        calls.spawn(check(b, 200, &["large"], &[]));
    }
    calls.join_all().await;
    let metrics = pool.metrics.encode().expect("the metrics");
    let line = "sampan_function_requests_rejected_total{function=\"growing\",reason=\"memory\"} 1";
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn versions_share_the_total_memory_of_the_newest_one() {
    let (pool, registry) = (Fixture::start(), Registry::start().await);
    let grow = "(if (i32.eq (memory.grow (i32.const 32)) (i32.const -1)) (then unreachable))";
    let (image, _) = registry.push("f", "1", lasting_guest("grown", grow, 2));
    let port = free_port();
    let apply = async |generation, total: &str| {
        let mut limits = endless();
        limits["totalMemory"] = total.into();
        let more = json!({ "limits": limits, "pool": { "weight": 100 + generation } });
        pool.apply(support::resource("f", generation, port, &image, more))
            .await;
        pool.until_serving("f", generation).await;
    };
    apply(1, "3Mi").await;
    assert_eq!(memory(&pool, "f"), 0);
    let first = begin(port, "grown").await;
    assert_eq!(memory(&pool, "f"), 34 * PAGE);
    // The request of the first version goes on, and has memory of the second one's budget.
    apply(2, "3Mi").await;
    let refused = &["sampan-cause: total_memory", "retry-after: 1"];
    check(port, 503, refused, &["grown"]).await;
    apply(3, "5Mi").await;
    let third = begin(port, "grown").await;
    until("both versions have memory", || {
        memory(&pool, "f") == 68 * PAGE
    })
    .await;
    drop(first);
    until("the first version's memory is free", || {
        memory(&pool, "f") == 34 * PAGE
    })
    .await;
    drop(third);
    until("all memory is free", || memory(&pool, "f") == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_never_fits_into_its_memory_is_not_served() {
    let (pool, registry) = (Fixture::start(), Registry::start().await);
    // 4 MiB at its start.
    let handler = include_str!("../../../tests/handler.wat").replace("MODULE", "(memory 64)");
    let handler = wat::parse_str(handler).expect("it is WebAssembly");
    let (image, _) = registry.push("f", "1", handler);
    let more = |total: &str| json!({ "http": null, "limits": { "totalMemory": total } });
    pool.apply(with("f", free_port(), &image, more("3Mi")))
        .await;
    let failed = pool.until_failed("f", PoolCause::StartFailed).await;
    let message = failed.failure.expect("it fails").message;
    let expected = "memory minimum size of 64 pages exceeds memory limits";
    assert!(message.contains(expected), "{message}");
    pool.apply(with("g", free_port(), &image, more("5Mi")))
        .await;
    pool.until_serving("g", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_answer_of_each_version_is_a_cold_start() {
    let (pool, registry) = (Fixture::start(), Registry::start().await);
    let (works, _) = registry.push("works", "1", guest("works"));
    let (fails, _) = registry.push("fails", "1", guest_with("never", "(unreachable)"));
    let cold_starts = || -> u64 { pool.value("sampan_pool_cold_start_seconds_count") };
    let (a, b) = (free_port(), free_port());
    for generation in 1..=2 {
        let more = json!({ "pool": { "weight": 100 + generation } });
        let resource = support::resource("works", generation, a, &works, more);
        pool.apply(resource).await;
        pool.until_serving("works", generation).await;
        let before = cold_starts();
        for _ in 0..3 {
            check(a, 200, &["works"], &[]).await;
            assert_eq!(cold_starts(), before + 1, "generation {generation}");
        }
    }
    let sum: f64 = pool.value("sampan_pool_cold_start_seconds_sum");
    assert!(sum > 0.0, "{sum}");
    // The runner's answer for a call that failed is not the function's.
    pool.apply(with("fails", b, &fails, json!({}))).await;
    pool.until_serving("fails", 1).await;
    check(b, 500, &[], &[]).await;
    assert_eq!(cold_starts(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn near_the_budget_only_the_largest_function_gets_no_more_memory() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut settings = settings(folder.path());
    settings.instance_memory = Some(64 * PAGE);
    let pool = Fixture::start_with(folder, settings);
    let registry = Registry::start().await;
    let (large, _) = registry.push("large", "1", lasting_guest("large", "", 17));
    let (small, _) = registry.push("small", "1", lasting_guest("small", "", 13));
    let (a, b) = (free_port(), free_port());
    let limits = || json!({ "limits": endless() });
    pool.apply(with("large", a, &large, limits())).await;
    pool.apply(with("small", b, &small, limits())).await;
    pool.until_serving("large", 1).await;
    pool.until_serving("small", 1).await;
    // 47 pages.
    let _running = [
        begin(a, "large").await,
        begin(a, "large").await,
        begin(b, "small").await,
    ];
    // There are 17 more, but one function of two would have 51 of 64.
    let refused = &["sampan-cause: process_memory", "retry-after: 1"];
    check(a, 503, refused, &[]).await;
    drop(begin(b, "small").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_request_that_never_got_a_processor_may_be_repeated() {
    let (pool, registry) = (Fixture::start(), Registry::start().await);
    let (image, _) = registry.push("endless", "1", endless_guest());
    let port = free_port();
    let limits = json!({ "timeout": "100ms" });
    let more = json!({ "limits": limits, "pool": { "processors": "10m" } });
    pool.apply(with("f", port, &image, more)).await;
    pool.until_serving("f", 1).await;
    // The first ones begin, and use up what the function may use in the time of the next ones.
    let repeated = async {
        loop {
            let answer = get(port).await;
            if answer.contains("sampan-cause: processors") {
                return answer;
            }
        }
    };
    let answer = timeout(TEST_TIMEOUT, repeated).await;
    let answer = answer.expect("one waits for too long");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("retry-after: 1"), "{answer}");
}
