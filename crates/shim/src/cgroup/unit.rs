//! Resources as properties of a systemd scope, so that systemd keeps them when it reloads
//! ([systemd.resource-control(5)](https://www.freedesktop.org/software/systemd/man/latest/systemd.resource-control.html)).
//!
//! A unit has no properties for huge pages, weights of block devices and some unified keys: those are files only.

use std::collections::BTreeMap;

use zbus::zvariant::Value;

use super::path::Scope;
use super::resources::{Cpu, Resources};
use super::settings::ValueError;
use super::v2::{DEFAULT_PERIOD, check_unified, swap, weight};

/// A property of a unit: its name and value, as `StartTransientUnit` and `SetUnitProperties` take it.
pub(super) type Property = (&'static str, Value<'static>);

/// The version that `OOMPolicy` of scopes came with.
pub(super) const OOM_POLICY: u32 = 253;

/// The version from which on a `CPUWeight` of 0 means idle.
pub(super) const CPU_IDLE: u32 = 252;

/// systemd rounds a quota up to a hundredth of a processor's time, in microseconds of a second.
const QUOTA_STEP: u64 = 10_000;

const SECOND: u64 = 1_000_000;

/// No limit.
const INFINITY: u64 = u64::MAX;

/// Whether the properties of these resources depend on systemd's version.
pub(super) fn depends_on_version(resources: &Resources) -> bool {
    resources.cpu.idle == Some(1)
        || ["memory.oom.group", "cpu.idle"]
            .iter()
            .any(|name| resources.unified.contains_key(*name))
}

/// What a scope is made with beside its resources; `pid` is its first process.
pub(super) fn creation(
    scope: &Scope,
    id: &str,
    pid: u32,
    oom_policy: Option<&'static str>,
) -> Vec<Property> {
    let mut properties = vec![
        ("Description", Value::from(format!("sampan container {id}"))),
        ("Slice", Value::from(scope.slice.clone())),
        ("Delegate", Value::from(true)),
        ("PIDs", Value::from(vec![pid])),
        ("MemoryAccounting", Value::from(true)),
        ("CPUAccounting", Value::from(true)),
        ("IOAccounting", Value::from(true)),
        ("TasksAccounting", Value::from(true)),
        ("DefaultDependencies", Value::from(false)),
        // Without it, a scope stays as a failed unit after its processes were killed.
        ("CollectMode", Value::from("inactive-or-failed")),
    ];
    properties.extend(oom_policy.map(|policy| ("OOMPolicy", Value::from(policy))));
    properties
}

/// What systemd does when the kernel has killed a process of a scope for want of memory. It can be said only when
/// the scope is made.
pub(super) fn oom_policy(resources: &Resources, version: u32) -> Option<&'static str> {
    let group = resources.unified.get("memory.oom.group")?;
    match (version >= OOM_POLICY, group.trim()) {
        (true, "0") => Some("continue"),
        (true, "1") => Some("kill"),
        _ => None,
    }
}

/// The quota as systemd rounds it, so that the group's file says the same.
pub(super) fn round_quota(cpu: &mut Cpu) {
    if let (Some(quota @ 1..), period) = (cpu.quota, period_of(cpu)) {
        let rounded = quota_per_second(quota, period).saturating_mul(period) / SECOND;
        cpu.quota = Some(i64::try_from(rounded).unwrap_or(i64::MAX));
    }
}

fn period_of(cpu: &Cpu) -> u64 {
    cpu.period
        .filter(|period| *period != 0)
        .unwrap_or(DEFAULT_PERIOD)
}

fn quota_per_second(quota: i64, period: u64) -> u64 {
    let exact = quota.unsigned_abs().saturating_mul(SECOND) / period;
    exact.div_ceil(QUOTA_STEP).saturating_mul(QUOTA_STEP)
}

/// The limits of a scope, for its start and for updates.
pub(super) fn limits(resources: &Resources, version: u32) -> Result<Vec<Property>, ValueError> {
    // A unified key is written to the group after everything else, so it decides here too.
    let mut properties = BTreeMap::new();
    let Resources { memory, cpu, .. } = resources;
    if let Some(limit) = memory.limit.filter(|limit| *limit != 0) {
        properties.insert("MemoryMax", Value::from(or_infinity(limit)));
    }
    if let Some(low) = memory.reservation.filter(|low| *low != 0) {
        properties.insert("MemoryLow", Value::from(or_infinity(low)));
    }
    if let Some(swap) = swap(memory)? {
        properties.insert("MemorySwapMax", Value::from(or_infinity(swap)));
    }
    if let Some(weight) = cpu.shares.and_then(weight) {
        properties.insert("CPUWeight", Value::from(weight));
    }
    if cpu.idle == Some(1) && version >= CPU_IDLE {
        properties.insert("CPUWeight", Value::from(0_u64));
    }
    let (quota, period) = (cpu.quota.unwrap_or(0), cpu.period.unwrap_or(0));
    quota_properties(quota, period, &mut properties);
    if let Some(limit) = resources.pids.limit {
        let limit = match limit {
            ..0 => INFINITY,
            // systemd takes no 0.
            limit => limit.max(1).unsigned_abs(),
        };
        properties.insert("TasksMax", Value::from(limit));
    }
    for (name, list) in [
        ("AllowedCPUs", &cpu.cpus),
        ("AllowedMemoryNodes", &cpu.mems),
    ] {
        if !list.is_empty() {
            properties.insert(name, Value::from(bits(list)?));
        }
    }
    unified(&resources.unified, version, &mut properties)?;
    Ok(properties.into_iter().collect())
}

fn or_infinity(limit: i64) -> u64 {
    u64::try_from(limit).unwrap_or(INFINITY)
}

fn quota_properties(
    quota: i64,
    period: u64,
    properties: &mut BTreeMap<&'static str, Value<'static>>,
) {
    if period != 0 {
        properties.insert("CPUQuotaPeriodUSec", Value::from(period));
    }
    if quota != 0 || period != 0 {
        let period = if period == 0 { DEFAULT_PERIOD } else { period };
        let per_second = if quota > 0 {
            quota_per_second(quota, period)
        } else {
            INFINITY
        };
        properties.insert("CPUQuotaPerSecUSec", Value::from(per_second));
    }
}

/// The unified keys that have a property.
fn unified(
    unified: &BTreeMap<String, String>,
    version: u32,
    properties: &mut BTreeMap<&'static str, Value<'static>>,
) -> Result<(), ValueError> {
    for (name, value) in unified {
        check_unified(name)?;
        let value = value.trim();
        let invalid = || ValueError::UnifiedValue {
            name: name.clone(),
            value: value.to_owned(),
        };
        let number = |text: &str| match text {
            "max" => Ok(INFINITY),
            text => text.parse::<u64>().map_err(|_| invalid()),
        };
        let property = match name.as_str() {
            "memory.high" => ("MemoryHigh", Value::from(number(value)?)),
            "memory.low" => ("MemoryLow", Value::from(number(value)?)),
            "memory.min" => ("MemoryMin", Value::from(number(value)?)),
            "memory.max" => ("MemoryMax", Value::from(number(value)?)),
            "memory.swap.max" => ("MemorySwapMax", Value::from(number(value)?)),
            "pids.max" => ("TasksMax", Value::from(number(value)?.max(1))),
            "cpu.weight" => ("CPUWeight", Value::from(number(value)?)),
            "cpuset.cpus" => ("AllowedCPUs", Value::from(bits(value)?)),
            "cpuset.mems" => ("AllowedMemoryNodes", Value::from(bits(value)?)),
            "cpu.max" => {
                let mut parts = value.split_whitespace();
                let quota = match parts.next().ok_or_else(invalid)? {
                    "max" => 0,
                    quota => quota.parse().map_err(|_| invalid())?,
                };
                let period = parts.next().map_or(Ok(DEFAULT_PERIOD), number)?;
                quota_properties(quota, period, properties);
                continue;
            }
            _ => continue,
        };
        properties.insert(property.0, property.1);
    }
    // An idle group has no weight.
    if unified
        .get("cpu.idle")
        .is_some_and(|idle| idle.trim() == "1")
        && version >= CPU_IDLE
    {
        properties.insert("CPUWeight", Value::from(0_u64));
    }
    Ok(())
}

/// A list such as `0-2,7` as a set of bits, the lowest numbers first.
fn bits(list: &str) -> Result<Vec<u8>, ValueError> {
    /// More than any kernel has.
    const MOST: usize = 1 << 16;
    let invalid = || ValueError::Cpuset(list.to_owned());
    let number = |text: &str| match text.trim().parse::<usize>() {
        Ok(number) if number < MOST => Ok(number),
        _ => Err(invalid()),
    };
    let mut bits = Vec::new();
    for range in list.split(',').filter(|range| !range.trim().is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(invalid());
        }
        if bits.len() <= last / 8 {
            bits.resize(last / 8 + 1, 0_u8);
        }
        for bit in first..=last {
            bits[bit / 8] |= 1 << (bit % 8);
        }
    }
    if bits.is_empty() {
        return Err(invalid());
    }
    Ok(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Resources {
        serde_json::from_str(text).expect("resources")
    }

    #[test]
    fn limits_are_the_properties_that_runc_sets() {
        fn check(resources: &str, version: u32, expected: &[Property]) {
            let mut resources = parse(resources);
            round_quota(&mut resources.cpu);
            let limits = limits(&resources, version).expect("limits");
            assert_eq!(limits, expected, "{resources:?}");
        }
        check("{}", 252, &[]);
        check(
            r#"{"memory":{"limit":64,"swap":64,"reservation":32},"pids":{"limit":0}}"#,
            252,
            &[
                ("MemoryLow", Value::from(32_u64)),
                ("MemoryMax", Value::from(64_u64)),
                ("MemorySwapMax", Value::from(0_u64)),
                ("TasksMax", Value::from(1_u64)),
            ],
        );
        check(
            r#"{"memory":{"limit":-1},"pids":{"limit":-1}}"#,
            252,
            &[
                ("MemoryMax", Value::from(INFINITY)),
                ("MemorySwapMax", Value::from(INFINITY)),
                ("TasksMax", Value::from(INFINITY)),
            ],
        );
        // A third of a processor is 34 hundredths for systemd.
        check(
            r#"{"cpu":{"shares":512,"quota":33333,"period":100000}}"#,
            252,
            &[
                ("CPUQuotaPerSecUSec", Value::from(340_000_u64)),
                ("CPUQuotaPeriodUSec", Value::from(100_000_u64)),
                ("CPUWeight", Value::from(59_u64)),
            ],
        );
        check(
            r#"{"cpu":{"quota":-1,"period":100000}}"#,
            252,
            &[
                ("CPUQuotaPerSecUSec", Value::from(INFINITY)),
                ("CPUQuotaPeriodUSec", Value::from(100_000_u64)),
            ],
        );
        check(
            r#"{"cpu":{"cpus":"0-1,8","mems":"0"}}"#,
            252,
            &[
                ("AllowedCPUs", Value::from(vec![3_u8, 1])),
                ("AllowedMemoryNodes", Value::from(vec![1_u8])),
            ],
        );
        check(
            r#"{"cpu":{"idle":1,"shares":512}}"#,
            252,
            &[("CPUWeight", Value::from(0_u64))],
        );
        check(
            r#"{"cpu":{"idle":1,"shares":512}}"#,
            251,
            &[("CPUWeight", Value::from(59_u64))],
        );
        check(
            r#"{"unified":{"memory.high":"7","memory.max":"max","cpu.max":"50000","memory.oom.group":"1","hugetlb.2MB.max":"0"}}"#,
            252,
            &[
                ("CPUQuotaPerSecUSec", Value::from(500_000_u64)),
                ("CPUQuotaPeriodUSec", Value::from(100_000_u64)),
                ("MemoryHigh", Value::from(7_u64)),
                ("MemoryMax", Value::from(INFINITY)),
            ],
        );
    }

    #[test]
    fn a_quota_is_the_same_in_the_unit_and_in_the_file() {
        fn check(quota: i64, period: u64, expected: i64) {
            let mut cpu = Cpu {
                quota: Some(quota),
                period: Some(period),
                ..Cpu::default()
            };
            round_quota(&mut cpu);
            assert_eq!(cpu.quota, Some(expected), "{quota} {period}");
        }
        check(50_000, 100_000, 50_000);
        check(33_333, 100_000, 34_000);
        check(-1, 100_000, -1);
        check(0, 100_000, 0);
    }

    #[test]
    fn the_policy_for_want_of_memory_is_for_versions_that_have_it() {
        let check = |group: &str, version, expected| {
            let resources = parse(&format!(
                r#"{{"unified":{{"memory.oom.group":"{group}"}}}}"#
            ));
            assert!(depends_on_version(&resources));
            assert_eq!(
                oom_policy(&resources, version),
                expected,
                "{group} {version}"
            );
        };
        check("1", 257, Some("kill"));
        check("0", 257, Some("continue"));
        check("1", 252, None);
        assert_eq!(oom_policy(&parse("{}"), 257), None);
    }

    #[test]
    fn values_that_no_property_can_have_are_refused_by_name() {
        let check = |resources: &str, expected| {
            assert_eq!(limits(&parse(resources), 252), Err(expected), "{resources}");
        };
        for list in ["x", "2-1", "70000", ","] {
            check(
                &format!(r#"{{"cpu":{{"cpus":"{list}"}}}}"#),
                ValueError::Cpuset(list.to_owned()),
            );
        }
        check(
            r#"{"unified":{"memory.high":"much"}}"#,
            ValueError::UnifiedValue {
                name: "memory.high".to_owned(),
                value: "much".to_owned(),
            },
        );
    }
}
