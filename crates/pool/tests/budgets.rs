//! Tests of the processor time and the memory that functions of a pool share.

mod support;

use serde_json::json;

use support::registry::Registry;
use support::{Fixture, check, counting_guest, free_port, function};

#[tokio::test(flavor = "multi_thread")]
async fn a_report_has_the_processor_time_of_each_function() {
    let (pool, registry) = (Fixture::start(), Registry::start().await);
    let (image, _) = registry.push("f", "1", counting_guest("counted", 1_000_000));
    let port = free_port();
    pool.apply(resource_of("f", port, &image)).await;
    pool.until_serving("f", 1).await;
    let mut before = 0.0;
    for _ in 0..3 {
        let revision = pool.report().revision;
        check(port, 200, &["counted"], &[]).await;
        let report = pool.report();
        let used = function(&report, "f").expect("it is there").guest_seconds;
        assert!(used > before, "{used} is not more than {before}");
        // No one has to be told of each request.
        assert_eq!(report.revision, revision);
        before = used;
    }
    let metrics = pool.metrics.encode().expect("the metrics");
    let line = "sampan_function_guest_seconds_total{function=\"f\"} ";
    let used = metrics.lines().find_map(|found| found.strip_prefix(line));
    let used: f64 = used.expect("it is there").parse().expect("a number");
    assert!(used >= before, "{used} and {before}");
}

fn resource_of(name: &str, port: u16, image: &str) -> sampan_pool::Resource {
    support::resource(name, 1, port, image, json!({}))
}
