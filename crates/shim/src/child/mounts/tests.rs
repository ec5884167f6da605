//! Tests of the plan of mounts.

use std::iter;

use serde_json::{Value, json};

use super::*;

fn spec(mounts: &Value, root: Option<&str>) -> Spec {
    serde_json::from_value(json!({
        "ociVersion": "1.2.0",
        "mounts": mounts,
        "linux": {
            "rootfsPropagation": root,
            "readonlyPaths": ["/proc/sys"],
            "maskedPaths": ["/sys/firmware"],
        },
    }))
    .expect("a spec")
}

fn private_root() -> Step {
    step(ROOT, Action::Propagate(MsFlags::MS_PRIVATE))
}

fn step(destination: &str, action: Action) -> Step {
    Step {
        destination: destination.into(),
        action,
    }
}

#[test]
fn what_libcontainer_leaves_out_is_planned() {
    let check = |mount: Value, is_function: bool, expected: Vec<Action>| {
        let mut spec = spec(&json!([mount]), None);
        let plan = MountPlan::take(&mut spec, is_function).expect("a plan");
        let of_mount = expected.into_iter().map(|action| step("/m", action));
        let steps: Vec<_> = iter::once(private_root()).chain(of_mount).collect();
        assert_eq!(plan.steps, steps, "{mount}");
    };
    let bind = |options: &[&str]| json!({ "destination": "/m", "type": "bind", "source": "/s", "options": options });
    let of = |kind: &str, options: &[&str]| json!({ "destination": "/m", "type": kind, "source": kind, "options": options });
    let slave = Action::Propagate(MsFlags::MS_SLAVE | MsFlags::MS_REC);
    check(
        bind(&["rbind", "rslave", "rw"]),
        false,
        vec![Action::SetFlags(MsFlags::empty()), slave],
    );
    let private = Action::Propagate(MsFlags::MS_PRIVATE | MsFlags::MS_REC);
    check(bind(&["rbind", "rprivate", "rw"]), true, vec![private]);
    check(bind(&["rbind"]), false, vec![]);
    let read_only = MsFlags::MS_RDONLY;
    check(bind(&["rbind", "rro"]), false, vec![]);
    check(
        bind(&["rbind", "rro", "rw"]),
        false,
        vec![Action::SetFlags(read_only)],
    );
    let flags = read_only | MsFlags::MS_NOSUID;
    check(
        of("cgroup", &["ro", "nosuid"]),
        false,
        vec![Action::SetCgroupFlags(flags)],
    );
    check(of("cgroup", &["nosuid"]), false, vec![]);
    check(
        of("tmpfs", &["ro", "nosuid"]),
        true,
        vec![Action::SetFlags(flags)],
    );
    check(of("sysfs", &["ro", "nosuid"]), false, vec![]);
}

#[test]
fn what_another_mount_covers_is_left_alone() {
    let mount = |destination: &str| {
        let options = ["rbind", "ro"];
        json!({ "destination": destination, "type": "bind", "source": "/s", "options": options })
    };
    let mounts = [
        "/a/b",
        "/a",
        "/proc/sys",
        "/proc/sys/kernel",
        "/sys/firmware/efi",
    ]
    .map(mount);
    let mut spec = spec(&json!(mounts), None);
    let plan = MountPlan::take(&mut spec, false).expect("a plan");
    let read_only = |path| step(path, Action::SetFlags(MsFlags::MS_RDONLY));
    assert_eq!(
        plan.steps,
        [
            private_root(),
            read_only("/a"),
            read_only("/proc/sys/kernel")
        ]
    );
}

#[test]
fn a_read_only_tmpfs_can_hold_other_mounts_first() {
    let mount = json!({ "destination": "/m", "type": "tmpfs", "source": "tmpfs", "options": ["ro", "mode=755"] });
    let mut spec = spec(&json!([mount]), None);
    MountPlan::take(&mut spec, false).expect("a plan");
    let mounts = spec.mounts().as_ref().expect("there");
    assert_eq!(
        mounts[0].options().as_deref(),
        Some(&["mode=755".to_owned()][..])
    );
}

#[test]
fn a_root_is_private_unless_it_is_to_be_shared_or_unbindable() {
    let check = |root: Option<&str>, expected: &[Step]| {
        let plan = MountPlan::take(&mut spec(&json!([]), root), false).expect("a plan");
        assert_eq!(plan.steps, expected, "{root:?}");
    };
    for root in [None, Some("rslave"), Some("slave"), Some("rprivate")] {
        check(root, &[private_root()]);
    }
    check(Some("rshared"), &[]);
    check(Some("unbindable"), &[]);
}

#[test]
fn no_mount_of_a_pod_appears_on_the_node() {
    let check = |outer: &str, root: &str, refused: bool| {
        let mounts = json!([
            { "destination": "/a", "type": "bind", "source": "/s", "options": ["rbind", outer] },
            { "destination": "/a/b", "type": "bind", "source": "/s", "options": ["rbind", "rprivate"] },
        ]);
        let mut spec = spec(&mounts, Some(root));
        let plan = MountPlan::take(&mut spec, false);
        let is_refused = matches!(plan, Err(ChildError::NestedMount { .. }));
        assert_eq!(is_refused, refused, "{outer} {root}");
        let linux = spec.linux().as_ref().expect("there");
        assert_eq!(linux.rootfs_propagation().as_deref(), Some(&root[1..]));
    };
    check("rprivate", "rshared", true);
    check("rshared", "rshared", false);
    check("rprivate", "rslave", false);
}
