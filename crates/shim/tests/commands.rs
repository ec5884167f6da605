//! The view of a WASI command: its name, its working directory, its volumes, and single files of them.

mod support;

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;

use serde_json::json;
use support::{Node, may_run, message};

/// Says what it sees.
const LOOK: &str = include_str!("look.wat");

fn note(folder: &Path, text: &str) {
    fs::create_dir_all(folder).expect("a folder");
    fs::write(folder.join("note.txt"), text).expect("a note");
}

#[tokio::test]
async fn paths_are_relative_to_the_working_directory() {
    async fn check(cwd: &str, entrypoint: &str, expected: &[&str]) {
        let node = Node::new().await;
        let data = node.path().join("data");
        note(&data, "outer");
        note(&data.join("sub"), "inner");
        let bundle = node
            .bundle("job")
            .module_at("app/cmd.wasm", LOOK)
            .bind(&data, "/data", &["rbind", "rprivate", "rw"])
            .set("/process/cwd", json!(cwd))
            .set("/process/args", json!([entrypoint]));
        let text = node.output_of(bundle).await;
        let environment = format!("PATH=/bin PWD={cwd} ");
        let expected: Vec<&str> = [entrypoint, &environment]
            .into_iter()
            .chain(expected.iter().copied())
            .collect();
        assert_eq!(text.lines().collect::<Vec<_>>(), expected, "{cwd}");
        node.leaves_nothing().await;
    }
    if !may_run() {
        return;
    }
    let data = "/data outer made";
    check("/", "/app/cmd.wasm", &[data]).await;
    check("/app", "./cmd.wasm", &[data]).await;
    check("/app", "cmd.wasm", &[data]).await;
    check("/data", "/app/cmd.wasm", &[data, ". outer made"]).await;
    check("/data/sub", "../../app/cmd.wasm", &[data, ". inner made"]).await;
    // What is missing is made, as for a program.
    check("/data/new/one", "/app/cmd.wasm", &[data, ". made"]).await;
}

#[tokio::test]
async fn the_environment_of_the_container_decides_what_pwd_is() {
    if !may_run() {
        return;
    }
    let node = Node::new().await;
    let bundle = node.bundle("job").module(LOOK).env("PWD=/elsewhere");
    let text = node.output_of(bundle).await;
    assert_eq!(text, "/function.wasm\nPATH=/bin PWD=/elsewhere \n");
    node.leaves_nothing().await;
}

#[tokio::test]
async fn single_files_are_seen_in_their_folders_and_nothing_else_of_those() {
    if !may_run() {
        return;
    }
    let node = Node::new().await;
    let data = node.path().join("data");
    note(&data, "key");
    let key = data.join("note.txt");
    let log = node.path().join("log");
    fs::write(&log, "").expect("a file");
    let bundle = node
        .bundle("job")
        .module(LOOK)
        .file("etc/app/made.txt", b"of the image")
        .bind(&data, "/data", &["rbind", "rprivate", "rw"])
        .bind(&key, "/etc/app/note.txt", &["rbind", "rprivate", "ro"])
        .bind(&log, "/dev/termination-log", &["rbind", "rprivate", "rw"])
        .bind(&key, "/etc/hosts", &["rbind", "rprivate", "rw"])
        .bind(&key, "/note.txt", &["rbind", "rprivate", "rw"]);
    let text = node.output_of(bundle).await;
    let lines: Vec<&str> = text.lines().skip(2).collect();
    // Nothing can be made beside them.
    assert_eq!(lines, ["/data key made", "/etc/app key", "/dev", "/ key"]);
    node.leaves_nothing().await;
}

#[tokio::test]
async fn what_a_command_cannot_be_given_is_refused_by_name() {
    if !may_run() {
        return;
    }
    let node = Node::new().await;
    let socket = node.path().join("socket");
    let _listener = UnixListener::bind(&socket).expect("a socket");
    let bundle = node
        .bundle("job")
        .module(LOOK)
        .bind(&socket, "/run/some.sock", &["rbind", "rprivate", "rw"])
        .finish();
    let shim = node.start(&bundle).await;
    let refused = message(shim.create(&bundle).await);
    assert!(
        refused.starts_with("the volume at /run/some.sock is a socket"),
        "{refused}"
    );
    shim.shut_down().await;
    node.leaves_nothing().await;
}

#[tokio::test]
async fn a_program_starts_in_a_working_directory_that_is_missing() {
    if !may_run() {
        return;
    }
    let node = Node::new().await;
    let bundle = node
        .bundle("elf")
        .script("pwd")
        .set("/process/cwd", json!("/app/new"));
    assert_eq!(node.output_of(bundle).await, "/app/new\n");
    node.leaves_nothing().await;
}
