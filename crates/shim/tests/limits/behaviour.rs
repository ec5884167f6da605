//! The effects of limits beside runc's: devices that open or don't, freezing, running out of memory, groups inside of a
//! container's, statistics.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use containerd_shim::api::StatsRequest;
use containerd_shim::protos::cgroups::metrics::Metrics as Metrics1;
use containerd_shim::protos::cgroups_v2::metrics::Metrics as Metrics2;
use containerd_shim::protos::protobuf::Message as _;
use containerd_shim::protos::ttrpc::context::Context;
use serde_json::{Value, json};

use crate::container::{Container, Runtime};
use crate::environment::Environment;
use crate::has_runc;
use crate::snapshot;
use crate::support::bundle::Bundle;
use crate::support::{Node, may_run, until};

const BOTH: [Runtime; 2] = [Runtime::Runc, Runtime::Sampan];

const MIB: i64 = 1 << 20;

/// Devices that are harmless to open: kind, numbers and how they are opened. The kernel asks the control group before
/// the driver, so none of them needs to be there.
const DEVICES: &str = "null,c,1,3,rw zero,c,1,5,rw full,c,1,7,rw random,c,1,8,r urandom,c,1,9,r tty,c,5,0,r \
                       ptmx,c,5,2,r kmsg,c,1,11,w tun,c,10,200,r fuse,c,10,229,rw loop-control,c,10,237,r \
                       loop,b,7,0,r";

/// Waits for `/go-N`, probes, and writes `/out-N`. Opening for writing appends nothing.
const PROBE: &str = r#"
b=/bin/busybox
n=0
while true; do
  while [ ! -e /go-$n ]; do $b usleep 20000; done
  for device in $DEVICES; do
    IFS=, ; set -- $device; unset IFS
    $b rm -f /node
    made=$({ $b mknod /node $2 $3 $4; } 2>&1) && made=made
    case $5 in *r*) read=$({ : < /node; } 2>&1) && read=opened ;; *) read=- ;; esac
    case $5 in *w*) write=$({ : >> /node; } 2>&1) && write=opened ;; *) write=- ;; esac
    echo "$1|$made|$read|$write"
  done > /out-new
  $b mv /out-new /out-$n
  n=$((n+1))
done
"#;

/// Rules for devices, as `linux.resources.devices`.
fn rules() -> [(&'static str, Value); 5] {
    let deny = json!({ "allow": false, "access": "rwm" });
    let fuse = |access: &str| json!({ "allow": true, "type": "c", "major": 10, "minor": 229, "access": access });
    let named = |major: i64, minor: i64| json!({ "allow": true, "type": "c", "major": major, "minor": minor, "access": "rwm" });
    // What containerd writes for every container of a pod.
    let mut of_cri = vec![deny.clone()];
    of_cri.extend(
        [
            (1, 3),
            (1, 8),
            (1, 7),
            (5, 0),
            (1, 5),
            (1, 9),
            (5, 1),
            (5, 2),
        ]
        .map(|(major, minor)| named(major, minor)),
    );
    of_cri.push(json!({ "allow": true, "type": "c", "major": 136, "access": "rwm" }));
    [
        ("no rule", json!([])),
        ("the rules of CRI", json!(of_cri)),
        ("one device more", json!([deny, fuse("rwm")])),
        ("one device more to read", json!([deny, fuse("r")])),
        ("privileged", json!([{ "allow": true, "access": "rwm" }])),
    ]
}

fn with_mknod(bundle: Bundle, script: &str) -> Bundle {
    let own = json!(["CAP_MKNOD"]);
    bundle
        .set(
            "/process",
            json!({
                "args": [],
                "env": ["PATH=/bin", format!("DEVICES={DEVICES}")],
                "cwd": "/",
                "user": { "uid": 0, "gid": 0 },
                "capabilities": { "bounding": own, "effective": own, "permitted": own },
            }),
        )
        .busybox(&["sh", "-c", script])
}

/// What the containers' script found at a step.
async fn probed(container: &Container, step: usize) -> String {
    fs::write(container.file(&format!("go-{step}")), "").expect("a file");
    let out = container.file(&format!("out-{step}"));
    until("the devices are probed", || out.exists()).await;
    fs::read_to_string(out).expect("it is there")
}

/// Creation, an update of something else, and systemd's reading of its units: the rules stay.
#[tokio::test]
async fn devices_open_as_under_runc() {
    if !may_run() || !has_runc() {
        return;
    }
    let node = Node::new().await;
    let mut failures = Vec::new();
    for (number, (name, devices)) in rules().into_iter().enumerate() {
        let mut found = BTreeMap::new();
        for runtime in BOTH {
            let id = format!("{}-{number}", runtime.name());
            let resources = json!({ "devices": devices, "memory": { "limit": 64 * MIB } });
            let bundle = with_mknod(node.bundle(&id), PROBE).resources(resources);
            let container = match Container::start(&node, runtime, bundle).await {
                Ok(container) => container,
                Err(error) => {
                    failures.push(format!("{name}: {runtime:?} refused: {error}"));
                    continue;
                }
            };
            let mut steps = vec![probed(&container, 0).await];
            let other = json!({ "memory": { "limit": 128 * MIB } });
            container.update(&other).await.expect("updated");
            steps.push(probed(&container, 1).await);
            if node.groups().is_systemd() {
                reload();
                steps.push(probed(&container, 2).await);
            }
            container.end().await;
            found.insert(runtime.name(), steps);
        }
        let [runc, sampan] = BOTH.map(|runtime| found.remove(runtime.name()).unwrap_or_default());
        let expects_null = runc
            .iter()
            .all(|step| step.contains("null|made|opened|opened"));
        assert!(expects_null, "{name}: the probe works: {runc:?}");
        for (step, (runc, sampan)) in runc.iter().zip(&sampan).enumerate() {
            let pairs = runc.lines().zip(sampan.lines());
            let differing = pairs.filter(|(runc, sampan)| runc != sampan);
            failures.extend(differing.map(|(runc, sampan)| {
                format!("{name}, step {step}: runc {runc}, sampan {sampan}")
            }));
        }
    }
    node.leaves_nothing().await;
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// `memory.oom.group` decides whether one process or all of a container are killed.
#[tokio::test]
async fn running_out_of_memory_kills_what_it_kills_under_runc() {
    if !may_run() || !has_runc() {
        return;
    }
    let node = Node::new().await;
    let unified = Environment::current().is_version_2();
    let mut cases = vec![("one", json!({}), 3)];
    if unified {
        cases.push(("all", json!({ "memory.oom.group": "1" }), 137));
    }
    for (name, keys, expected) in cases {
        for runtime in BOTH {
            let mut resources = json!({ "memory": { "limit": 32 * MIB, "swap": 32 * MIB } });
            if unified {
                resources["unified"] = keys.clone();
            }
            let script = "/bin/busybox tail /dev/zero; echo $? > /code; exit 3";
            let bundle = node.bundle(&format!("{}-{name}", runtime.name()));
            let bundle = bundle.busybox(&["sh", "-c", script]).resources(resources);
            let container = Container::start(&node, runtime, bundle)
                .await
                .expect("started");
            let code = container.file("code");
            let ended = container.wait().await;
            let code = fs::read_to_string(code).ok();
            assert_eq!(ended, expected, "{name}, {runtime:?}");
            let of_child = (expected == 3).then(|| "137\n".to_owned());
            assert_eq!(code, of_child, "{name}, {runtime:?}");
        }
    }
    node.leaves_nothing().await;
}

#[tokio::test]
async fn a_frozen_container_stands_still_as_under_runc() {
    if !may_run() || !has_runc() {
        return;
    }
    let node = Node::new().await;
    let mut states = Vec::new();
    for runtime in BOTH {
        let script =
            "i=0; while true; do i=$((i+1)); echo $i > /count; /bin/busybox usleep 1000; done";
        let bundle = node.bundle(runtime.name()).busybox(&["sh", "-c", script]);
        let container = Container::start(&node, runtime, bundle)
            .await
            .expect("started");
        let count = container.file("count");
        until("it counts", || {
            fs::read_to_string(&count).is_ok_and(|text| !text.is_empty())
        })
        .await;
        let state = || {
            let files = snapshot::take(node.groups(), runtime.name(), None);
            let mut freezer = files
                .into_iter()
                .filter(|(key, _)| key == "cgroup.freeze" || key == "freezer.state");
            // With both versions, only the one with the controllers counts.
            freezer.next_back()
        };
        container.freeze(true).await.expect("frozen");
        let before = fs::read_to_string(&count).expect("a count");
        let frozen = state();
        // Time for thousands of counts, if it still ran.
        for _ in 0..20 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            assert_eq!(
                fs::read_to_string(&count).expect("a count"),
                before,
                "{runtime:?}"
            );
        }
        container.freeze(false).await.expect("thawed");
        until("it goes on", || {
            fs::read_to_string(&count).is_ok_and(|text| !text.is_empty() && text != before)
        })
        .await;
        states.push((frozen, state()));
        container.end().await;
    }
    assert_eq!(
        states[0], states[1],
        "the freezer's files, of runc and of sampan"
    );
    node.leaves_nothing().await;
}

/// A container that may write to its groups makes one of its own, and its end removes both.
#[tokio::test]
async fn groups_inside_of_a_container_are_removed_with_it() {
    if !may_run() || !has_runc() {
        return;
    }
    let node = Node::new().await;
    let mut made = Vec::new();
    for runtime in BOTH {
        let script = "for d in /sys/fs/cgroup /sys/fs/cgroup/memory /sys/fs/cgroup/pids; do
                [ -e $d/cgroup.procs ] && /bin/busybox mkdir $d/inner && echo 0 > $d/inner/cgroup.procs && echo $d
            done > /new; /bin/busybox mv /new /out; exec /bin/busybox sleep 1000000";
        let bundle = node
            .bundle(runtime.name())
            .busybox(&["sh", "-c", script])
            .mount(json!({ "destination": "/sys", "type": "tmpfs", "source": "tmpfs" }))
            .mount(json!({
                "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
                "options": ["nosuid", "noexec", "nodev", "rw"],
            }))
            .namespace("cgroup");
        let container = Container::start(&node, runtime, bundle)
            .await
            .expect("started");
        let out = container.file("out");
        until("the groups are made", || out.exists()).await;
        made.push(fs::read_to_string(out).expect("it is there"));
        container.end().await;
    }
    assert!(!made[0].is_empty(), "runc's container makes groups");
    assert_eq!(
        made[0], made[1],
        "groups of runc's container, and of sampan's"
    );
    node.leaves_nothing().await;
}

/// What is measured is what the kernel counts.
#[tokio::test]
async fn statistics_have_the_limits_and_the_use() {
    if !may_run() {
        return;
    }
    let node = Node::new().await;
    let resources = json!({ "memory": { "limit": 64 * MIB }, "pids": { "limit": 50 } });
    let bundle = node
        .bundle("c")
        .busybox(&["sleep", "1000000"])
        .resources(resources);
    let container = Container::start(&node, Runtime::Sampan, bundle)
        .await
        .expect("started");
    let request = StatsRequest {
        id: "c".to_owned(),
        ..StatsRequest::default()
    };
    let shim = container.shim().expect("it is the shim's");
    let stats = shim
        .client()
        .stats(Context::default(), &request)
        .await
        .expect("stats");
    let bytes = &stats.stats.value;
    let (limit, pids, current, memory, cpu) = if Environment::current().is_version_2() {
        let stats = Metrics2::parse_from_bytes(bytes).expect("metrics of version 2");
        (
            stats.memory.usage_limit,
            stats.pids.limit,
            stats.pids.current,
            stats.memory.usage,
            stats.cpu.usage_usec,
        )
    } else {
        let stats = Metrics1::parse_from_bytes(bytes).expect("metrics of version 1");
        (
            stats.memory.usage.limit,
            stats.pids.limit,
            stats.pids.current,
            stats.memory.usage.usage,
            stats.cpu.usage.total,
        )
    };
    assert_eq!((limit, pids, current), (64 << 20, 50, 1));
    assert!(memory > 0 && memory <= limit, "{memory}");
    assert!(cpu > 0);
    container.end().await;
    node.leaves_nothing().await;
}

pub(crate) fn reload() {
    let reload = Command::new("systemctl").arg("daemon-reload").status();
    assert!(reload.expect("systemctl starts").success());
}
