//! Tests a full disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sampan_cluster_tests::{Namespace, guest, push};

use crate::NODES_LOCK;

/// A small disk in place of a folder, until this is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn over(folder: &Path) -> SmallDisk {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k,mode=0700", "small"])
            .arg(folder)
            .status();
        assert!(mounted.expect("failed to start mount").success());
        SmallDisk(folder.to_owned())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A process that tried to start may have it open for a moment.
        let gone = Command::new("umount").arg("--lazy").arg(&self.0).status();
        if !gone.is_ok_and(|status| status.success()) {
            eprintln!("{} stays mounted", self.0.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_21_a_full_disk_is_reported_and_recovered_from() {
    let _lock = NODES_LOCK.lock().await;
    let namespace = Namespace::create("full").await;
    let cluster = namespace.cluster().clone();
    let node = &cluster.nodes[0];
    let image = push(&cluster, &guest("probe"), "full/probe");
    // The folder of compiled modules, which now has no space for any module.
    let cache = node.kubelet_root.parent().unwrap().join("sampan/cache");
    fs::create_dir_all(&cache).unwrap();
    let disk = SmallDisk::over(&cache);
    namespace.deploy("probe", &image, &node.node_selector());
    let message = "jsonpath={.status.conditions[?(@.type==\"Ready\")]['reason','message']}";
    namespace.until(&["get", "wfn/probe", "-o", message], |said| {
        said.contains("StartFailed") && said.contains("No space left on device")
    });
    let events = "jsonpath={.items[*].message}";
    let messages = namespace.until(&["get", "events", "-o", events], |said| {
        said.contains("No space left on device")
    });
    assert!(messages.contains("probe"), "{messages}");
    drop(disk);
    namespace.wait_until_ready("probe");
    namespace.delete().await;
}
