//! A container's limits, as the kernel and systemd report them: files of its groups and properties of its scope.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::groups::{Groups, hierarchies};

/// Values by the names of files and properties.
pub(crate) type Snapshot = BTreeMap<String, String>;

/// Files that hold limits, by beginning and end; the rest of a group's files count and report.
const FILES: &[(&str, &str)] = &[
    ("memory.", ".max"),
    ("memory.", ".high"),
    ("memory.", ".low"),
    ("memory.", ".min"),
    ("memory.oom", ".group"),
    ("memory.", "limit_in_bytes"),
    ("memory.", ".swappiness"),
    ("cpu.", ".max"),
    ("cpu.", ".weight"),
    ("cpu.", ".idle"),
    ("cpu.", ".max.burst"),
    ("cpu.", ".shares"),
    ("cpu.", "_us"),
    ("cpuset.", ".cpus"),
    ("cpuset.", ".mems"),
    ("cpuset.", ".partition"),
    ("pids.", ".max"),
    ("hugetlb.", ".max"),
    ("hugetlb.", ".limit_in_bytes"),
    ("io.", ".max"),
    ("io.", ".weight"),
    ("blkio.", "weight"),
    ("blkio.throttle.", "_device"),
    ("misc.", ".max"),
    ("cgroup.", ".freeze"),
    ("freezer.", ".state"),
    ("devices.", ".list"),
];

/// Files of those patterns that say the same in another unit, or count.
const LEFT_OUT: &[&str] = &["memory.kmem", "memory.zswap", "cpu.cfs_burst_stat"];

/// Properties of a scope that hold limits, or say how it was made.
const PROPERTIES: &[&str] = &[
    "AllowedCPUs",
    "AllowedMemoryNodes",
    "CPUQuotaPerSecUSec",
    "CPUQuotaPeriodUSec",
    "CPUWeight",
    "CollectMode",
    "Delegate",
    "DeviceAllow",
    "DevicePolicy",
    "IODeviceWeight",
    "IOReadBandwidthMax",
    "IOWeight",
    "MemoryHigh",
    "MemoryLow",
    "MemoryMax",
    "MemoryMin",
    "MemorySwapMax",
    "OOMPolicy",
    "Slice",
    "TasksMax",
];

/// Reads what is there of a container.
pub(crate) fn take(groups: &Groups, id: &str, disk: Option<(u64, u64)>) -> Snapshot {
    let mut found = Snapshot::new();
    for root in hierarchies() {
        let folder = root.join(groups.folder_of(id));
        if folder.is_dir() {
            read(&folder, &mut found);
        }
    }
    // An idle group has no weight of its own: Linux 6.1 reports 0, and 6.12 reports 1.
    if found.get("cpu.idle").is_some_and(|idle| idle == "1")
        && let Some(weight) = found.get_mut("cpu.weight")
        && ["0", "1"].contains(&weight.as_str())
    {
        "0 or 1".clone_into(weight);
    }
    if let Some(scope) = groups.scope_of(id) {
        let slice = groups.slice();
        for (name, value) in properties(&scope) {
            found.insert(name, value.replace(&slice, "SLICE"));
        }
    }
    if let Some((major, minor)) = disk {
        for value in found.values_mut() {
            *value = value.replace(&format!("{major}:{minor} "), "DISK ");
        }
    }
    found
}

fn read(folder: &Path, found: &mut Snapshot) {
    for entry in fs::read_dir(folder).expect("a group") {
        let name = entry.expect("an entry").file_name();
        let name = name.to_str().expect("names are ASCII");
        if !is_limit(name) {
            continue;
        }
        // A file may be there that cannot be read, such as that of a controller's root.
        if let Ok(text) = fs::read_to_string(folder.join(name)) {
            let text = text
                .split('\n')
                .map(str::trim)
                .filter(|line| !line.is_empty());
            found.insert(name.to_owned(), text.collect::<Vec<_>>().join("; "));
        }
    }
}

fn is_limit(name: &str) -> bool {
    let matches = |(begin, end): &(&str, &str)| {
        // The dot between them is one.
        let rest = name.strip_prefix(begin.trim_end_matches('.'));
        rest.is_some_and(|rest| rest.ends_with(end))
    };
    FILES.iter().any(matches) && !LEFT_OUT.iter().any(|left| name.starts_with(left))
}

/// The properties of a unit as `systemctl show` writes them.
fn properties(unit: &str) -> Snapshot {
    let output = Command::new("systemctl")
        .args(["show", unit, "--property", &PROPERTIES.join(",")])
        .output()
        .expect("systemctl starts");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let lines = text.lines().filter_map(|line| line.split_once('='));
    // A list comes as several lines of one name, in no order.
    let mut lists: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in lines {
        lists
            .entry(name.to_owned())
            .or_default()
            .push(value.to_owned());
    }
    let joined = lists.into_iter().map(|(name, mut values)| {
        values.sort();
        (name, values.join("; "))
    });
    joined.collect()
}

#[test]
fn files_of_limits_are_told_from_those_that_count() {
    fn check(name: &str, expected: bool) {
        assert_eq!(is_limit(name), expected, "{name}");
    }
    check("memory.max", true);
    check("memory.swap.max", true);
    check("memory.oom.group", true);
    check("memory.current", false);
    check("memory.memsw.limit_in_bytes", true);
    check("memory.kmem.limit_in_bytes", false);
    check("cpu.max", true);
    check("cpu.cfs_quota_us", true);
    check("cpu.stat", false);
    check("hugetlb.2MB.max", true);
    check("hugetlb.2MB.rsvd.max", true);
    check("hugetlb.2MB.events", false);
    check("blkio.bfq.weight", true);
    check("blkio.throttle.read_bps_device", true);
}
