//! The inputs of the suite: values of `linux.resources`, by the family of the fields.

use serde_json::{Value, json};

/// Fields that one controller carries out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    Memory,
    Cpu,
    Cpuset,
    Pids,
    HugePages,
    Io,
    Unified,
    /// What no field asks for: how the group is made.
    Group,
}

/// What one container gets: at its creation, and by an update after the other.
pub(crate) struct Sequence {
    pub(crate) family: Family,
    pub(crate) steps: Vec<Value>,
}

impl Family {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Cpuset => "cpuset",
            Self::Pids => "pids",
            Self::HugePages => "huge pages",
            Self::Io => "block I/O",
            Self::Unified => "unified",
            Self::Group => "group",
        }
    }

    /// The controller, as each version of control groups names it.
    pub(crate) fn controllers(self) -> Option<[&'static str; 2]> {
        match self {
            Self::Memory => Some(["memory", "memory"]),
            Self::Cpu => Some(["cpu", "cpu"]),
            Self::Cpuset => Some(["cpuset", "cpuset"]),
            Self::Pids => Some(["pids", "pids"]),
            Self::HugePages => Some(["hugetlb", "hugetlb"]),
            Self::Io => Some(["blkio", "io"]),
            Self::Unified | Self::Group => None,
        }
    }

    /// Whether a file of a group or a property of a unit belongs to it.
    pub(crate) fn of_key(key: &str) -> Self {
        const PREFIXES: [(&str, Family); 14] = [
            ("memory.", Family::Memory),
            ("Memory", Family::Memory),
            ("cpuset.", Family::Cpuset),
            ("Allowed", Family::Cpuset),
            ("cpu.", Family::Cpu),
            ("CPU", Family::Cpu),
            ("pids.", Family::Pids),
            ("Tasks", Family::Pids),
            ("hugetlb.", Family::HugePages),
            ("io.", Family::Io),
            ("blkio.", Family::Io),
            ("IO", Family::Io),
            ("BlockIO", Family::Io),
            ("misc.", Family::Unified),
        ];
        let found = PREFIXES.iter().find(|(prefix, _)| key.starts_with(prefix));
        found.map_or(Self::Group, |(_, family)| *family)
    }
}

const MIB: i64 = 1 << 20;

/// All sequences. The device is a disk of the machine, as `major` and `minor`.
pub(crate) fn all(disk: Option<(u64, u64)>) -> Vec<Sequence> {
    let memory = [
        vec![json!({ "limit": 64 * MIB })],
        vec![
            json!({ "limit": 64 * MIB, "swap": 64 * MIB }),
            json!({ "limit": 128 * MIB, "swap": 128 * MIB }),
            json!({ "limit": 32 * MIB, "swap": 32 * MIB }),
            json!({ "limit": -1, "swap": -1 }),
        ],
        vec![
            json!({ "limit": 64 * MIB, "swap": 128 * MIB }),
            json!({ "limit": 64 * MIB, "swap": -1 }),
        ],
        vec![
            json!({ "limit": 64 * MIB, "reservation": 32 * MIB }),
            json!({ "reservation": 16 * MIB }),
        ],
        vec![
            json!({ "limit": 0, "swap": 0 }),
            json!({ "limit": 64 * MIB }),
        ],
        vec![json!({ "limit": -1 }), json!({ "limit": -1 })],
    ];
    let cpu = [
        vec![
            json!({ "shares": 1024 }),
            json!({ "shares": 512 }),
            json!({ "shares": 20000 }),
            json!({ "shares": 2 }),
        ],
        vec![
            json!({ "shares": 2, "quota": 50000, "period": 100_000 }),
            json!({ "quota": 150_000, "period": 100_000 }),
            json!({ "quota": 20000 }),
            json!({ "quota": -1, "period": 100_000 }),
        ],
        vec![
            json!({ "shares": 262_144 }),
            json!({ "quota": 100_000, "period": 100_000, "shares": 102 }),
        ],
        vec![
            json!({ "quota": -1, "period": 100_000 }),
            json!({ "period": 50000 }),
        ],
        vec![json!({ "shares": 10001, "quota": 1000, "period": 1000 })],
        vec![json!({ "shares": 0, "quota": 0, "period": 0 })],
    ];
    let cpuset = [
        vec![
            json!({ "cpus": "0" }),
            json!({ "cpus": "0-1" }),
            json!({ "cpus": "" }),
        ],
        vec![
            json!({ "cpus": "0-1", "mems": "0" }),
            json!({ "mems": "0" }),
        ],
    ];
    let pids = [
        vec![
            json!({ "limit": 100 }),
            json!({ "limit": 200 }),
            json!({ "limit": -1 }),
        ],
        vec![json!({ "limit": -1 }), json!({ "limit": 50 })],
        vec![json!({ "limit": 0 })],
    ];
    let huge = |bytes: i64| json!([{ "pageSize": "2MB", "limit": bytes }]);
    let huge_pages = [vec![huge(4 * MIB), huge(8 * MIB)], vec![huge(0)]];
    let mut io = vec![
        vec![json!({ "weight": 100 }), json!({ "weight": 500 })],
        vec![json!({ "weight": 1000 })],
        vec![json!({ "weight": 10 })],
    ];
    if let Some((major, minor)) = disk {
        let device = |rate: i64| json!([{ "major": major, "minor": minor, "rate": rate }]);
        io.push(vec![
            json!({ "throttleReadBpsDevice": device(MIB), "throttleWriteIOPSDevice": device(100) }),
            json!({ "throttleReadBpsDevice": device(2 * MIB) }),
        ]);
    }
    let unified = [
        vec![
            json!({ "memory.high": "50331648", "memory.oom.group": "1" }),
            json!({ "memory.high": "25165824" }),
        ],
        vec![json!({ "memory.min": "1048576", "memory.low": "2097152", "memory.swap.max": "0" })],
        vec![json!({ "cpu.weight": "300", "pids.max": "77", "cpu.idle": "0" })],
    ];
    let mut found = Vec::new();
    let mut add = |family: Family, key: &str, sequences: Vec<Vec<Value>>| {
        for steps in sequences {
            let steps = steps.into_iter().map(|value| json!({ key: value }));
            found.push(Sequence {
                family,
                steps: steps.collect(),
            });
        }
    };
    add(Family::Memory, "memory", memory.into());
    add(Family::Cpu, "cpu", cpu.into());
    add(Family::Cpu, "cpu", vec![vec![json!({ "idle": 1 })]]);
    add(
        Family::Cpu,
        "cpu",
        vec![vec![
            json!({ "quota": 50000, "period": 100_000, "burst": 20000 }),
        ]],
    );
    add(Family::Cpuset, "cpu", cpuset.into());
    add(Family::Pids, "pids", pids.into());
    add(Family::HugePages, "hugepageLimits", huge_pages.into());
    add(Family::Io, "blockIO", io);
    add(Family::Unified, "unified", unified.into());
    found
}
