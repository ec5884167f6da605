//! Bundles as containerd's CRI makes them of a pod that asks for nothing.

use std::path::Path;

use serde_json::{Value, json};

use crate::PROBE;
use crate::support::Node;
use crate::support::bundle::Bundle;
use crate::support::modules::LOOP;

/// Changes a configuration.
pub(crate) type Change = fn(&mut Value);

/// What containerd lets through of a container that asks for its runtime's default.
pub(crate) const SECCOMP: &str = include_str!("seccomp.json");

/// Capabilities that a container has by default.
const CAPABILITIES: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// Paths that are hidden by default.
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// A container that runs the probe, with the node's perl.
pub(crate) fn of_program(node: &Node, id: &str, change: Change) -> Bundle {
    let mut config = config(node, id, &["/usr/bin/perl", "/probe.pl"]);
    change(&mut config);
    filled(node.bundle(id), config)
}

/// A container that a probe can be added to, or that can be looked at.
pub(crate) fn of_waiting(node: &Node, id: &str, change: Change) -> Bundle {
    let mut config = config(node, id, &["/usr/bin/perl", "/probe.pl"]);
    change(&mut config);
    config["process"]["args"] = json!(["/usr/bin/perl", "-e", "sleep 1000"]);
    filled(node.bundle(id), config)
}

/// A container with a function.
pub(crate) fn of_function(node: &Node, id: &str, change: Change) -> Bundle {
    let mut config = config(node, id, &["/function.wasm"]);
    change(&mut config);
    filled(node.bundle(id).module(LOOP), config)
}

/// A pod's sandbox with `hostUsers: false`.
pub(crate) fn of_pod_with_users(node: &Node, id: &str) -> Bundle {
    let mut config = config(node, id, &["/pause"]);
    config["annotations"] = json!({
        "io.kubernetes.cri.container-type": "sandbox",
        "io.kubernetes.cri.sandbox-id": id,
    });
    let namespaces = config["linux"]["namespaces"].as_array_mut();
    namespaces.expect("there").push(json!({ "type": "user" }));
    let mapping = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
    config["linux"]["uidMappings"] = mapping.clone();
    config["linux"]["gidMappings"] = mapping;
    filled(node.bundle(id), config)
}

/// The process that runs the probe in a container that runs.
pub(crate) fn added(bundle: &Bundle) -> Value {
    let file = std::fs::read(bundle.path().join("config.json")).expect("a configuration");
    let mut config: Value = serde_json::from_slice(&file).expect("JSON");
    let mut process = config["process"].take();
    process["args"] = json!(["/usr/bin/perl", "/probe.pl"]);
    process
}

fn filled(bundle: Bundle, config: Value) -> Bundle {
    bundle
        .configured(config)
        .file("probe.pl", &std::fs::read(PROBE).expect("the probe"))
        .file("etc/placeholder", b"")
        .file("tmp/placeholder", b"")
        .with_pipes()
        .finish()
}

fn config(node: &Node, id: &str, args: &[&str]) -> Value {
    json!({
        "ociVersion": "1.2.1",
        "root": { "path": "rootfs" },
        "hostname": "guarded",
        "process": {
            "args": args,
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=guarded"],
            "cwd": "/",
            "user": { "uid": 0, "gid": 0, "additionalGids": [0, 10] },
            "capabilities": {
                "bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES,
            },
            "oomScoreAdj": 1000,
        },
        "mounts": mounts(),
        "annotations": {},
        "linux": {
            "cgroupsPath": node.groups().path_of(id),
            "resources": {
                "devices": [{ "allow": false, "access": "rwm" }],
                "cpu": { "shares": 2 },
            },
            "namespaces": [
                { "type": "pid" }, { "type": "mount" }, { "type": "ipc" }, { "type": "uts" }, { "type": "network" },
            ],
            "maskedPaths": MASKED,
            "readonlyPaths": READ_ONLY,
        },
    })
}

fn mounts() -> Value {
    let mount = |destination: &str, kind: &str, options: &[&str]| json!({ "destination": destination, "type": kind, "source": kind, "options": options });
    let safe = ["nosuid", "noexec", "nodev"];
    let mut mounts = vec![
        mount("/proc", "proc", &safe),
        mount(
            "/dev",
            "tmpfs",
            &["nosuid", "strictatime", "mode=755", "size=65536k"],
        ),
        mount(
            "/dev/pts",
            "devpts",
            &[
                "nosuid",
                "noexec",
                "newinstance",
                "ptmxmode=0666",
                "mode=0620",
                "gid=5",
            ],
        ),
        mount("/dev/mqueue", "mqueue", &safe),
        mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        mount(
            "/sys/fs/cgroup",
            "cgroup",
            &["nosuid", "noexec", "nodev", "relatime", "ro"],
        ),
        mount(
            "/dev/shm",
            "tmpfs",
            &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
        ),
    ];
    // The node's perl and what it needs.
    for folder in ["/usr", "/bin", "/lib", "/lib64"] {
        if let Ok(source) = Path::new(folder).canonicalize() {
            mounts.push(json!({
                "destination": folder, "type": "bind", "source": source, "options": ["rbind", "rprivate", "ro"],
            }));
        }
    }
    json!(mounts)
}
