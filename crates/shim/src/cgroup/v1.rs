//! Resources as files of the groups of version 1
//! ([kernel](https://docs.kernel.org/admin-guide/cgroup-v1/index.html)).

use super::resources::{BlockIo, Cpu, Memory, Resources, ThrottleDevice};
use super::settings::{Setting, ValueError};
use super::v2::pids;

/// What the kernel takes for `cpu.shares`; it would change other values without a word.
const SHARES: std::ops::RangeInclusive<u64> = 2..=262_144;

/// The settings, in the order in which they are written.
pub(super) fn settings(resources: &Resources) -> Result<Vec<Setting>, ValueError> {
    if let Some(name) = resources.unified.keys().next() {
        return Err(ValueError::UnifiedOnVersion1(name.clone()));
    }
    let mut settings = Vec::new();
    for (file, list) in [
        ("cpuset.cpus", &resources.cpu.cpus),
        ("cpuset.mems", &resources.cpu.mems),
    ] {
        if !list.is_empty() {
            settings.push(Setting::new(file, list));
        }
    }
    memory(&resources.memory, &mut settings)?;
    cpu(&resources.cpu, &mut settings)?;
    if let Some(limit) = resources.pids.limit {
        settings.push(Setting::new("pids.max", pids(limit)));
    }
    block_io(&resources.block_io, &mut settings);
    for limit in &resources.hugepage_limits {
        let file = format!("hugetlb.{}.limit_in_bytes", limit.page_size);
        settings.push(Setting::new(&file, limit.limit));
        let file = format!("hugetlb.{}.rsvd.limit_in_bytes", limit.page_size);
        settings.push(Setting::new(&file, limit.limit).if_there());
    }
    if let Some(class) = resources.network.class_id.filter(|class| *class != 0) {
        settings.push(Setting::new("net_cls.classid", class));
    }
    for priority in &resources.network.priorities {
        let value = format!("{} {}", priority.name, priority.priority);
        settings.push(Setting::new("net_prio.ifpriomap", value));
    }
    if let Some(device) = resources.rdma.keys().next() {
        // libcontainer does not enter the group of this controller.
        return Err(ValueError::RdmaOnVersion1(device.clone()));
    }
    Ok(settings)
}

fn memory(memory: &Memory, settings: &mut Vec<Setting>) -> Result<(), ValueError> {
    let mut set = |file: &str, value: String| settings.push(Setting::new(file, value));
    if let Some(limit) = memory.limit.filter(|limit| *limit != 0) {
        set("memory.limit_in_bytes", limit.to_string());
    }
    if let Some(swap) = memory.swap.filter(|swap| *swap != 0) {
        set("memory.memsw.limit_in_bytes", swap.to_string());
    }
    if let Some(reservation) = memory.reservation.filter(|reservation| *reservation != 0) {
        set("memory.soft_limit_in_bytes", reservation.to_string());
    }
    if memory.disable_oom_killer == Some(true) {
        set("memory.oom_control", "1".to_owned());
    }
    if let Some(swappiness) = memory.swappiness {
        if swappiness > 100 {
            return Err(ValueError::Swappiness(swappiness));
        }
        set("memory.swappiness", swappiness.to_string());
    }
    if memory.limit == Some(-1) && memory.swap.unwrap_or(0) == 0 {
        // Without a limit of memory there is none of swap either.
        let swap = Setting::new("memory.memsw.limit_in_bytes", -1);
        settings.push(swap.if_there());
    }
    Ok(())
}

fn cpu(cpu: &Cpu, settings: &mut Vec<Setting>) -> Result<(), ValueError> {
    let mut set = |file: &str, value: String| settings.push(Setting::new(file, value));
    if let Some(period) = cpu.realtime_period.filter(|period| *period != 0) {
        set("cpu.rt_period_us", period.to_string());
    }
    if let Some(runtime) = cpu.realtime_runtime.filter(|runtime| *runtime != 0) {
        set("cpu.rt_runtime_us", runtime.to_string());
    }
    if let Some(shares) = cpu.shares.filter(|shares| *shares != 0) {
        if !SHARES.contains(&shares) {
            return Err(ValueError::Shares(shares));
        }
        set("cpu.shares", shares.to_string());
    }
    if let Some(period) = cpu.period.filter(|period| *period != 0) {
        set("cpu.cfs_period_us", period.to_string());
    }
    if let Some(quota) = cpu.quota.filter(|quota| *quota != 0) {
        set("cpu.cfs_quota_us", quota.to_string());
    }
    if let Some(idle) = cpu.idle {
        set("cpu.idle", idle.to_string());
    }
    if let Some(burst) = cpu.burst {
        let burst = Setting::new("cpu.cfs_burst_us", burst);
        settings.push(burst.if_there());
    }
    Ok(())
}

fn block_io(block_io: &BlockIo, settings: &mut Vec<Setting>) {
    if let Some(weight) = block_io.weight.filter(|weight| *weight != 0) {
        let setting = Setting::new("blkio.bfq.weight", weight);
        settings.push(setting.or("blkio.weight", weight));
    }
    if let Some(weight) = block_io.leaf_weight.filter(|weight| *weight != 0) {
        settings.push(Setting::new("blkio.leaf_weight", weight));
    }
    for device in &block_io.weight_device {
        let value = |weight: u16| format!("{}:{} {weight}", device.major, device.minor);
        if let Some(weight) = device.weight.filter(|weight| *weight != 0) {
            let setting = Setting::new("blkio.bfq.weight_device", value(weight));
            settings.push(setting.or("blkio.weight_device", value(weight)));
        }
        if let Some(weight) = device.leaf_weight.filter(|weight| *weight != 0) {
            let file = "blkio.leaf_weight_device";
            settings.push(Setting::new(file, value(weight)));
        }
    }
    let names = ["read_bps", "write_bps", "read_iops", "write_iops"];
    for (name, ThrottleDevice { major, minor, rate }) in block_io.throttles(names) {
        let file = format!("blkio.throttle.{name}_device");
        settings.push(Setting::new(&file, format!("{major}:{minor} {rate}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            r#"{"memory":{"limit":64,"swap":96,"reservation":32,"swappiness":10,"disableOOMKiller":true}}"#,
            &[
                "memory.limit_in_bytes 64",
                "memory.memsw.limit_in_bytes 96",
                "memory.soft_limit_in_bytes 32",
                "memory.oom_control 1",
                "memory.swappiness 10",
            ],
        );
        check(
            r#"{"memory":{"limit":-1}}"#,
            &[
                "memory.limit_in_bytes -1",
                "memory.memsw.limit_in_bytes -1 ?",
            ],
        );
        check(
            r#"{"cpu":{"shares":1024,"quota":50000,"period":100000,"burst":7,"cpus":"0","mems":"0"}}"#,
            &[
                "cpuset.cpus 0",
                "cpuset.mems 0",
                "cpu.shares 1024",
                "cpu.cfs_period_us 100000",
                "cpu.cfs_quota_us 50000",
                "cpu.cfs_burst_us 7 ?",
            ],
        );
        check(r#"{"cpu":{"quota":-1}}"#, &["cpu.cfs_quota_us -1"]);
        check(
            r#"{"cpu":{"realtimePeriod":1000,"realtimeRuntime":500,"idle":1}}"#,
            &[
                "cpu.rt_period_us 1000",
                "cpu.rt_runtime_us 500",
                "cpu.idle 1",
            ],
        );
        check(r#"{"pids":{"limit":0}}"#, &["pids.max 1"]);
        check(
            r#"{"blockIO":{"weight":500,"leafWeight":300,"weightDevice":[{"major":8,"minor":0,"weight":100,"leafWeight":50}],
                "throttleWriteBpsDevice":[{"major":8,"minor":0,"rate":1}],
                "throttleReadIOPSDevice":[{"major":8,"minor":0,"rate":2}]}}"#,
            &[
                "blkio.bfq.weight 500 or blkio.weight 500",
                "blkio.leaf_weight 300",
                "blkio.bfq.weight_device 8:0 100 or blkio.weight_device 8:0 100",
                "blkio.leaf_weight_device 8:0 50",
                "blkio.throttle.write_bps_device 8:0 1",
                "blkio.throttle.read_iops_device 8:0 2",
            ],
        );
        check(
            r#"{"hugepageLimits":[{"pageSize":"2MB","limit":0}]}"#,
            &[
                "hugetlb.2MB.limit_in_bytes 0",
                "hugetlb.2MB.rsvd.limit_in_bytes 0 ?",
            ],
        );
        check(
            r#"{"network":{"classID":7,"priorities":[{"name":"eth0","priority":3}]}}"#,
            &["net_cls.classid 7", "net_prio.ifpriomap eth0 3"],
        );
    }

    #[test]
    fn values_that_the_kernel_would_change_are_refused() {
        let check = |resources: &str, expected| {
            assert_eq!(lines(resources), Err(expected), "{resources}");
        };
        check(r#"{"cpu":{"shares":1}}"#, ValueError::Shares(1));
        check(r#"{"cpu":{"shares":262145}}"#, ValueError::Shares(262_145));
        check(
            r#"{"memory":{"swappiness":101}}"#,
            ValueError::Swappiness(101),
        );
        check(
            r#"{"unified":{"memory.high":"1"}}"#,
            ValueError::UnifiedOnVersion1("memory.high".to_owned()),
        );
        check(
            r#"{"rdma":{"mlx5_0":{"hcaHandles":3}}}"#,
            ValueError::RdmaOnVersion1("mlx5_0".to_owned()),
        );
    }
}
