//! The rows of the comparison: bundles with one thing changed.

use serde_json::{Value, json};

use crate::apparmor;
use crate::bundle::{Change, SECCOMP};
use crate::facts::Outcome;
use crate::reasons::{ADDED, Reason, reason, unexplained};

/// One bundle under both.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) change: Change,
    pub(crate) expected: Expected,
    /// Differences of this row alone.
    pub(crate) reasons: &'static [Reason],
    /// The probe is added to a container that runs.
    pub(crate) added: bool,
}

pub(crate) enum Expected {
    Same,
    /// Both refuse it, and the shim says these words.
    Refused(&'static [&'static str]),
}

impl Row {
    /// Everything that is wrong with what became of it under the shim and under runc. Differences may be there for these
    /// reasons, and for those of the row.
    pub(crate) fn judge(
        &self,
        here: Outcome,
        there: Outcome,
        reasons: &[&[Reason]],
    ) -> Vec<String> {
        match (&self.expected, here, there) {
            (Expected::Same, Outcome::Ran(here), Outcome::Ran(there)) => {
                let mut all = reasons.to_vec();
                all.push(self.reasons);
                unexplained(&here, &there, &all)
            }
            (Expected::Refused(words), Outcome::Refused(here), Outcome::Refused(_)) => {
                let unsaid = words.iter().filter(|word| !here.contains(**word));
                unsaid
                    .map(|word| format!("the refusal does not say \"{word}\": {here}"))
                    .collect()
            }
            (_, here, there) => vec![format!("shim: {here}; runc: {there}")],
        }
    }
}

fn same(name: &'static str, change: Change) -> Row {
    Row {
        name,
        change,
        expected: Expected::Same,
        reasons: &[],
        added: false,
    }
}

fn refused(name: &'static str, change: Change, words: &'static [&'static str]) -> Row {
    Row {
        expected: Expected::Refused(words),
        ..same(name, change)
    }
}

fn user(config: &mut Value) {
    config["process"]["user"] = json!({ "uid": 1000, "gid": 2000, "additionalGids": [2000, 3000] });
}

fn seccomp(config: &mut Value) {
    config["linux"]["seccomp"] = serde_json::from_str(SECCOMP).expect("a profile");
}

fn no_new_privileges(config: &mut Value) {
    config["process"]["noNewPrivileges"] = json!(true);
}

fn capabilities(config: &mut Value, names: &[&str], inheritable: &[&str], ambient: &[&str]) {
    config["process"]["capabilities"] = json!({
        "bounding": names, "effective": names, "permitted": names, "inheritable": inheritable, "ambient": ambient,
    });
}

fn namespace(config: &mut Value, namespace: Value) {
    let namespaces = config["linux"]["namespaces"].as_array_mut();
    namespaces.expect("there").push(namespace);
}

/// User, groups, capabilities, limits.
pub(crate) fn privileges() -> Vec<Row> {
    vec![
        same("defaults", |_| {}),
        same("a user", user),
        same("no supplementary groups", |config| {
            config["process"]["user"] = json!({ "uid": 0, "gid": 0 });
        }),
        same("an empty list of supplementary groups", |config| {
            config["process"]["user"] = json!({ "uid": 1000, "gid": 1000, "additionalGids": [] });
        }),
        same("no capabilities", |config| {
            capabilities(config, &[], &[], &[]);
        }),
        same("capabilities are left out", |config| {
            config["process"]["capabilities"] = json!({});
        }),
        same("one capability", |config| {
            capabilities(config, &["CAP_CHOWN"], &[], &[]);
        }),
        same("inheritable capabilities", |config| {
            capabilities(config, &["CAP_CHOWN", "CAP_KILL"], &["CAP_KILL"], &[]);
        }),
        same("ambient capabilities of a user", |config| {
            user(config);
            let one = ["CAP_NET_BIND_SERVICE"];
            capabilities(config, &one, &one, &one);
        }),
        same("a user without capabilities", |config| {
            user(config);
            capabilities(config, &[], &[], &[]);
        }),
        same("no new privileges", no_new_privileges),
        same("no new privileges, for a user", |config| {
            user(config);
            no_new_privileges(config);
        }),
        same("new privileges are allowed by name", |config| {
            config["process"]["noNewPrivileges"] = json!(false);
            seccomp(config);
        }),
        same("a mask of file modes", |config| {
            config["process"]["user"]["umask"] = json!(0o027);
        }),
        same("a higher out-of-memory score", |config| {
            config["process"]["oomScoreAdj"] = json!(123);
        }),
        same("no out-of-memory score", |config| {
            config["process"]
                .as_object_mut()
                .expect("there")
                .remove("oomScoreAdj");
        }),
        same("resource limits", |config| {
            config["process"]["rlimits"] = json!([
                { "type": "RLIMIT_NOFILE", "soft": 100, "hard": 200 },
                { "type": "RLIMIT_NPROC", "soft": 5000, "hard": 6000 },
                { "type": "RLIMIT_CORE", "soft": 0, "hard": 0 },
                { "type": "RLIMIT_STACK", "soft": 1 << 20, "hard": 2 << 20 },
                { "type": "RLIMIT_MEMLOCK", "soft": 1 << 16, "hard": 1 << 16 },
            ]);
        }),
        same("a scheduler", |config| {
            config["process"]["scheduler"] = json!({ "policy": "SCHED_BATCH", "nice": 5 });
        }),
        same("a priority of input and output", |config| {
            config["process"]["ioPriority"] = json!({ "class": "IOPRIO_CLASS_BE", "priority": 7 });
        }),
        same("a personality", |config| {
            config["linux"]["personality"] = json!({ "domain": "LINUX32" });
        }),
    ]
}

/// Seccomp, AppArmor, SELinux.
pub(crate) fn filters() -> Vec<Row> {
    const REFUSES_FILTERS: &[Reason] = &[reason(
        "call.unknown",
        "error: Operation not permitted",
        "error: Function not implemented",
        "a profile that refuses `seccomp` lets no second filter be loaded",
    )];
    let mut rows = vec![
        same("the runtime's default seccomp profile", seccomp),
        same("... for a user", |config| {
            user(config);
            seccomp(config);
        }),
        same("... without new privileges", |config| {
            seccomp(config);
            no_new_privileges(config);
        }),
        same(
            "... for a user without new privileges and capabilities",
            |config| {
                user(config);
                seccomp(config);
                no_new_privileges(config);
                capabilities(config, &[], &[], &[]);
            },
        ),
        same("a localhost profile", |config| {
            config["linux"]["seccomp"] = json!({
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [
                    { "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13 },
                    { "names": ["keyctl", "bpf", "no_such_call"], "action": "SCMP_ACT_ERRNO" },
                ],
            });
        }),
        same("a localhost profile with flags", |config| {
            config["linux"]["seccomp"] = json!({
                "defaultAction": "SCMP_ACT_LOG",
                "flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"],
                "syscalls": [{ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 }],
            });
        }),
        Row {
            reasons: REFUSES_FILTERS,
            ..same("a localhost profile that refuses filters", |config| {
                seccomp(config);
                let names = config["linux"]["seccomp"]["syscalls"][0]["names"].as_array_mut();
                names.expect("names").retain(|name| name != "seccomp");
            })
        },
        same("a localhost profile that drops no capabilities", |config| {
            seccomp(config);
            no_new_privileges(config);
            let names = config["linux"]["seccomp"]["syscalls"][0]["names"].as_array_mut();
            names.expect("names").retain(|name| name != "capset");
        }),
        refused(
            "a profile of AppArmor that is not there",
            |config| config["process"]["apparmorProfile"] = json!("sampan-no-such-profile"),
            &["AppArmor", "\"sampan-no-such-profile\""],
        ),
    ];
    if apparmor::is_enabled() {
        rows.push(same("a profile of AppArmor", |config| {
            config["process"]["apparmorProfile"] = json!(apparmor::NAME);
        }));
        rows.push(same(
            "... for a user without new privileges, filtered",
            |config| {
                config["process"]["apparmorProfile"] = json!(apparmor::NAME);
                user(config);
                no_new_privileges(config);
                seccomp(config);
            },
        ));
        rows.push(same("AppArmor unconfined", |config| {
            config["process"]["apparmorProfile"] = json!("unconfined");
        }));
    }
    if !has_selinux() {
        rows.push(refused(
            "a label of SELinux where there is none",
            |config| {
                config["process"]["selinuxLabel"] = json!("system_u:system_r:container_t:s0:c1,c2");
            },
            &["SELinux", "\"system_u:system_r:container_t:s0:c1,c2\""],
        ));
        rows.push(refused(
            "a label of mounts where there is no SELinux",
            |config| config["linux"]["mountLabel"] = json!("system_u:object_r:container_file_t:s0"),
            &["SELinux", "\"system_u:object_r:container_file_t:s0\""],
        ));
    }
    rows
}

fn has_selinux() -> bool {
    std::path::Path::new("/sys/fs/selinux/enforce").exists()
}

/// Files, devices, names, kernel parameters.
pub(crate) fn views() -> Vec<Row> {
    vec![
        same("a read-only root", |config| {
            config["root"]["readonly"] = json!(true);
        }),
        same("no masked and no read-only paths", |config| {
            config["linux"]["maskedPaths"] = json!([]);
            config["linux"]["readonlyPaths"] = json!([]);
        }),
        same("kernel parameters", |config| {
            config["linux"]["sysctl"] = json!({
                "net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647",
                "net.core.somaxconn": "100", "kernel.shm_rmid_forced": "1", "kernel.msgmax": "4096",
                "fs.mqueue.msg_max": "20",
            });
        }),
        refused(
            "a kernel parameter of the node",
            |config| config["linux"]["sysctl"] = json!({ "kernel.pid_max": "40000" }),
            &["kernel.pid_max"],
        ),
        same("a domain name", |config| {
            config["domainname"] = json!("example");
        }),
        same("a control group namespace", |config| {
            namespace(config, json!({ "type": "cgroup" }));
        }),
        same("devices", |config| {
            config["linux"]["devices"] = json!([
                { "path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 5, "gid": 6 },
            ]);
            let rule =
                json!({ "allow": true, "type": "c", "major": 10, "minor": 229, "access": "rwm" });
            let rules = config["linux"]["resources"]["devices"].as_array_mut();
            rules.expect("there").push(rule);
        }),
        same("an environment without a path", |config| {
            config["process"]["env"] = json!(["A=", "B=c=d"]);
        }),
        same("a home", |config| {
            config["process"]["env"] = json!(["PATH=/bin", "HOME=/tmp"]);
        }),
        same("a program that is found in the path", |config| {
            config["process"]["args"] = json!(["perl", "/probe.pl"]);
        }),
        same("a working directory", |config| {
            config["process"]["cwd"] = json!("/etc");
        }),
    ]
}

/// Programs that are added to a container that runs.
pub(crate) fn added() -> Vec<Row> {
    let rows = [
        same("defaults", |_| {}),
        same("a user", user),
        same("no supplementary groups", |config| {
            config["process"]["user"] = json!({ "uid": 1000, "gid": 1000 });
        }),
        same("ambient capabilities of a user", |config| {
            user(config);
            let one = ["CAP_NET_BIND_SERVICE"];
            capabilities(config, &one, &one, &one);
        }),
        same("no new privileges", no_new_privileges),
        same("the runtime's default seccomp profile", seccomp),
        same("... for a user without new privileges", |config| {
            user(config);
            seccomp(config);
            no_new_privileges(config);
        }),
        same("a read-only root", |config| {
            config["root"]["readonly"] = json!(true);
        }),
    ];
    let labelled = apparmor::is_enabled().then(|| {
        same("a profile of AppArmor", |config| {
            config["process"]["apparmorProfile"] = json!(apparmor::NAME);
        })
    });
    let row = |row| Row {
        added: true,
        reasons: ADDED,
        ..row
    };
    rows.into_iter().chain(labelled).map(row).collect()
}

/// A pod that asks for nothing, on a cluster where that is the runtime's default profile.
pub(crate) fn documented() -> Row {
    same("the runtime's default seccomp profile", seccomp)
}

/// Functions, beside a program of runc's with the same bundle.
pub(crate) fn functions() -> Vec<Row> {
    let mut rows = privileges();
    rows.retain(|row| !["a scheduler", "a personality"].contains(&row.name));
    let all = filters().into_iter();
    rows.extend(all.filter(|row| !row.name.contains("refuses filters")));
    rows
}
