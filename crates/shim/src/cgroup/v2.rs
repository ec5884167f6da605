//! Resources as files of a group of version 2
//! ([kernel](https://docs.kernel.org/admin-guide/cgroup-v2.html)).

use super::resources::{BlockIo, Cpu, Memory, Resources, ThrottleDevice};
use super::settings::{Setting, ValueError};

/// The kernel's default of `cpu.max`, in microseconds.
pub(super) const DEFAULT_PERIOD: u64 = 100_000;

/// The settings, in the order in which they are written.
pub(super) fn settings(resources: &Resources) -> Result<Vec<Setting>, ValueError> {
    let mut settings = Vec::new();
    if let Some(limit) = resources.pids.limit {
        settings.push(Setting::new("pids.max", pids(limit)));
    }
    memory(&resources.memory, &mut settings)?;
    block_io(&resources.block_io, &mut settings)?;
    cpu(&resources.cpu, &mut settings);
    for (file, list) in [
        ("cpuset.cpus", &resources.cpu.cpus),
        ("cpuset.mems", &resources.cpu.mems),
    ] {
        if !list.is_empty() {
            settings.push(Setting::new(file, list));
        }
    }
    for limit in &resources.hugepage_limits {
        let file = format!("hugetlb.{}.max", limit.page_size);
        settings.push(Setting::new(&file, limit.limit));
        let file = format!("hugetlb.{}.rsvd.max", limit.page_size);
        settings.push(Setting::new(&file, limit.limit).if_there());
    }
    settings.extend(rdma(resources));
    for (name, value) in &resources.unified {
        check_unified(name)?;
        settings.push(Setting::new(name, value.trim()));
    }
    Ok(settings)
}

/// The kernel's spelling of a limit of processes. systemd takes no 0, so 1 stands for it everywhere, as with runc.
pub(super) fn pids(limit: i64) -> String {
    match limit {
        0 => "1".to_owned(),
        1.. => limit.to_string(),
        _ => "max".to_owned(),
    }
}

/// Devices for remote direct memory access.
fn rdma(resources: &Resources) -> impl Iterator<Item = Setting> {
    resources.rdma.iter().map(|(device, limits)| {
        let mut value = device.clone();
        for (name, limit) in [
            ("hca_handle", limits.hca_handles),
            ("hca_object", limits.hca_objects),
        ] {
            if let Some(limit) = limit {
                value = format!("{value} {name}={limit}");
            }
        }
        Setting::new("rdma.max", value)
    })
}

/// The shares of version 1 (2 to 262144, default 1024) as a weight (1 to 10000, default 100), by the curve through
/// minimum, default and maximum that runc 1.3 and later use
/// ([KEP-2254](https://github.com/kubernetes/enhancements/tree/master/keps/sig-node/2254-cgroup-v2)).
/// `None` for 0, which is unset.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "shares are at most 262144 here, and the result is from 1 to 10000"
)]
pub(super) fn weight(shares: u64) -> Option<u64> {
    match shares {
        0 => None,
        1..=2 => Some(1),
        262_144.. => Some(10_000),
        _ => {
            let log = (shares as f64).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            Some(10_f64.powf(exponent).ceil() as u64)
        }
    }
}

/// The limit of swap alone: -1 for none, `None` for what stays as it is. Specifications give the sum with memory.
pub(super) fn swap(memory: &Memory) -> Result<Option<i64>, ValueError> {
    let (limit, swap) = (memory.limit.unwrap_or(0), memory.swap.unwrap_or(0));
    match (limit, swap) {
        // Without a limit of memory there is none of swap either.
        (-1, 0) | (_, -1) => Ok(Some(-1)),
        (_, 0) => Ok(None),
        (-1, swap) => Ok(Some(swap)),
        (0, swap) => Err(ValueError::SwapAlone(swap)),
        (..0, _) => Err(ValueError::Memory(limit)),
        (memory, swap) if swap < memory => Err(ValueError::SwapBelowMemory { swap, memory }),
        (memory, swap) => Ok(Some(swap - memory)),
    }
}

/// The kernel's spelling of a number of bytes; `None` for 0, which is unset.
fn bytes(limit: Option<i64>) -> Result<Option<String>, ValueError> {
    match limit {
        None | Some(0) => Ok(None),
        Some(-1) => Ok(Some("max".to_owned())),
        Some(limit @ ..0) => Err(ValueError::Memory(limit)),
        Some(limit) => Ok(Some(limit.to_string())),
    }
}

fn memory(memory: &Memory, settings: &mut Vec<Setting>) -> Result<(), ValueError> {
    if let Some(limit) = swap(memory)? {
        let value = if limit == -1 {
            "max".to_owned()
        } else {
            limit.to_string()
        };
        let setting = Setting::new("memory.swap.max", value);
        // A kernel without swap has no file, and neither of these values makes a difference.
        settings.push(if limit <= 0 {
            setting.if_there()
        } else {
            setting
        });
    }
    for (file, limit) in [
        ("memory.max", memory.limit),
        ("memory.low", memory.reservation),
    ] {
        if let Some(value) = bytes(limit)? {
            settings.push(Setting::new(file, value));
        }
    }
    Ok(())
}

fn cpu(cpu: &Cpu, settings: &mut Vec<Setting>) {
    let mut set = |file: &str, value: String| settings.push(Setting::new(file, value));
    if let Some(idle) = cpu.idle {
        set("cpu.idle", idle.to_string());
    }
    if let Some(weight) = cpu.shares.and_then(weight) {
        set("cpu.weight", weight.to_string());
    }
    if let Some(burst) = cpu.burst {
        set("cpu.max.burst", burst.to_string());
    }
    let (quota, period) = (cpu.quota.unwrap_or(0), cpu.period.unwrap_or(0));
    if quota != 0 || period != 0 {
        let quota = if quota > 0 {
            quota.to_string()
        } else {
            "max".to_owned()
        };
        let period = if period == 0 { DEFAULT_PERIOD } else { period };
        set("cpu.max", format!("{quota} {period}"));
    }
}

fn block_io(block_io: &BlockIo, settings: &mut Vec<Setting>) -> Result<(), ValueError> {
    if let Some(weight) = block_io.weight.filter(|weight| *weight != 0) {
        let setting = Setting::new("io.bfq.weight", weight);
        settings.push(setting.or("io.weight", io_weight(weight)?));
    }
    for device in &block_io.weight_device {
        if let Some(weight) = device.weight.filter(|weight| *weight != 0) {
            let value = format!("{}:{} {weight}", device.major, device.minor);
            // Weights of devices are a matter of the BFQ scheduler, and without it have no meaning.
            settings.push(Setting::new("io.bfq.weight", value).if_there());
        }
    }
    let names = ["rbps", "wbps", "riops", "wiops"];
    for (name, ThrottleDevice { major, minor, rate }) in block_io.throttles(names) {
        let value = format!("{major}:{minor} {name}={rate}");
        settings.push(Setting::new("io.max", value));
    }
    Ok(())
}

/// The weight of version 1 (10 to 1000) as one of version 2 (1 to 10000), linear as with runc.
pub(super) fn io_weight(weight: u16) -> Result<u64, ValueError> {
    if !(10..=1000).contains(&weight) {
        return Err(ValueError::Weight(weight));
    }
    Ok(1 + (u64::from(weight) - 10) * 9999 / 990)
}

/// Refuses a unified setting that names no file of a controller.
pub(super) fn check_unified(name: &str) -> Result<(), ValueError> {
    let has_controller = name.find('.').is_some_and(|end| end > 0);
    if has_controller && !name.contains('/') {
        return Ok(());
    }
    Err(ValueError::UnifiedName(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The settings as lines `FILE VALUE`; alternatives are joined by `or`, and what may be missing ends with `?`.
    fn lines(resources: &str) -> Result<Vec<String>, ValueError> {
        let resources = serde_json::from_str(resources).expect("resources");
        Ok(crate::cgroup::settings::lines(&settings(&resources)?))
    }

    fn check(resources: &str, expected: &[&str]) {
        let lines = lines(resources).expect("settings");
        assert_eq!(lines, expected, "{resources}");
    }

    #[test]
    fn resources_are_the_files_that_runc_writes() {
        check("{}", &[]);
        check(
            r#"{"memory":{"limit":67108864,"swap":67108864}}"#,
            &["memory.swap.max 0 ?", "memory.max 67108864"],
        );
        check(
            r#"{"memory":{"limit":64,"swap":96,"reservation":32}}"#,
            &["memory.swap.max 32", "memory.max 64", "memory.low 32"],
        );
        check(
            r#"{"memory":{"limit":-1}}"#,
            &["memory.swap.max max ?", "memory.max max"],
        );
        check(r#"{"memory":{"limit":64}}"#, &["memory.max 64"]);
        check(
            r#"{"memory":{"limit":-1,"swap":96}}"#,
            &["memory.swap.max 96", "memory.max max"],
        );
        // Version 2 has neither, and runc writes neither.
        check(
            r#"{"memory":{"swappiness":10,"disableOOMKiller":true,"kernel":7}}"#,
            &[],
        );
        check(r#"{"cpu":{"shares":1024}}"#, &["cpu.weight 100"]);
        check(r#"{"cpu":{"shares":0}}"#, &[]);
        check(
            r#"{"cpu":{"quota":50000,"period":100000}}"#,
            &["cpu.max 50000 100000"],
        );
        check(r#"{"cpu":{"quota":50000}}"#, &["cpu.max 50000 100000"]);
        check(r#"{"cpu":{"period":50000}}"#, &["cpu.max max 50000"]);
        check(
            r#"{"cpu":{"quota":-1,"period":50000}}"#,
            &["cpu.max max 50000"],
        );
        check(
            r#"{"cpu":{"idle":1,"burst":10}}"#,
            &["cpu.idle 1", "cpu.max.burst 10"],
        );
        check(
            r#"{"cpu":{"cpus":"0-1","mems":"0"}}"#,
            &["cpuset.cpus 0-1", "cpuset.mems 0"],
        );
        check(r#"{"pids":{"limit":0}}"#, &["pids.max 1"]);
        check(r#"{"pids":{"limit":-1}}"#, &["pids.max max"]);
        check(r#"{"pids":{"limit":100}}"#, &["pids.max 100"]);
        check(
            r#"{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}"#,
            &["hugetlb.2MB.max 4194304", "hugetlb.2MB.rsvd.max 4194304 ?"],
        );
        check(
            r#"{"blockIO":{"weight":500,"weightDevice":[{"major":8,"minor":0,"weight":100}],
                "throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1}],
                "throttleWriteIOPSDevice":[{"major":8,"minor":0,"rate":2}]}}"#,
            &[
                "io.bfq.weight 500 or io.weight 4950",
                "io.bfq.weight 8:0 100 ?",
                "io.max 8:0 rbps=1",
                "io.max 8:0 wiops=2",
            ],
        );
        check(
            r#"{"rdma":{"mlx5_0":{"hcaHandles":3,"hcaObjects":4}}}"#,
            &["rdma.max mlx5_0 hca_handle=3 hca_object=4"],
        );
        check(
            r#"{"unified":{"memory.oom.group":"1","memory.high":" 5 ","cgroup.max.depth":"2"}}"#,
            &["cgroup.max.depth 2", "memory.high 5", "memory.oom.group 1"],
        );
    }

    #[test]
    fn shares_become_weights_by_a_curve_through_the_defaults() {
        let check = |shares, expected| assert_eq!(weight(shares), expected, "{shares}");
        check(0, None);
        check(1, Some(1));
        check(2, Some(1));
        check(102, Some(17));
        check(512, Some(59));
        check(1024, Some(100));
        check(2048, Some(174));
        check(262_143, Some(10_000));
        check(262_144, Some(10_000));
        check(u64::MAX, Some(10_000));
    }

    #[test]
    fn values_that_contradict_each_other_are_refused() {
        fn check(resources: &str, expected: ValueError) {
            assert_eq!(lines(resources), Err(expected), "{resources}");
        }
        check(r#"{"memory":{"swap":64}}"#, ValueError::SwapAlone(64));
        check(
            r#"{"memory":{"limit":64,"swap":32}}"#,
            ValueError::SwapBelowMemory {
                swap: 32,
                memory: 64,
            },
        );
        check(r#"{"memory":{"limit":-2}}"#, ValueError::Memory(-2));
        check(r#"{"blockIO":{"weight":5}}"#, ValueError::Weight(5));
        for name in ["memory", "memory/max.x", ".max"] {
            check(
                &format!(r#"{{"unified":{{"{name}":"1"}}}}"#),
                ValueError::UnifiedName(name.to_owned()),
            );
        }
    }
}
