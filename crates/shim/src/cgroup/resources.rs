//! `linux.resources` of a specification and of an update, as the shim needs them
//! ([runtime-spec](https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#control-groups)).
//!
//! Zero and absence mean the same for most numbers, as they do for runc: the value stays what it is.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::devices::policy::DeviceRule;

/// The resources of a container.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Resources {
    #[serde(deserialize_with = "or_default")]
    pub(crate) devices: Vec<DeviceRule>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) memory: Memory,
    #[serde(deserialize_with = "or_default")]
    pub(crate) cpu: Cpu,
    #[serde(deserialize_with = "or_default")]
    pub(crate) pids: Pids,
    #[serde(rename = "blockIO", deserialize_with = "or_default")]
    pub(crate) block_io: BlockIo,
    #[serde(deserialize_with = "or_default")]
    pub(crate) hugepage_limits: Vec<HugepageLimit>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) network: Network,
    #[serde(deserialize_with = "or_default")]
    pub(crate) rdma: BTreeMap<String, Rdma>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) unified: BTreeMap<String, String>,
}

/// Bytes; -1 is no limit.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Memory {
    pub(crate) limit: Option<i64>,
    pub(crate) reservation: Option<i64>,
    /// Memory and swap together.
    pub(crate) swap: Option<i64>,
    pub(crate) swappiness: Option<u64>,
    #[serde(rename = "disableOOMKiller")]
    pub(crate) disable_oom_killer: Option<bool>,
    pub(crate) check_before_update: Option<bool>,
}

/// Times in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Cpu {
    pub(crate) shares: Option<u64>,
    pub(crate) quota: Option<i64>,
    pub(crate) period: Option<u64>,
    pub(crate) burst: Option<u64>,
    pub(crate) realtime_runtime: Option<i64>,
    pub(crate) realtime_period: Option<u64>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) cpus: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) mems: String,
    pub(crate) idle: Option<i64>,
}

/// How many processes and threads there may be; -1 is no limit.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Pids {
    pub(crate) limit: Option<i64>,
}

/// Block devices.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct BlockIo {
    pub(crate) weight: Option<u16>,
    pub(crate) leaf_weight: Option<u16>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) weight_device: Vec<WeightDevice>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) throttle_read_bps_device: Vec<ThrottleDevice>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) throttle_write_bps_device: Vec<ThrottleDevice>,
    #[serde(rename = "throttleReadIOPSDevice", deserialize_with = "or_default")]
    pub(crate) throttle_read_iops_device: Vec<ThrottleDevice>,
    #[serde(rename = "throttleWriteIOPSDevice", deserialize_with = "or_default")]
    pub(crate) throttle_write_iops_device: Vec<ThrottleDevice>,
}

impl BlockIo {
    /// The limits of devices with the four names that a version has for them: of bytes read and written, and of reads
    /// and writes.
    pub(super) fn throttles<'a>(
        &'a self,
        names: [&'a str; 4],
    ) -> impl Iterator<Item = (&'a str, &'a ThrottleDevice)> {
        let lists = [
            &self.throttle_read_bps_device,
            &self.throttle_write_bps_device,
            &self.throttle_read_iops_device,
            &self.throttle_write_iops_device,
        ];
        let named = names.into_iter().zip(lists);
        named.flat_map(|(name, devices)| devices.iter().map(move |device| (name, device)))
    }
}

/// The weight of a block device.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WeightDevice {
    pub(crate) major: i64,
    pub(crate) minor: i64,
    pub(crate) weight: Option<u16>,
    pub(crate) leaf_weight: Option<u16>,
}

/// The most that a block device may do in a second.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct ThrottleDevice {
    pub(crate) major: i64,
    pub(crate) minor: i64,
    pub(crate) rate: u64,
}

/// Bytes of huge pages of one size, for example `2MB`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HugepageLimit {
    pub(crate) page_size: String,
    pub(crate) limit: u64,
}

/// What only version 1 has.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Network {
    #[serde(rename = "classID")]
    pub(crate) class_id: Option<u32>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) priorities: Vec<InterfacePriority>,
}

/// The priority of what leaves by an interface.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct InterfacePriority {
    pub(crate) name: String,
    pub(crate) priority: u32,
}

/// Resources of a device for remote direct memory access.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Rdma {
    pub(crate) hca_handles: Option<u32>,
    pub(crate) hca_objects: Option<u32>,
}

/// Takes `null` for absence, as Go's encoder and people write it.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl Resources {
    /// What holds after an update: what the update does not name stays as it is. Device rules are not updated, as runc
    /// does not: other programs may have changed them.
    pub(crate) fn updated(&self, update: Self) -> Self {
        let Self {
            memory,
            cpu,
            pids,
            block_io,
            hugepage_limits,
            network,
            rdma,
            unified,
            ..
        } = update;
        let old = self.clone();
        let swap = match (memory.limit, memory.swap) {
            // A limit that goes takes that of swap along.
            (Some(-1), None) => Some(0),
            (_, swap) => swap.or(old.memory.swap),
        };
        let mut limits = old.hugepage_limits;
        limits.retain(|old| {
            hugepage_limits
                .iter()
                .all(|new| new.page_size != old.page_size)
        });
        limits.extend(hugepage_limits);
        Self {
            devices: old.devices,
            memory: Memory {
                limit: memory.limit.or(old.memory.limit),
                reservation: memory.reservation.or(old.memory.reservation),
                swap,
                swappiness: memory.swappiness.or(old.memory.swappiness),
                disable_oom_killer: memory.disable_oom_killer.or(old.memory.disable_oom_killer),
                check_before_update: memory
                    .check_before_update
                    .or(old.memory.check_before_update),
            },
            cpu: Cpu {
                // A group that becomes idle has no weight of its own.
                shares: cpu.shares.or(if cpu.idle.is_some() {
                    Some(0)
                } else {
                    old.cpu.shares
                }),
                quota: cpu.quota.filter(|quota| *quota != 0).or(old.cpu.quota),
                period: cpu.period.filter(|period| *period != 0).or(old.cpu.period),
                burst: cpu.burst.or(old.cpu.burst),
                realtime_runtime: cpu.realtime_runtime.or(old.cpu.realtime_runtime),
                realtime_period: cpu.realtime_period.or(old.cpu.realtime_period),
                cpus: Some(cpu.cpus)
                    .filter(|cpus| !cpus.is_empty())
                    .unwrap_or(old.cpu.cpus),
                mems: Some(cpu.mems)
                    .filter(|mems| !mems.is_empty())
                    .unwrap_or(old.cpu.mems),
                idle: cpu.idle.or(old.cpu.idle),
            },
            pids: Pids {
                limit: pids.limit.or(old.pids.limit),
            },
            block_io: old.block_io.updated(block_io),
            hugepage_limits: limits,
            network: Network {
                class_id: network.class_id.or(old.network.class_id),
                priorities: if network.priorities.is_empty() {
                    old.network.priorities
                } else {
                    network.priorities
                },
            },
            rdma: old.rdma.into_iter().chain(rdma).collect(),
            unified: old.unified.into_iter().chain(unified).collect(),
        }
    }
}

impl BlockIo {
    fn updated(self, update: Self) -> Self {
        let throttles = |old: Vec<ThrottleDevice>, new: Vec<ThrottleDevice>| {
            replace(old, new, |device| (device.major, device.minor))
        };
        Self {
            weight: update.weight.or(self.weight),
            leaf_weight: update.leaf_weight.or(self.leaf_weight),
            weight_device: replace(self.weight_device, update.weight_device, |device| {
                (device.major, device.minor)
            }),
            throttle_read_bps_device: throttles(
                self.throttle_read_bps_device,
                update.throttle_read_bps_device,
            ),
            throttle_write_bps_device: throttles(
                self.throttle_write_bps_device,
                update.throttle_write_bps_device,
            ),
            throttle_read_iops_device: throttles(
                self.throttle_read_iops_device,
                update.throttle_read_iops_device,
            ),
            throttle_write_iops_device: throttles(
                self.throttle_write_iops_device,
                update.throttle_write_iops_device,
            ),
        }
    }
}

/// The old entries with those replaced that are new.
fn replace<T, K: PartialEq>(mut old: Vec<T>, new: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
    old.retain(|old| new.iter().all(|new| key(new) != key(old)));
    old.extend(new);
    old
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Resources {
        serde_json::from_str(text).expect("resources")
    }

    #[test]
    fn an_update_changes_what_it_names() {
        fn check(old: &str, update: &str, expected: &str) {
            let updated = parse(old).updated(parse(update));
            assert_eq!(updated, parse(expected), "{update}");
        }
        let old = r#"{"cpu":{"shares":512,"quota":50000,"period":100000,"cpus":"0"},
            "memory":{"limit":64,"swap":64},"pids":{"limit":9},"unified":{"memory.oom.group":"1"},
            "devices":[{"allow":false,"access":"rwm"}],
            "hugepageLimits":[{"pageSize":"2MB","limit":2}]}"#;
        check(old, "{}", old);
        check(old, r#"{"cpu":null,"memory":null,"devices":null}"#, old);
        check(old, r#"{"devices":[{"allow":true,"access":"rwm"}]}"#, old);
        check(
            r#"{"cpu":{"quota":50000,"period":100000}}"#,
            r#"{"cpu":{"quota":20000,"period":0}}"#,
            r#"{"cpu":{"quota":20000,"period":100000}}"#,
        );
        check(
            r#"{"cpu":{"shares":512,"cpus":"0-1","mems":"0"}}"#,
            r#"{"cpu":{"shares":2,"cpus":"1"}}"#,
            r#"{"cpu":{"shares":2,"cpus":"1","mems":"0"}}"#,
        );
        check(
            r#"{"cpu":{"shares":512}}"#,
            r#"{"cpu":{"idle":1}}"#,
            r#"{"cpu":{"shares":0,"idle":1}}"#,
        );
        check(
            r#"{"memory":{"limit":64,"swap":64}}"#,
            r#"{"memory":{"limit":-1}}"#,
            r#"{"memory":{"limit":-1,"swap":0}}"#,
        );
        check(
            r#"{"memory":{"limit":64,"swap":64}}"#,
            r#"{"memory":{"limit":128,"swap":128}}"#,
            r#"{"memory":{"limit":128,"swap":128}}"#,
        );
        check(
            r#"{"unified":{"memory.high":"7","memory.oom.group":"1"}}"#,
            r#"{"unified":{"memory.high":"8"}}"#,
            r#"{"unified":{"memory.high":"8","memory.oom.group":"1"}}"#,
        );
        check(
            r#"{"blockIO":{"weight":10,"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1},{"major":8,"minor":1,"rate":1}]}}"#,
            r#"{"blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":2}]}}"#,
            r#"{"blockIO":{"weight":10,"throttleReadBpsDevice":[{"major":8,"minor":1,"rate":1},{"major":8,"minor":0,"rate":2}]}}"#,
        );
    }
}
