//! Mounts of programs as runc makes them: what is read-only, what propagates, and which flags a mount keeps.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde_json::json;
use support::bundle::drain;
use support::{Node, may_run, message, until};

/// Prints each hierarchy's options, and why each of its files that root may write to cannot be opened for writing.
const WRITE_TO_GROUPS: &str = r#"
    for point in $(awk '/ - cgroup/ { print $5 }' /proc/self/mountinfo); do
        awk -v point="$point" '$5 == point { print "mount " $6 }' /proc/self/mountinfo
        for file in $(find "$point" -maxdepth 1 -type f -perm -200); do
            if ( : >> "$file" ) 2>/tmp/why; then echo "written $file"; else echo "refused $(cat /tmp/why)"; fi
        done
    done
"#;

/// Waits until a file is there, or for a second one that ends the wait, and says which came first.
const WAIT_FOR_FILE: &str = "echo ready; until [ -e /data/inner/file ] || [ -e /data/end ]; do sleep 0.01; done; \
    [ -e /data/inner/file ] && echo seen || echo unseen";

#[tokio::test]
async fn a_program_cannot_write_to_its_control_groups() {
    async fn check(options: &[&str], has_namespace: bool, read_only: bool) {
        let node = Node::new().await;
        let mut namespaces = json!([
            { "type": "pid" }, { "type": "mount" }, { "type": "ipc" },
            { "type": "uts" }, { "type": "network" },
        ]);
        if has_namespace {
            let list = namespaces.as_array_mut().expect("a list");
            list.push(json!({ "type": "cgroup" }));
        }
        let bundle = node
            .bundle("elf")
            .mount(json!({
                "destination": "/sys", "type": "sysfs", "source": "sysfs",
                "options": ["nosuid", "noexec", "nodev", "ro"],
            }))
            .mount(json!({
                "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": options,
            }))
            .mount(json!({ "destination": "/tmp", "type": "tmpfs", "source": "tmpfs" }))
            .set("/linux/namespaces", namespaces)
            .resources(json!({ "memory": { "limit": 64 << 20 } }))
            .script(WRITE_TO_GROUPS);
        let text = node.output_of(bundle).await;
        let lines = |start| {
            text.lines()
                .filter(move |line: &&str| line.starts_with(start))
        };
        assert!(lines("mount ").count() > 0, "{text}");
        if read_only {
            assert!(lines("refused ").count() > 0, "{text}");
            assert!(
                lines("refused ").all(|line| line.ends_with("Read-only file system")),
                "{text}"
            );
            assert_eq!(lines("written ").count(), 0, "{text}");
        } else {
            assert!(lines("written ").count() > 0, "{text}");
        }
        for line in lines("mount ") {
            let has = |option: &str| line[6..].split(',').any(|has| has == option);
            assert_eq!(has("ro"), read_only, "{line}");
            for option in ["nosuid", "nodev", "noexec"] {
                assert!(has(option), "{line}");
            }
        }
        node.leaves_nothing().await;
    }
    if !may_run() {
        return;
    }
    let options = ["nosuid", "noexec", "nodev", "relatime", "ro"];
    check(&options, false, true).await;
    check(&options, true, true).await;
    // A privileged container of a version that knows namespaces of groups.
    check(&options[..4], true, false).await;
}

/// A folder that is a mount of its own, and shares what is mounted into it.
struct SharedFolder(PathBuf);

impl SharedFolder {
    fn new(path: PathBuf) -> Self {
        fs::create_dir(&path).expect("a folder");
        let none = None::<&str>;
        mount(Some("tmpfs"), &path, Some("tmpfs"), MsFlags::empty(), none).expect("mounted");
        mount(none, &path, none, MsFlags::MS_SHARED, none).expect("shared");
        let folder = Self(path);
        fs::create_dir(folder.path().join("inner")).expect("a folder");
        folder
    }

    fn path(&self) -> &Path {
        &self.0
    }

    /// Mounts a file system with a file into the folder.
    fn mount_inner(&self) {
        let inner = self.path().join("inner");
        let none = None::<&str>;
        mount(Some("tmpfs"), &inner, Some("tmpfs"), MsFlags::empty(), none).expect("mounted");
        fs::write(inner.join("file"), "").expect("a file");
    }
}

impl Drop for SharedFolder {
    fn drop(&mut self) {
        // Nothing may be mounted there.
        let _ = umount2(&self.path().join("inner"), MntFlags::MNT_DETACH);
        let _ = umount2(self.path(), MntFlags::MNT_DETACH);
    }
}

#[tokio::test]
async fn what_the_node_mounts_later_is_seen_as_the_volume_says() {
    async fn check(propagation: &str, root: Option<&str>, expected: &str) {
        let node = Node::new().await;
        let folder = SharedFolder::new(node.path().join("volume"));
        let mut bundle = node
            .bundle("elf")
            .bind(folder.path(), "/data", &["rbind", propagation, "rw"])
            .script(WAIT_FOR_FILE);
        if let Some(root) = root {
            bundle = bundle.set("/linux/rootfsPropagation", json!(root));
        }
        let bundle = bundle.with_pipes().finish();
        let stdout = bundle.reader("stdout");
        let shim = node.run(&bundle).await;
        folder.mount_inner();
        fs::write(folder.path().join("end"), "").expect("a file");
        assert_eq!(shim.ended("elf").await, 0);
        assert_eq!(
            drain(stdout),
            format!("ready\n{expected}\n"),
            "{propagation}"
        );
        shim.shut_down().await;
        drop(folder);
        node.leaves_nothing().await;
    }
    if !may_run() {
        return;
    }
    check("rprivate", None, "unseen").await;
    check("rslave", Some("rslave"), "seen").await;
    check("rshared", Some("rshared"), "seen").await;
}

#[tokio::test]
async fn what_a_container_mounts_is_seen_by_the_node_only_with_a_shared_volume() {
    async fn check(propagation: &str, root: &str, expected: bool) {
        let node = Node::new().await;
        let folder = SharedFolder::new(node.path().join("volume"));
        let all = json!(["CAP_SYS_ADMIN"]);
        let capabilities = json!({ "bounding": all, "effective": all, "permitted": all });
        let bundle = node
            .bundle("elf")
            .bind(folder.path(), "/data", &["rbind", propagation, "rw"])
            .set("/linux/rootfsPropagation", json!(root))
            .set("/process/capabilities", capabilities)
            .script("mount -t tmpfs tmpfs /data/inner && echo x > /data/inner/file");
        node.output_of(bundle).await;
        let seen = folder.path().join("inner/file").exists();
        assert_eq!(seen, expected, "{propagation}");
        drop(folder);
        node.leaves_nothing().await;
    }
    if !may_run() {
        return;
    }
    check("rslave", "rslave", false).await;
    check("rprivate", "rshared", false).await;
    check("rshared", "rshared", true).await;
}

#[tokio::test]
async fn a_volume_inside_another_one_is_not_shared_with_the_node_by_accident() {
    if !may_run() {
        return;
    }
    let node = Node::new().await;
    let folder = SharedFolder::new(node.path().join("volume"));
    let bundle = node
        .bundle("elf")
        .bind(folder.path(), "/data", &["rbind", "rprivate", "rw"])
        .bind(node.path(), "/data/inner", &["rbind", "rprivate", "rw"])
        .set("/linux/rootfsPropagation", json!("rshared"))
        .script("true")
        .finish();
    let shim = node.start(&bundle).await;
    let refused = message(shim.create(&bundle).await);
    assert!(
        refused.contains("/data/inner lies inside the one at /data"),
        "{refused}"
    );
    shim.shut_down().await;
    drop(folder);
    node.leaves_nothing().await;
}

#[tokio::test]
async fn mounts_have_the_flags_that_runc_gives_them() {
    if !may_run() {
        return;
    }
    let node = Node::new().await;
    // The sandbox's /dev/shm is such a source.
    let restricted = SharedFolder::new(node.path().join("restricted"));
    let flags = MsFlags::MS_REMOUNT
        | MsFlags::MS_BIND
        | MsFlags::MS_NOEXEC
        | MsFlags::MS_NOSUID
        | MsFlags::MS_NODEV;
    let none = None::<&str>;
    mount(none, restricted.path(), none, flags, none).expect("restricted");
    restricted.mount_inner();
    let source = restricted.path();
    let log = node.path().join("log");
    fs::write(&log, "").expect("a file");
    let tmpfs = |destination: &str, options: &[&str]| json!({ "destination": destination, "type": "tmpfs", "source": "tmpfs", "options": options });
    let bundle = node
        .bundle("elf")
        .set("/mounts/1/options", json!(["nosuid", "ro"]))
        .bind(source, "/dev/shm", &["rbind", "rprivate", "rw"])
        .bind(source, "/kept", &["rbind", "rprivate"])
        .bind(source, "/read", &["rbind", "rprivate", "ro"])
        .bind(
            source,
            "/strict",
            &["rbind", "ro", "nosuid", "nodev", "noexec"],
        )
        .bind(source, "/all", &["rbind", "rprivate", "rro"])
        .mount(tmpfs("/outer", &["ro", "nosuid"]))
        .bind(source, "/outer/inner", &["rbind", "rw"])
        .bind(&log, "/dev/termination-log", &["rbind", "rprivate", "rw"])
        .script("echo ended > /dev/termination-log; awk '{ print $5, $6 }' /proc/self/mountinfo");
    let text = node.output_of(bundle).await;
    let check = |point: &str, with: &[&str], without: &[&str]| {
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        let (_, options) = lines.find(|(at, _)| *at == point).expect("it is mounted");
        let has = |option: &&&str| options.split(',').any(|has| has == **option);
        let missing: Vec<_> = with.iter().filter(|option| !has(option)).collect();
        let extra: Vec<_> = without.iter().filter(has).collect();
        assert!(missing.is_empty() && extra.is_empty(), "{point} {options}");
    };
    let restrictions = ["nosuid", "nodev", "noexec"];
    check("/dev", &["ro", "nosuid"], &[]);
    check("/dev/shm", &["rw"], &restrictions);
    check("/kept", &["rw", "nosuid", "nodev", "noexec"], &[]);
    check("/read", &["ro"], &restrictions);
    check("/strict", &["ro", "nosuid", "nodev", "noexec"], &[]);
    check("/strict/inner", &["rw"], &[]);
    check("/all", &["ro", "nosuid", "nodev", "noexec"], &[]);
    check("/all/inner", &["ro"], &[]);
    check("/outer", &["ro", "nosuid"], &[]);
    check("/outer/inner", &["rw"], &restrictions);
    assert_eq!(fs::read_to_string(&log).expect("a file"), "ended\n");
    drop(restricted);
    node.leaves_nothing().await;
}

#[tokio::test]
async fn a_function_starts_whatever_its_volumes_propagate() {
    if !may_run() {
        return;
    }
    for (propagation, root) in [
        ("rslave", "rslave"),
        ("rshared", "rshared"),
        ("rprivate", "rprivate"),
    ] {
        let node = Node::new().await;
        let folder = SharedFolder::new(node.path().join("volume"));
        let bundle = node
            .bundle("job")
            .module(r#"(module (func (export "_start")))"#)
            .bind(folder.path(), "/data", &["rbind", propagation, "rw"])
            .set("/linux/rootfsPropagation", json!(root));
        assert_eq!(node.output_of(bundle).await, "", "{propagation}");
        drop(folder);
        until("nothing is mounted", || {
            let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
            !mounts.contains(&node.path().display().to_string())
        })
        .await;
        node.leaves_nothing().await;
    }
}
