//! Tests of the slots of a function's `concurrency`, and of the queue before them.

use std::time::Duration;

use tokio::io::AsyncReadExt;

use crate::plain::{Fixture, check, read};

const HOLD: &str = "GET /hold HTTP/1.1\r\nhost: primes.localhost\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn scenario_12_more_requests_than_allowed_wait_and_more_than_that_are_refused() {
    let fixture = Fixture::named(&["primes", "sorter"], |function| {
        function.limits.concurrency = 2;
        function.limits.queue = 3;
    });
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams.push(fixture.send(HOLD).await);
    }
    fixture
        .wait_for("sampan_function_requests_in_progress{function=\"primes\"} 2")
        .await;
    fixture
        .wait_for("sampan_function_requests_queued{function=\"primes\"} 3")
        .await;
    let refused = fixture.get("primes.localhost", "/hold").await;
    check(
        &refused,
        503,
        &["retry-after: 1", "sampan-cause: queue_full"],
    );
    let line =
        "sampan_function_requests_rejected_total{function=\"primes\",reason=\"queue_full\"} 1";
    fixture.wait_for(line).await;
    // Other functions are not affected.
    check(&fixture.get("sorter.localhost", "/").await, 200, &[]);
    // A client that disconnects while waiting makes room.
    drop(streams.pop());
    fixture
        .wait_for("sampan_function_requests_queued{function=\"primes\"} 2")
        .await;
    fixture.released.add_permits(4);
    for mut stream in streams {
        check(&read(&mut stream).await, 200, &["released"]);
    }
    fixture
        .wait_for("sampan_function_requests_in_progress{function=\"primes\"} 0")
        .await;
    fixture
        .wait_for("sampan_function_requests_total{function=\"primes\",code=\"499\"} 1")
        .await;
}

#[tokio::test]
async fn waiting_in_the_queue_ends_with_the_functions_timeout() {
    let fixture = Fixture::named(&["primes"], |function| {
        function.limits.concurrency = 1;
        function.limits.timeout = Duration::from_millis(50);
    });
    let _holding = fixture.send(HOLD).await;
    fixture
        .wait_for("sampan_function_requests_in_progress{function=\"primes\"} 1")
        .await;
    let waited = fixture.get("primes.localhost", "/").await;
    check(
        &waited,
        503,
        &["retry-after: 1", "sampan-cause: queue_timeout"],
    );
}

#[tokio::test]
async fn a_request_holds_its_slot_until_the_body_has_ended() {
    let fixture = Fixture::named(&["primes"], |function| function.limits.concurrency = 1);
    let hold = "GET /hold-body HTTP/1.1\r\nhost: primes.localhost\r\nconnection: close\r\n\r\n";
    let mut holding = fixture.send(hold).await;
    let mut head = [0; 16];
    holding.read_exact(&mut head).await.unwrap();
    let mut waiting = fixture.send(&hold.replace("/hold-body", "/")).await;
    fixture
        .wait_for("sampan_function_requests_queued{function=\"primes\"} 1")
        .await;
    fixture.released.add_permits(1);
    check(&read(&mut waiting).await, 200, &[]);
    // Or until the client has gone.
    let mut holding = fixture.send(hold).await;
    holding.read_exact(&mut head).await.unwrap();
    fixture
        .wait_for("sampan_function_requests_in_progress{function=\"primes\"} 1")
        .await;
    drop(holding);
    fixture
        .wait_for("sampan_function_requests_in_progress{function=\"primes\"} 0")
        .await;
}

#[tokio::test]
async fn a_function_that_works_on_after_its_answer_holds_its_slot_until_its_end() {
    let fixture = Fixture::named(&["primes"], |function| {
        function.limits.concurrency = 1;
        function.limits.queue = 0;
    });
    let answer = fixture.get("primes.localhost", "/work").await;
    check(&answer, 200, &["target=/work"]);
    // The request is over, its function is not.
    for line in [
        "sampan_function_requests_total{function=\"primes\",code=\"200\"} 1",
        "sampan_function_requests_in_progress{function=\"primes\"} 1",
    ] {
        fixture.wait_for(line).await;
    }
    let refused = fixture.get("primes.localhost", "/").await;
    check(&refused, 503, &["sampan-cause: queue_full"]);
    fixture.released.add_permits(1);
    fixture
        .wait_for("sampan_function_requests_in_progress{function=\"primes\"} 0")
        .await;
    check(&fixture.get("primes.localhost", "/").await, 200, &[]);
}
