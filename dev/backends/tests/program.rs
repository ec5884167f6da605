//! Tests the program: its line when it is ready, its end by a signal, and its errors.
//!
//! It leaves nothing behind even when it is killed. Bad input gets one line with the cause and one
//! with the remedy.
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod support;

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::{Http, eventually, processes_of};

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sampan-backends"));
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

const ANYWHERE: [&str; 6] = [
    "serve",
    "--print-ready",
    "--text-listen",
    "127.0.0.1:0",
    "--users-listen",
    "127.0.0.1:0",
];

struct Running {
    child: Child,
    ready: Value,
    folder: PathBuf,
}

impl Running {
    /// Starts it with a text of its own and waits for its line.
    fn start(text: &Path, more: &[&str]) -> Running {
        let mut command = program(&ANYWHERE);
        let mut child = command.arg("--text").arg(text).args(more).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ready: Value = serde_json::from_str(&line).expect("one line of JSON");
        let folder = PathBuf::from(ready["postgres"]["folder"].as_str().unwrap());
        Running {
            child,
            ready,
            folder,
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

fn text() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lear.txt");
    std::fs::write(&file, "Nothing\n").unwrap();
    (folder, file)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_serves_the_addresses_that_it_prints() {
    let (_folder, text) = text();
    let mut running = Running::start(&text, &[]);
    let url = |service: &str| running.ready[service]["url"].as_str().unwrap().to_owned();
    let http = Http::new();
    assert_eq!(http.get(&url("text")).await.body, "Nothing\n");
    let rows = http
        .get(&format!("{}/prest/public/users", url("users")))
        .await;
    assert_eq!((rows.status.as_u16(), &rows.body[..]), (200, &b"[]"[..]));
    running.signal(Signal::TERM);
    assert!(running.child.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_address_is_left_to_its_owner() {
    let (_folder, text) = text();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let mut command = program(&["serve", "--print-ready", "--or-anywhere", "--only", "text"]);
    command.args(["--text-listen", &taken, "--text"]).arg(&text);
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).expect("one line of JSON");
    assert_ne!(ready["text"]["address"], taken.as_str());
    let url = ready["text"]["url"].as_str().unwrap();
    assert_eq!(Http::new().get(url).await.body, "Nothing\n");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn nothing_is_left_however_it_ends() {
    fn check(more: &[&str], end: impl FnOnce(&mut Running), expected: Option<i32>) {
        let (_folder, text) = text();
        let mut running = Running::start(&text, more);
        assert!(!processes_of(&running.folder).is_empty());
        end(&mut running);
        assert_eq!(running.child.wait().unwrap().code(), expected);
        // After a kill, the supervising shell stops the database.
        eventually("the folder goes", || !running.folder.exists());
        eventually("the processes go", || {
            processes_of(&running.folder).is_empty()
        });
    }
    check(&[], |running| running.signal(Signal::TERM), Some(0));
    check(&[], |running| running.signal(Signal::INT), Some(0));
    check(&[], |running| running.signal(Signal::KILL), None);
    let close = |running: &mut Running| drop(running.child.stdin.take());
    check(&["--until-stdin-closes"], close, Some(0));
}

#[test]
fn bad_input_gets_a_cause_and_advice() {
    fn check(arguments: &[&str], cause: &str, help: &str) {
        let mut child = program(arguments).spawn().unwrap();
        let mut said = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(1), "{arguments:?}");
        let lines: Vec<_> = said.lines().collect();
        let [error, advice] = lines[..] else {
            panic!("{arguments:?}: {said}")
        };
        assert!(
            error.starts_with("error: ") && error.contains(cause),
            "{arguments:?}: {said}"
        );
        assert!(
            advice.starts_with("help: ") && advice.contains(help),
            "{arguments:?}: {said}"
        );
    }
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = busy.local_addr().unwrap().to_string();
    let empty = tempfile::tempdir().unwrap();
    let empty = empty.path().to_str().unwrap();
    let (_folder, text) = text();
    let text = text.to_str().unwrap();
    let serve = ["serve", "--text", text, "--text-listen"];
    check(
        &[&serve[..], &[&busy]].concat(),
        &busy,
        "choose another address",
    );
    check(
        &["serve", "--only", "users", "--users-listen", &busy],
        &busy,
        "--users-listen",
    );
    let only = ["serve", "--only", "users", "--postgres", empty];
    check(&only, empty, "apt-get install");
    check(
        &["serve", "--only", "text", "--text", empty],
        empty,
        "--text FILE",
    );
}
