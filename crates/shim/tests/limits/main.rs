//! The limits of a container beside runc's: for each field of `linux.resources`, at creation and by updates, both
//! runtimes leave the same values in the files of the control group and in the properties of the scope.
//!
//! It runs on version 1 and 2, with either form of a bundle's path. `SAMPAN_WRITE_TABLE=FILE` writes docs/shim.md with
//! the measured column to a file, instead of comparing.

#[path = "../support/mod.rs"]
mod support;

mod behaviour;
mod compare;
mod container;
mod differences;
mod environment;
mod inputs;
mod plan;
mod snapshot;
mod table;

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use compare::Row;
use container::Runtime;
use environment::Environment;
use inputs::Family;
use support::{Node, may_run};
use table::{Document, cell};

/// The document with the table.
const DOCUMENT: &str = "../../docs/shim.md";

/// Where to write it.
const WRITE: &str = "SAMPAN_WRITE_TABLE";

/// Whether runc is there. Without it nothing can be compared, which fails under CI.
fn has_runc() -> bool {
    let found = Command::new(container::runc())
        .arg("--version")
        .output()
        .is_ok();
    assert!(
        found || std::env::var_os("CI").is_none(),
        "SAMPAN_TOOLS names no folder with runc"
    );
    if !found {
        eprintln!("skipped: SAMPAN_TOOLS names no folder with runc");
    }
    found
}

#[tokio::test]
async fn limits_are_those_of_runc() {
    if !may_run() || !has_runc() {
        return;
    }
    let environment = Environment::current();
    let node = Node::new().await;
    let rows = compare::run(&node, environment).await;
    let mut problems = String::new();
    for row in &rows {
        for key in row.differing() {
            if differences::reason(environment, &key, &row.label).is_none() {
                report(&mut problems, row, &key);
            }
        }
    }
    let without_limits = rows.iter().find(|row| row.family == Family::Group);
    let without_limits = without_limits
        .and_then(|row| row.runc.clone())
        .expect("runc made it");
    let shown = rows
        .iter()
        .filter(|row| !row.is_reload && row.family != Family::Group);
    let measured: Vec<_> = shown
        .map(|row| (row, cell(environment, row, &without_limits)))
        .collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT);
    let text = std::fs::read_to_string(&path).expect("the document");
    let is_newer = environment.has_oom_policy();
    let mut document = Document::parse(&text).expect("the document has the marks of the table");
    if let Some(file) = std::env::var_os(WRITE) {
        document.fill(environment, is_newer, &measured);
        std::fs::write(&file, document.text()).expect("the document is written");
    } else {
        for (row, cell) in &measured {
            let known = document
                .cell(environment, is_newer, row)
                .unwrap_or("no such row");
            if known != cell {
                writeln!(
                    problems,
                    "{DOCUMENT} says of {}: {known}\n  measured: {cell}",
                    row.label
                )
                .expect("a text takes it");
            }
        }
    }
    node.leaves_nothing().await;
    assert!(
        problems.is_empty(),
        "{} differs:\n{problems}",
        environment.name()
    );
}

fn report(problems: &mut String, row: &Row, key: &str) {
    let when = if row.is_reload {
        " then daemon-reload"
    } else {
        ""
    };
    let [runc, sampan] = [Runtime::Runc, Runtime::Sampan].map(|runtime| row.value(runtime, key));
    writeln!(
        problems,
        "{}, {}{when}: {key}: runc {runc}, sampan {sampan}",
        row.family.name(),
        row.label
    )
    .expect("a text takes it");
}
