//! Tests of the output for each outcome of a deployment.

use super::super::diagnosis::{PodLog, Warning};
use super::*;
use crate::cluster::function::tests::function;

fn deployed(outcome: Option<Outcome>) -> Deployed {
    let after = Duration::from_millis(2_140);
    let example = Some("/?n='1'".to_owned());
    let mut deployed = Deployed::new(&function(1, &[]), Change::Created, example, after);
    if let Some(outcome) = outcome {
        deployed.set_outcome(outcome, Duration::from_mins(2));
    }
    deployed
}

fn failed(reason: &str) -> Outcome {
    Outcome::Failed {
        function: None,
        reason: reason.to_owned(),
        message: "m\u{1b}".to_owned(),
    }
}

#[test]
fn a_success_is_reported_with_a_command_to_call_it() {
    let check = |deployed: Deployed, expected: &str| {
        assert_eq!(failure(std::slice::from_ref(&deployed)), None);
        assert_eq!(causes(std::slice::from_ref(&deployed)), "");
        assert_eq!(text(&[deployed]), expected);
    };
    check(deployed(None), "hello created in namespace shop\n");
    check(
        deployed(Some(Outcome::Ready(Box::new(function(1, &[]))))),
        "hello created in namespace shop
hello is ready at http://hello.shop.svc (1/1 pods, 2.1 s)
call it: sampan invoke hello -n shop '/?n=%271%27'
",
    );
}

#[test]
fn a_function_in_the_pool_is_reported_as_such() {
    let mut pooled = function(1, &[]);
    pooled.status.placement = Some(Placement::Pooled);
    let pooled = deployed(Some(Outcome::Ready(Box::new(pooled))));
    let said = text(std::slice::from_ref(&pooled));
    assert!(said.contains("(1/1 pods of the pool, 2.1 s)"), "{said}");
    let value = serde_json::to_value(&pooled).expect("JSON");
    assert_eq!(value["placement"], "Pooled");
}

#[test]
fn a_failure_is_reported_with_its_diagnosis() {
    let mut function = deployed(Some(failed("CrashLoop")));
    function.diagnosis = Some(Diagnosis {
        warnings: vec![Warning {
            about: "pod hello-1".to_owned(),
            reason: "BackOff".to_owned(),
            message: "restarting".to_owned(),
            count: 3,
        }],
        logs: vec![PodLog {
            pod: "hello-1".to_owned(),
            lines: vec!["panicked".to_owned(), "\u{1b}[2J".to_owned()],
        }],
        notes: vec!["cannot list events".to_owned()],
    });
    assert_eq!(
        causes(&[function.clone()]),
        "hello: CrashLoop: m\\u{1b}
  pod hello-1: BackOff: restarting (3 times)
  pod hello-1 printed last:
    panicked
    \\u{1b}[2J
  not known: cannot list events
"
    );
    assert_eq!(
        text(&[function.clone()]),
        "hello created in namespace shop\n"
    );
    let value = serde_json::to_value(&function).expect("JSON");
    assert_eq!(value["change"], "created");
    assert_eq!(value["ready"], false);
    assert_eq!(value["exit_code"], 46);
    assert_eq!(value["diagnosis"]["warnings"][0]["count"], 3);
}

#[test]
fn the_first_failure_ends_it_and_counts_the_others() {
    let check = |functions: &[Deployed], exit, message: &str, help: &str| {
        let failure = failure(functions).expect("a failure");
        assert_eq!(failure.exit, exit, "{failure:?}");
        assert!(failure.message.contains(message), "{failure:?}");
        assert!(failure.help.contains(help), "{failure:?}");
    };
    let ready = deployed(Some(Outcome::Ready(Box::new(function(1, &[])))));
    let crash = deployed(Some(failed("CrashLoop")));
    let late = |observed| {
        deployed(Some(Outcome::Late {
            function: None,
            message: "Unschedulable: 0 nodes".to_owned(),
            observed,
        }))
    };
    check(
        &[ready.clone(), crash.clone()],
        Exit::NotReady,
        "CrashLoop: m",
        "sampan logs hello --previous",
    );
    check(
        &[late(true), crash.clone()],
        Exit::Timeout,
        "within 120s: Unsched",
        "--timeout",
    );
    check(&[late(false)], Exit::Timeout, "not ready", "operator");
    check(
        &[crash.clone(), crash.clone()],
        Exit::NotReady,
        "another one",
        "",
    );
    check(
        &[crash.clone(), crash.clone(), ready, crash],
        Exit::NotReady,
        "2 more",
        "",
    );
}

#[test]
fn every_reason_that_ends_a_wait_has_advice_of_its_own() {
    let general = advice("FromTheFuture");
    for reason in [
        Reason::Invalid,
        Reason::Rejected,
        Reason::InvalidImageName,
        Reason::ImagePullFailed,
        Reason::StartFailed,
        Reason::ConfigurationMissing,
        Reason::CrashLoop,
        Reason::OutOfMemory,
        Reason::Forbidden,
        Reason::NameTaken,
    ] {
        assert_ne!(advice(reason.as_str()), general, "{reason}");
    }
}
