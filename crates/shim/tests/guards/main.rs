//! The guards of containers beside runc's: the same bundle runs under the shim and under runc, and a probe in it prints
//! what it is allowed and sees. A difference without a reason fails.
//!
//! `SAMPAN_TOOLS` names the folder with runc: `cargo xtask test end-to-end` builds it.

#[path = "../support/mod.rs"]
mod support;

mod apparmor;
mod bundle;
mod facts;
mod functions;
mod reasons;
mod rows;
mod runc;
mod shim;

use reasons::PROGRAMS;
use rows::Row;
use runc::Runc;
use support::{Node, may_run};

/// What both are started by.
const PARENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/guards/parent.pl");

/// What runs in both, or looks at them.
const PROBE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/guards/probe.pl");

/// The names of the two containers.
const OURS: &str = "guard-of-shim";
const THEIRS: &str = "guard-of-runc";

/// Runs a row under both. Returns what is wrong with it.
async fn compare(row: &Row) -> Vec<String> {
    let node = Node::new().await.below(&["perl", PARENT]);
    let runc = Runc::new(&node);
    let make = if row.added {
        bundle::of_waiting
    } else {
        bundle::of_program
    };
    let bundle = |id| make(&node, id, row.change);
    let here = shim::run(&node, &bundle(OURS), row.added).await;
    let there = runc.run(&node, &bundle(THEIRS), row.added).await;
    node.leaves_nothing().await;
    row.judge(here, there, &[PROGRAMS])
}

/// Compares each row, and prints `as_expected` of those without a difference.
async fn check(rows: Vec<Row>, as_expected: &str, compare: impl AsyncFn(&Row) -> Vec<String>) {
    if !may_run() {
        return;
    }
    let _profile = apparmor::Profile::load();
    let mut wrong = Vec::new();
    for row in rows {
        let found = compare(&row).await;
        let result = if found.is_empty() {
            as_expected
        } else {
            "DIFFERS"
        };
        println!("{:60} {result}", row.name);
        for line in &found {
            println!("    {line}");
        }
        wrong.extend(found.iter().map(|line| format!("{}: {line}", row.name)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_programs_privileges_are_those_that_runc_gives_it() {
    check(rows::privileges(), "as runc", compare).await;
}

#[tokio::test]
async fn a_program_is_filtered_and_labelled_as_by_runc() {
    check(rows::filters(), "as runc", compare).await;
}

#[tokio::test]
async fn a_program_sees_what_it_sees_under_runc() {
    check(rows::views(), "as runc", compare).await;
}

#[tokio::test]
async fn an_added_program_is_guarded_as_by_runc() {
    check(rows::added(), "as runc", compare).await;
}

#[tokio::test]
async fn a_function_may_do_no_more_than_a_container_of_runc() {
    check(rows::functions(), "as runc, or less", functions::compare).await;
}

#[tokio::test]
async fn what_the_documentation_says_of_a_functions_process_is_true() {
    if !may_run() {
        return;
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/security.md");
    let text = std::fs::read_to_string(path).expect("the documentation");
    functions::check_documentation(&rows::documented(), &text).await;
}

#[tokio::test]
async fn a_pod_in_a_user_namespace_is_refused_by_name() {
    if !may_run() {
        return;
    }
    let node = Node::new().await;
    let pod = bundle::of_pod_with_users(&node, "pod");
    let shim = node.start(&pod).await;
    let message = support::message(shim.create(&pod).await);
    assert!(message.contains("hostUsers: false"), "{message}");
    shim.shut_down().await;
    drop(shim);
    node.leaves_nothing().await;
}
