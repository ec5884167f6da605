//! A function's process as it can be seen from outside, beside one of runc's.

use std::fs;
use std::process::Command;

use crate::facts::{Facts, Outcome, drain};
use crate::reasons::{PROGRAMS, Reason, reason};
use crate::rows::Row;
use crate::runc::Runc;
use crate::support::Node;
use crate::{OURS, PARENT, PROBE, THEIRS, bundle};

/// What a function has less of.
const FUNCTIONS: &[Reason] = &[
    reason(
        "status.Cap*",
        "0000000000000000",
        "*",
        "a function has no capabilities",
    ),
    reason(
        "status.NoNewPrivs",
        "1",
        "0",
        "a function never gets new privileges",
    ),
    reason(
        "status.Name",
        "*",
        "perl",
        "it is called what the function is called",
    ),
    reason(
        "status.Sig*",
        "*",
        "*",
        "the process that serves handles signals itself",
    ),
    reason("status.NS*", "*", "*", "numbers of processes"),
    reason("mount./.1", "* ro*", "*", "a function's root is read-only"),
    reason(
        "mount./sys*",
        "",
        "*",
        "a function has no mount that only programs use",
    ),
    reason(
        "mount./dev/*",
        "",
        "*",
        "a function has no mount that only programs use",
    ),
    reason(
        "dev./dev/pts*",
        "",
        "*",
        "a function has no mount that only programs use",
    ),
    reason(
        "dev./dev/mqueue*",
        "",
        "*",
        "a function has no mount that only programs use",
    ),
    reason(
        "dev./dev/shm*",
        "",
        "*",
        "a function has no mount that only programs use",
    ),
    reason("fd.*", "*", "", "what a process that serves waits with"),
];

/// Lines of a thread's status that must be those of its process.
const GUARDS: [&str; 5] = ["Cap", "NoNewPrivs", "Seccomp", "Groups", "Uid"];

/// Runs a row's function under the shim and a program under runc. Returns what is wrong with it.
pub(crate) async fn compare(row: &Row) -> Vec<String> {
    let (here, there) = both(row).await;
    row.judge(here, there, &[PROGRAMS, FUNCTIONS])
}

/// Compares a row with what the documentation's table says of a program under runc and of a function.
pub(crate) async fn check_documentation(row: &Row, text: &str) {
    let (Outcome::Ran(here), Outcome::Ran(there)) = both(row).await else {
        panic!("{} is refused", row.name);
    };
    let rows = documented(text);
    assert!(!rows.is_empty(), "the documentation has no facts");
    for [fact, program, function] in rows {
        assert_eq!(there.get(&fact), program, "{fact} under runc");
        assert_eq!(here.get(&fact), function, "{fact} of a function");
    }
}

/// Rows of three cells that begin with a fact: its name, under runc, of a function.
fn documented(text: &str) -> Vec<[String; 3]> {
    let cell = |text: &str| match text.trim() {
        "none" => String::new(),
        text => text.trim_matches('`').to_owned(),
    };
    let row = |line: &str| -> Option<[String; 3]> {
        let line = line.strip_prefix("| `")?.strip_suffix('|')?;
        let cells: Vec<_> = line.split('|').map(cell).collect();
        cells.try_into().ok()
    };
    text.lines().filter_map(row).collect()
}

#[test]
fn documented_facts_are_rows_of_three_cells() {
    let text = "| fact | a | b |\n|---|---|---|\n| `x.y` | `1 2` | none |\n| other | `1` | `2` |\n";
    let expected = ["x.y", "1 2", ""].map(str::to_owned);
    assert_eq!(documented(text), [expected]);
}

async fn both(row: &Row) -> (Outcome, Outcome) {
    let node = Node::new().await.below(&["perl", PARENT]);
    let here = run(&node, row).await;
    let runc = Runc::new(&node);
    let waiting = bundle::of_waiting(&node, THEIRS, row.change);
    // What it writes has a reader.
    let (_stdout, stderr) = (waiting.reader("stdout"), waiting.reader("stderr"));
    let there = if runc.start(&node, &waiting) {
        let pid = runc.pid(&node, &waiting, "perl").await;
        Outcome::Ran(look(pid, THEIRS))
    } else {
        Outcome::Refused(drain(stderr).await)
    };
    runc.remove(&node, &waiting);
    node.leaves_nothing().await;
    (here, there)
}

async fn run(node: &Node, row: &Row) -> Outcome {
    let bundle = bundle::of_function(node, OURS, row.change);
    let (_stdout, _stderr) = (bundle.reader("stdout"), bundle.reader("stderr"));
    let shim = node.start(&bundle).await;
    let refused = |error| Outcome::Refused(crate::support::message::<()>(Err(error)));
    let created = shim.create(&bundle).await;
    let outcome = if let Err(error) = created {
        refused(error)
    } else {
        let outcome = match shim.start_task(OURS).await {
            Err(error) => refused(error),
            Ok(pid) => {
                threads_are_guarded(pid);
                let outcome = Outcome::Ran(look(u64::from(pid), OURS));
                shim.kill(OURS, 9).await.expect("killed");
                shim.wait(OURS).await.expect("ended");
                outcome
            }
        };
        shim.delete(OURS).await.expect("deleted");
        outcome
    };
    shim.shut_down().await;
    outcome
}

/// What can be seen of a process from outside.
fn look(pid: u64, id: &str) -> Facts {
    let output = Command::new("perl")
        .arg(PROBE)
        .arg(pid.to_string())
        .output()
        .expect("perl starts");
    let (text, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    Facts::parse(&text, &errors, id)
}

/// Each thread has the guards of its process: the kernel keeps them for each thread.
fn threads_are_guarded(pid: u32) {
    let guards = |path: &str| {
        let status = fs::read_to_string(format!("{path}/status")).expect("a status");
        let lines = status.lines();
        let guards = lines.filter(|line| GUARDS.iter().any(|guard| line.starts_with(guard)));
        let label = fs::read_to_string(format!("{path}/attr/current")).unwrap_or_default();
        (guards.map(str::to_owned).collect::<Vec<_>>(), label)
    };
    let process = guards(&format!("/proc/{pid}"));
    for task in fs::read_dir(format!("/proc/{pid}/task")).expect("threads") {
        let task = task.expect("a thread").path();
        assert_eq!(
            guards(&task.display().to_string()),
            process,
            "{}",
            task.display()
        );
    }
}
