//! The compiled module that a function's process has: all pods of a node share the file, so none may change it.

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use support::modules::LOOP;
use support::{Node, may_run};

/// The descriptor of the compiled module of a process.
fn module_of(process: u32) -> PathBuf {
    let open = fs::read_dir(format!("/proc/{process}/fd")).expect("its descriptors");
    let is_module = |path: &PathBuf| {
        let target = fs::read_link(path).expect("a descriptor leads somewhere");
        target.extension().is_some_and(|kind| kind == "cwasm")
    };
    let mut open = open.map(|entry| entry.expect("a descriptor").path());
    open.find(is_module).expect("the module is open")
}

#[tokio::test]
async fn not_even_root_in_a_container_can_change_the_compiled_module() {
    if !may_run() {
        return;
    }
    let node = Node::new().await;
    let bundle = node.bundle("c").module(LOOP).finish();
    let shim = node.start(&bundle).await;
    let process = shim.run(&bundle).await;
    let module = module_of(process);
    let before = fs::read(&module).expect("root of the node reads it");
    // As the container: root without any privilege, by the descriptor that it has.
    let attempt = |script: &str| {
        let output = Command::new("setpriv")
            .args(["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"])
            .args(["sh", "-c", script, "sh"])
            .arg(&module)
            .output();
        output.expect("setpriv starts")
    };
    let read = attempt("head -c 4 \"$1\" > /dev/null");
    assert!(read.status.success(), "it can be read: {read:?}");
    for script in [
        "chmod 0666 \"$1\"",
        "chmod 0666 \"$1\"; echo other >> \"$1\"",
        "echo other >> \"$1\"",
        "chown 0 \"$1\"",
        "truncate --size 0 \"$1\"",
    ] {
        let output = attempt(script);
        assert!(!output.status.success(), "{script}: {output:?}");
    }
    assert_eq!(fs::read(&module).expect("it is read again"), before);
    shim.stop("c", 9).await;
    shim.shut_down().await;
    node.leaves_nothing().await;
}
