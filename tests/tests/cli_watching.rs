//! Tests how `sampan up` follows its files: added, changed, broken and removed ones. Also tests the
//! state after a kill.

use std::fs;
use std::path::Path;
use std::time::Duration;

use sampan_tests::{Guests, Sampan, TEST_TIMEOUT, component};
use tokio::time::{Instant, sleep};

fn bytes(guest: &str) -> Vec<u8> {
    fs::read(component(guest)).expect("a built guest can be read")
}

/// Waits until a function answers with this text.
async fn wait_for(sampan: &Sampan, function: &str, expected: &str) {
    let begun = Instant::now();
    loop {
        let answer = sampan.call(function, "/").await;
        if answer.text().contains(expected) {
            return;
        }
        assert!(begun.elapsed() < TEST_TIMEOUT, "{function}: {answer:?}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_come_change_break_and_go_are_followed() {
    let guests = Guests::none();
    let mut sampan = Sampan::up(guests.folder()).await;
    let file = guests.folder().join("shop.wasm");
    assert_eq!(sampan.call("shop", "/").await.status, 404);

    fs::write(&file, bytes("probe")).expect("it can be written");
    wait_for(&sampan, "shop", "probe").await;

    fs::write(&file, bytes("probe-03")).expect("it can be written");
    wait_for(&sampan, "shop", "probe 0.3").await;

    // An incomplete file never replaces a working function.
    let half = &bytes("probe")[..5000];
    fs::write(&file, half).expect("it can be written");
    sampan.event("failed").await;
    assert_eq!(sampan.call("shop", "/").await.text(), "probe 0.3");

    fs::write(&file, bytes("probe")).expect("it can be written");
    let begun = Instant::now();
    while sampan.call("shop", "/").await.text() != "probe" {
        assert!(begun.elapsed() < TEST_TIMEOUT);
        sleep(Duration::from_millis(5)).await;
    }

    fs::remove_file(&file).expect("it is there");
    wait_for(&sampan, "shop", "no function has this name").await;
    assert!(sampan.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_a_function_is_swapped() {
    let guests = Guests::one("probe", "");
    let sampan = Sampan::up(guests.folder()).await;
    let file = guests.folder().join("probe/probe.wasm");
    for guest in ["probe-03", "probe", "probe-03"] {
        let expected = if guest == "probe" {
            "probe"
        } else {
            "probe 0.3"
        };
        let next = file.with_extension("next");
        fs::write(&next, bytes(guest)).expect("it can be written");
        fs::rename(&next, &file).expect("it can be renamed");
        let begun = Instant::now();
        loop {
            let answer = sampan.call("probe", "/").await;
            assert_eq!(answer.status, 200, "{answer:?}");
            if answer.text() == expected {
                break;
            }
            assert!(begun.elapsed() < TEST_TIMEOUT, "{answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_function_does_not_keep_the_others_from_being_served() {
    let guests = Guests::one("probe", "")
        .with("damaged", &bytes("probe")[..9000], "")
        .with("text", b"hello", "")
        .with("wrong", &bytes("probe"), "limits: { memory: -1 }\n")
        .and("probe-03", "probe-03", "");
    let sampan = Sampan::up(guests.folder()).await;
    assert_eq!(sampan.call("probe", "/").await.text(), "probe");
    assert_eq!(sampan.call("probe-03", "/").await.text(), "probe 0.3");
    assert_eq!(sampan.functions("failed"), ["damaged", "text", "wrong"]);
    for function in ["damaged", "text"] {
        let answer = sampan.call(function, "/").await;
        assert_eq!(answer.status, 503, "{answer:?}");
    }
}

fn files_below(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            names.extend(files_below(&entry.path()));
        } else {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names
}

/// Processes that have a file of one of these names open, with their command lines.
fn processes_with(names: &[String]) -> Vec<String> {
    let is_one = |link: &Path| names.iter().any(|name| link.ends_with(name));
    let mut found = Vec::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let opened = fs::read_dir(process.path().join("fd"));
        let mut links = opened.into_iter().flatten().flatten();
        if links.any(|fd| fs::read_link(fd.path()).is_ok_and(|link| is_one(&link))) {
            let line = fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
            found.push(format!("{} {line:?}", process.file_name().display()));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_41_a_kill_while_modules_are_stored_leaves_a_cache_that_works() {
    let guests = Guests::handlers("");
    let data = tempfile::tempdir().expect("a temporary folder can be made");
    let command = || {
        let mut command = Sampan::command(guests.folder());
        command.arg("--data").arg(data.path());
        command
    };
    for round in 0..20 {
        let mut child = command()
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("it starts");
        // Each round is killed a little later: before, during and after it compiles and stores.
        sleep(Duration::from_millis(round * 12)).await;
        child.kill().await.expect("it can be killed");
    }
    let sampan = Sampan::start(command()).await;
    assert_eq!(sampan.call("probe", "/").await.text(), "probe");
    assert_eq!(sampan.call("probe-03", "/").await.text(), "probe 0.3");
    let left: Vec<_> = files_below(data.path())
        .into_iter()
        .filter(|name| {
            name != "key" && name.rsplit_once('.').map(|(_, kind)| kind) != Some("cwasm")
        })
        .collect();
    let holders = processes_with(&left);
    assert_eq!(left, Vec::<String>::new(), "left and open in {holders:?}");
    assert!(sampan.stop().await.success());
}
