//! Tests components of other toolchains unchanged: a JavaScript and a Python engine, 13 and 18 MB,
//! with a script each. Their long compilation must not delay other functions.

use sampan_tests::{Guests, Sampan};

#[tokio::test(flavor = "multi_thread")]
async fn engines_of_other_languages_are_served_and_delay_no_other() {
    let limits = "limits: { timeout: 60s }\n";
    let guests = Guests::none()
        .and("javascript", "javascript", limits)
        .and("python", "python", limits)
        .and("probe", "probe", "");
    let mut sampan = Sampan::start_loading(guests.folder()).await;
    // Events come in the order in which functions become ready.
    let first = sampan.event("ready").await;
    assert_eq!(first["function"], "probe");
    assert_eq!(sampan.call("probe", "/").await.text(), "probe");
    let compiling = sampan.call("python", "/").await;
    assert_eq!(compiling.status, 503, "{compiling:?}");
    assert!(
        compiling.headers.contains_key("retry-after"),
        "{compiling:?}"
    );
    sampan.event("settled").await;
    for (function, name) in [("javascript", "JavaScript"), ("python", "Python")] {
        for path in ["/", "/a/b?c=d"] {
            let answer = sampan.call(function, path).await;
            assert_eq!(answer.text(), format!("{name} {path}"), "{answer:?}");
        }
    }
}

/// A `fetch` event ends when its answer is sent and every promise of `waitUntil` is settled.
#[tokio::test(flavor = "multi_thread")]
async fn a_javascript_event_finishes_after_its_answer() {
    let guests = Guests::one("javascript-event", "limits: { timeout: 60s }\n");
    let sampan = Sampan::up_with(guests.folder(), &["--admin", "127.0.0.1:0"]).await;
    for path in ["/first", "/second?c=d"] {
        let answer = sampan.call("javascript-event", path).await;
        assert_eq!(answer.text(), format!("JavaScript {path}"), "{answer:?}");
    }
    for line in ["finished /first", "finished /second"] {
        sampan.wait_for_line(&[line]).await;
    }
    let ended = "sampan_function_requests_in_progress{function=\"javascript-event\"} 0";
    sampan.wait_for_metric(ended).await;
    let metrics = sampan.metrics().await;
    let failures = "sampan_function_failures_total{";
    assert!(
        !metrics.lines().any(|line| line.starts_with(failures)),
        "{metrics}"
    );
}
