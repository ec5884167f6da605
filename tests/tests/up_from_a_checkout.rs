//! Tests `cargo xtask up`: in a fresh checkout it serves all nine functions with their services,
//! and one signal ends all of it.

use std::path::Path;

use sampan_tests::{FUNCTIONS, Sampan, build_folder, program};
use tokio::process::Command;

/// The command, without its first part, which compiles it.
fn up() -> Command {
    let target = build_folder();
    let target = target.parent().expect("builds stand in a target folder");
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let mut command = Command::new(program("xtask"));
    command
        .args(["--no-install", "up", "--listen", "127.0.0.1:0"])
        .args(["--", "--output", "json", "--no-watch"])
        .env("CARGO_TARGET_DIR", target)
        .current_dir(checkout.expect("this package stands in the checkout"));
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn one_command_serves_all_nine_with_their_services() {
    let sampan = Sampan::start(up()).await;
    assert_eq!(
        sampan.functions("ready"),
        FUNCTIONS.map(|function| function.name)
    );
    for function in FUNCTIONS {
        function.check(&sampan.call(function.name, function.path).await);
        function.check(&sampan.call_by_name(function.name, function.path).await);
    }
    assert!(sampan.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_does_not_start_takes_only_its_function_along() {
    let mut command = up();
    // A folder cannot be made below a file, so there is no folder for the text.
    command.env("SAMPAN_CACHE", program("sampan").join("cache"));
    let sampan = Sampan::start(command).await;
    let said = sampan.stderr();
    let line = said.lines().find(|line| line.contains("not started"));
    let line = line.unwrap_or_else(|| panic!("it is not mentioned: {said}"));
    assert!(line.contains("`fuzzysearch`"), "{line}");
    assert!(said.contains("help: set SAMPAN_CACHE"), "{said}");
    for function in FUNCTIONS {
        if function.name != "fuzzysearch" {
            function.check(&sampan.call(function.name, function.path).await);
        }
    }
    assert!(sampan.stop().await.success());
}
