//! The container's specification as libcontainer gets it: CRI's, with the pod's namespaces, and for a
//! function with less than it asks for.

use std::fs;
use std::num::NonZeroU16;
use std::path::Path;

use oci_spec::OciSpecError;
use oci_spec::runtime::{Capabilities, LinuxCapabilities, LinuxSeccomp, Mount, Spec};
use sampan_spec::{Function, annotations};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::ChildError;
use crate::pod::namespaces::Pod;

/// Kinds of mounts that a function cannot use, because no program runs beside it. Each costs start time, and gives
/// files of the kernel to code that breaks out of WebAssembly.
const NO_FUNCTIONS: [&str; 5] = ["cgroup", "cgroup2", "devpts", "mqueue", "sysfs"];

/// Reads the specification from a bundle: once for a container, in the child that makes it.
pub(super) fn load(bundle: &Path) -> Result<Spec, ChildError> {
    read(bundle)
}

/// Reads the seccomp profile from a bundle, which is all that a program that is added needs of it.
pub(super) fn seccomp(bundle: &Path) -> Result<Option<LinuxSeccomp>, ChildError> {
    #[derive(Deserialize)]
    struct Config {
        linux: Option<Linux>,
    }
    #[derive(Deserialize)]
    struct Linux {
        seccomp: Option<LinuxSeccomp>,
    }
    let config: Config = read(bundle)?;
    Ok(config.linux.and_then(|linux| linux.seccomp))
}

fn read<T: DeserializeOwned>(bundle: &Path) -> Result<T, ChildError> {
    let read = || -> Result<T, OciSpecError> {
        let bytes = fs::read(bundle.join("config.json"))?;
        Ok(serde_json::from_slice(&bytes)?)
    };
    read().map_err(ChildError::Spec)
}

/// Prepares the specification for libcontainer. The supervisor has made the control group `group`, and set its limits.
pub(super) fn prepare(
    spec: &mut Spec,
    group: &Path,
    rootfs: &Path,
    pod: Option<&Pod>,
    is_function: bool,
    has_terminal: bool,
) -> Result<(), ChildError> {
    if let Some(pod) = pod {
        pod.give(spec, !is_function).map_err(ChildError::Pod)?;
    }
    let mut root = spec.root().clone().ok_or(ChildError::Missing("root"))?;
    root.set_path(rootfs.to_owned());
    if is_function {
        root.set_readonly(Some(true));
    }
    spec.set_root(Some(root));
    if is_function {
        let process = spec.process_mut().as_mut();
        let process = process.ok_or(ChildError::Missing("process"))?;
        process.set_capabilities(Some(no_capabilities()));
        process.set_no_new_privileges(Some(true));
        process.set_terminal(Some(has_terminal));
        // Its root has no folders of the image's, and it does not look into its root.
        process.set_cwd("/".into());
        if let Some(mounts) = spec.mounts_mut() {
            mounts.retain(|mount| is_for_functions(mount, has_terminal));
        }
    }
    let linux = spec.linux_mut().as_mut();
    let linux = linux.ok_or(ChildError::Missing("linux"))?;
    linux.set_cgroups_path(Some(group.to_owned()));
    linux.set_resources(None);
    Ok(())
}

fn is_for_functions(mount: &Mount, has_terminal: bool) -> bool {
    let kind = mount.typ().as_deref().unwrap_or_default();
    if has_terminal && kind == "devpts" {
        return true;
    }
    !NO_FUNCTIONS.contains(&kind) && mount.destination() != Path::new("/dev/shm")
}

/// How many processors a container may keep busy: what its control group allows, of those that there are. A part of a
/// processor counts as one, or some of what is allowed could never be used.
pub(super) fn processors(spec: &Spec) -> usize {
    let there = std::thread::available_parallelism().map_or(1, usize::from);
    let resources = spec
        .linux()
        .as_ref()
        .and_then(|linux| linux.resources().as_ref());
    let Some(cpu) = resources.and_then(|resources| resources.cpu().as_ref()) else {
        return there;
    };
    let quota = || {
        let quota = u64::try_from(cpu.quota()?).ok()?;
        let period = cpu.period().filter(|period| *period > 0)?;
        usize::try_from(quota.div_ceil(period)).ok()
    };
    let set = cpu.cpus().as_deref().and_then(count_processors);
    let limit = quota().into_iter().chain(set).min();
    limit.map_or(there, |limit| limit.clamp(1, there))
}

/// How many processors a list such as `0-2,7` has; `None` for an empty one, which allows all.
fn count_processors(list: &str) -> Option<usize> {
    let ranges = list.trim().split(',').map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
        last.checked_sub(first)?.checked_add(1)
    });
    ranges.sum()
}

fn no_capabilities() -> LinuxCapabilities {
    let mut none = LinuxCapabilities::default();
    none.set_bounding(Some(Capabilities::new()));
    none.set_effective(Some(Capabilities::new()));
    none.set_inheritable(Some(Capabilities::new()));
    none.set_permitted(Some(Capabilities::new()));
    none.set_ambient(Some(Capabilities::new()));
    none
}

/// The port of the metrics of the container's function, from the pod's annotations.
pub(super) fn metrics_port(spec: &Spec, name: &str) -> Result<Option<NonZeroU16>, ChildError> {
    annotations::metrics_port(pairs(spec), name).map_err(ChildError::Annotation)
}

fn pairs(spec: &Spec) -> impl Iterator<Item = (&str, &str)> {
    let annotations = spec.annotations().iter().flatten();
    annotations.map(|(key, value)| (key.as_str(), value.as_str()))
}

/// What the container's process is called.
pub(super) fn program(spec: &Spec) -> Option<String> {
    let process = spec.process().as_ref();
    process.and_then(|process| process.args().as_ref()?.first().cloned())
}

/// The function that the pod's annotations and the container's process describe.
pub(super) fn function(spec: &Spec, name: &str) -> Result<Function, ChildError> {
    // One that is wrong is to be named the same way each time.
    let mut pairs: Vec<_> = pairs(spec).collect();
    pairs.sort_unstable();
    let mut function = annotations::parse(pairs, name).map_err(ChildError::Annotation)?;
    let process = spec.process().as_ref();
    let process = process.ok_or(ChildError::Missing("process"))?;
    let arguments = process.args().iter().flatten();
    function.arguments = arguments.skip(1).cloned().collect();
    let environment = process.env().iter().flatten();
    function.environment = environment
        .filter_map(|variable| variable.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Ok(function)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec() -> Spec {
        serde_json::from_value(json!({
            "ociVersion": "1.2.0",
            "root": { "path": "rootfs" },
            "process": {
                "args": ["/function.wasm", "a", "b"],
                "env": ["PATH=/bin", "GREETING=a=b", "ODD"],
                "cwd": "/",
                "user": { "uid": 7, "gid": 8 },
                "terminal": true,
                "capabilities": { "effective": ["CAP_CHOWN"], "bounding": ["CAP_CHOWN"] },
            },
            "annotations": { "sampan.dev/limits": "{\"memory\":\"64Mi\"}", "other": "x" },
            "mounts": [
                { "destination": "/proc", "type": "proc", "source": "proc" },
                { "destination": "/data", "type": "bind", "source": "/tmp", "options": ["rbind", "rw"] },
                { "destination": "/etc/config", "type": "bind", "source": "/tmp", "options": ["rbind", "ro"] },
                { "destination": "/etc/hosts", "type": "bind", "source": "/etc/hosts", "options": ["rbind"] },
                { "destination": "/dev/shm", "type": "bind", "source": "/tmp", "options": ["rbind"] },
            ],
            "linux": { "namespaces": [{ "type": "mount" }] },
        }))
        .expect("a spec")
    }

    #[test]
    fn an_added_program_has_the_seccomp_profile_of_the_bundle() {
        let check = |config: serde_json::Value, expected: bool| {
            let bundle = tempfile::tempdir().expect("a folder");
            let text = config.to_string();
            fs::write(bundle.path().join("config.json"), &text).expect("a configuration");
            let found = seccomp(bundle.path()).expect("a configuration");
            assert_eq!(found.is_some(), expected, "{text}");
        };
        let profile = json!({ "defaultAction": "SCMP_ACT_ERRNO" });
        check(json!({}), false);
        check(json!({ "linux": { "seccomp": null } }), false);
        check(json!({ "linux": { "seccomp": profile } }), true);
        assert!(seccomp(Path::new("/nonexistent")).is_err());
    }

    #[test]
    fn a_function_is_what_the_pod_and_its_process_say() {
        let function = function(&spec(), "greeter").expect("a function");
        assert_eq!(function.name.as_str(), "greeter");
        assert_eq!(function.limits.memory.bytes(), 64 << 20);
        assert_eq!(function.arguments, ["a", "b"]);
        let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        assert_eq!(
            function.environment,
            [("PATH", "/bin"), ("GREETING", "a=b")].map(pair)
        );
    }

    #[test]
    fn a_function_has_no_privileges_and_a_program_keeps_its_own() {
        fn check(is_function: bool) {
            let mut spec = spec();
            prepare(
                &mut spec,
                Path::new("/g"),
                Path::new("/r"),
                None,
                is_function,
                false,
            )
            .expect("prepared");
            let process = spec.process().as_ref().expect("there");
            let capabilities = process.capabilities().as_ref().expect("there");
            let effective = capabilities.effective().as_ref().expect("there");
            assert_eq!(effective.is_empty(), is_function);
            assert_eq!(process.no_new_privileges(), is_function.then_some(true));
            let root = spec.root().as_ref().expect("there");
            assert_eq!(
                root.readonly(),
                is_function.then_some(true).or(root.readonly())
            );
            assert_eq!(root.path(), Path::new("/r"));
        }
        check(true);
        check(false);
    }

    #[test]
    fn a_function_gets_no_mounts_that_only_programs_use() {
        fn check(is_function: bool, expected: &[&str]) {
            let mut spec = spec();
            let kernel = ["sysfs", "cgroup", "mqueue"].map(|kind| {
                let mount = json!({ "destination": format!("/kernel/{kind}"), "type": kind, "source": kind });
                serde_json::from_value::<Mount>(mount).expect("a mount")
            });
            spec.mounts_mut().as_mut().expect("there").extend(kernel);
            prepare(
                &mut spec,
                Path::new("/g"),
                Path::new("/r"),
                None,
                is_function,
                false,
            )
            .expect("prepared");
            let mounts = spec.mounts().iter().flatten();
            let found: Vec<_> = mounts
                .map(|mount| mount.destination().to_str().expect("a path"))
                .collect();
            assert_eq!(found, expected);
        }
        let all = [
            "/proc",
            "/data",
            "/etc/config",
            "/etc/hosts",
            "/dev/shm",
            "/kernel/sysfs",
            "/kernel/cgroup",
            "/kernel/mqueue",
        ];
        check(true, &all[..4]);
        check(false, &all);
    }

    #[test]
    fn lists_of_processors_are_counted() {
        let check = |list, expected| assert_eq!(count_processors(list), expected, "{list}");
        check("0", Some(1));
        check("0-3", Some(4));
        check("0-2,7,9-10\n", Some(6));
        check("", None);
        check("3-1", None);
        check("a", None);
    }

    fn there() -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }

    #[test]
    fn processors_are_those_that_the_container_may_use() {
        fn check(cpu: &serde_json::Value, expected: Option<usize>) {
            let mut spec = spec();
            let linux = json!({ "resources": { "cpu": cpu } });
            spec.set_linux(serde_json::from_value(linux).expect("resources"));
            assert_eq!(processors(&spec), expected.unwrap_or_else(there), "{cpu}");
        }
        check(&json!({}), None);
        check(&json!({ "quota": -1, "period": 100_000 }), None);
        check(&json!({ "quota": 100_000, "period": 100_000 }), Some(1));
        check(&json!({ "quota": 50_000, "period": 100_000 }), Some(1));
        check(
            &json!({ "quota": 150_000, "period": 100_000 }),
            Some(there().min(2)),
        );
        check(&json!({ "cpus": "0" }), Some(1));
        check(
            &json!({ "cpus": "0-1", "quota": 100_000, "period": 100_000 }),
            Some(1),
        );
        check(&json!({ "cpus": "" }), None);
        check(&json!({ "quota": 100_000_000, "period": 100_000 }), None);
        check(&json!({ "quota": 100_000, "period": 0 }), None);
    }
}
