//! `cargo xtask up`: what somebody types in a fresh checkout serves all nine functions with their
//! services, and one signal ends all of it.

use std::path::Path;

use sampan_tests::{FUNCTIONS, Sampan, build_folder, program};
use tokio::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn one_command_serves_all_nine_with_their_services() {
    let target = build_folder();
    let mut command = Command::new(program("xtask"));
    command
        .args(["--no-install", "up", "--listen", "127.0.0.1:0"])
        .args(["--", "--output", "json", "--no-watch"])
        .env("CARGO_TARGET_DIR", target.parent().unwrap())
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap());
    let sampan = Sampan::start(command).await;
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
