//! Statistics of a group of version 2, in containerd's message
//! ([kernel](https://docs.kernel.org/admin-guide/cgroup-v2.html)).
//!
//! The values are those that containerd's shim of runc reports. A file that a kernel or a controller lacks leaves its
//! fields at zero, as there.

use std::fs;
use std::io;
use std::path::Path;

use containerd_shim::protos::cgroups_v2::metrics::{
    CPUStat, HugeTlbStat, IOEntry, IOStat, MemoryEvents, MemoryStat, Metrics, PSIData, PSIStats,
    PidsStat, RdmaEntry, RdmaStat,
};
use containerd_shim::protos::protobuf::MessageField;

/// Reads everything.
///
/// # Errors
///
/// When the group is gone, or a file of the kernel cannot be read.
pub(super) fn metrics(folder: &Path) -> io::Result<Metrics> {
    // Every group has this one, unless it is gone.
    fs::metadata(folder)?;
    let group = Group(folder);
    let mut metrics = Metrics::new();
    metrics.pids = MessageField::some(PidsStat {
        current: group.number("pids.current")?,
        limit: group.limit("pids.max")?,
        ..PidsStat::default()
    });
    metrics.cpu = MessageField::some(cpu(&group)?);
    metrics.memory = MessageField::some(memory(&group)?);
    metrics.memory_events = MessageField::some(events(&group)?);
    metrics.io = MessageField::some(IOStat {
        usage: block_devices(&group.text("io.stat")?),
        psi: group.pressure("io.pressure")?,
        ..IOStat::default()
    });
    metrics.rdma = MessageField::some(RdmaStat {
        current: rdma(&group.text("rdma.current")?),
        limit: rdma(&group.text("rdma.max")?),
        ..RdmaStat::default()
    });
    metrics.hugetlb = huge_pages(&group)?;
    Ok(metrics)
}

fn cpu(group: &Group<'_>) -> io::Result<CPUStat> {
    let text = group.text("cpu.stat")?;
    let get = |key| value(&text, key);
    Ok(CPUStat {
        usage_usec: get("usage_usec")?,
        user_usec: get("user_usec")?,
        system_usec: get("system_usec")?,
        nr_periods: get("nr_periods")?,
        nr_throttled: get("nr_throttled")?,
        throttled_usec: get("throttled_usec")?,
        nr_bursts: get("nr_bursts")?,
        burst_usec: get("burst_usec")?,
        psi: group.pressure("cpu.pressure")?,
        ..CPUStat::default()
    })
}

fn memory(group: &Group<'_>) -> io::Result<MemoryStat> {
    let text = group.text("memory.stat")?;
    let get = |key| value(&text, key);
    Ok(MemoryStat {
        anon: get("anon")?,
        file: get("file")?,
        kernel_stack: get("kernel_stack")?,
        slab: get("slab")?,
        sock: get("sock")?,
        shmem: get("shmem")?,
        file_mapped: get("file_mapped")?,
        file_dirty: get("file_dirty")?,
        file_writeback: get("file_writeback")?,
        anon_thp: get("anon_thp")?,
        inactive_anon: get("inactive_anon")?,
        active_anon: get("active_anon")?,
        inactive_file: get("inactive_file")?,
        active_file: get("active_file")?,
        unevictable: get("unevictable")?,
        slab_reclaimable: get("slab_reclaimable")?,
        slab_unreclaimable: get("slab_unreclaimable")?,
        pgfault: get("pgfault")?,
        pgmajfault: get("pgmajfault")?,
        workingset_refault: get("workingset_refault")?,
        workingset_activate: get("workingset_activate")?,
        workingset_nodereclaim: get("workingset_nodereclaim")?,
        pgrefill: get("pgrefill")?,
        pgscan: get("pgscan")?,
        pgsteal: get("pgsteal")?,
        pgactivate: get("pgactivate")?,
        pgdeactivate: get("pgdeactivate")?,
        pglazyfree: get("pglazyfree")?,
        pglazyfreed: get("pglazyfreed")?,
        thp_fault_alloc: get("thp_fault_alloc")?,
        thp_collapse_alloc: get("thp_collapse_alloc")?,
        usage: group.number("memory.current")?,
        usage_limit: group.limit("memory.max")?,
        max_usage: group.number("memory.peak")?,
        swap_usage: group.number("memory.swap.current")?,
        swap_limit: group.limit("memory.swap.max")?,
        swap_max_usage: group.number("memory.swap.peak")?,
        psi: group.pressure("memory.pressure")?,
        ..MemoryStat::default()
    })
}

fn events(group: &Group<'_>) -> io::Result<MemoryEvents> {
    let text = group.text("memory.events")?;
    let get = |key| value(&text, key);
    Ok(MemoryEvents {
        low: get("low")?,
        high: get("high")?,
        max: get("max")?,
        oom: get("oom")?,
        oom_kill: get("oom_kill")?,
        oom_group_kill: get("oom_group_kill")?,
        ..MemoryEvents::default()
    })
}

/// Lines such as `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`.
fn block_devices(text: &str) -> Vec<IOEntry> {
    let entry = |line: &str| {
        let mut fields = line.split_whitespace();
        let (major, minor) = fields.next()?.split_once(':')?;
        let mut entry = IOEntry {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
            ..IOEntry::default()
        };
        for (key, value) in fields.filter_map(|field| field.split_once('=')) {
            let field = match key {
                "rbytes" => &mut entry.rbytes,
                "wbytes" => &mut entry.wbytes,
                "rios" => &mut entry.rios,
                "wios" => &mut entry.wios,
                _ => continue,
            };
            *field = value.parse().ok()?;
        }
        Some(entry)
    };
    text.lines().filter_map(entry).collect()
}

/// Lines such as `mlx4_0 hca_handle=2 hca_object=max`.
fn rdma(text: &str) -> Vec<RdmaEntry> {
    let entry = |line: &str| {
        let mut fields = line.split_whitespace();
        let mut entry = RdmaEntry {
            device: fields.next()?.to_owned(),
            ..RdmaEntry::default()
        };
        for (key, value) in fields.filter_map(|field| field.split_once('=')) {
            let value = match value {
                "max" => u32::MAX,
                value => value.parse().ok()?,
            };
            match key {
                "hca_handle" => entry.hca_handles = value,
                "hca_object" => entry.hca_objects = value,
                _ => {}
            }
        }
        Some(entry)
    };
    text.lines().filter_map(entry).collect()
}

/// One entry for each size of pages that the kernel has.
fn huge_pages(group: &Group<'_>) -> io::Result<Vec<HugeTlbStat>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(group.0)? {
        let name = entry?.file_name();
        let size = name.to_str().and_then(|name| {
            let size = name.strip_prefix("hugetlb.")?.strip_suffix(".current")?;
            (!size.contains('.')).then_some(size)
        });
        let Some(size) = size else {
            continue;
        };
        found.push(HugeTlbStat {
            current: group.number(&format!("hugetlb.{size}.current"))?,
            max: group.limit(&format!("hugetlb.{size}.max"))?,
            failcnt: value(&group.text(&format!("hugetlb.{size}.events"))?, "max")?,
            pagesize: size.to_owned(),
            ..HugeTlbStat::default()
        });
    }
    found.sort_by(|one, other| one.pagesize.cmp(&other.pagesize));
    Ok(found)
}

/// A line `KEY NUMBER` of a text; 0 when the kernel does not have the key.
fn value(text: &str, key: &str) -> io::Result<u64> {
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    let mut values = lines.filter(|(found, _)| *found == key);
    values.next().map_or(Ok(0), |(_, value)| number(value))
}

fn number(text: &str) -> io::Result<u64> {
    let parsed = text.trim().parse();
    parsed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

struct Group<'a>(&'a Path);

impl Group<'_> {
    /// A file's text; empty when there is no such file.
    fn text(&self, file: &str) -> io::Result<String> {
        match fs::read_to_string(self.0.join(file)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            read => read,
        }
    }

    fn number(&self, file: &str) -> io::Result<u64> {
        match self.text(file)?.trim() {
            "" => Ok(0),
            text => number(text),
        }
    }

    /// A number, or `max`.
    fn limit(&self, file: &str) -> io::Result<u64> {
        match self.text(file)?.trim() {
            "" => Ok(0),
            "max" => Ok(u64::MAX),
            text => number(text),
        }
    }

    /// How long tasks waited for a resource; nothing when the kernel does not count it, or the count is switched off.
    fn pressure(&self, file: &str) -> io::Result<MessageField<PSIStats>> {
        let text = match fs::read_to_string(self.0.join(file)) {
            Ok(text) => text,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::Unsupported
                ) =>
            {
                return Ok(MessageField::none());
            }
            Err(error) => return Err(error),
        };
        Ok(pressure(&text).into())
    }
}

/// Lines such as `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`.
fn pressure(text: &str) -> Option<PSIStats> {
    let line = |kind: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        let (_, fields) = lines.find(|(found, _)| *found == kind)?;
        let mut data = PSIData::default();
        for (key, value) in fields
            .split_whitespace()
            .filter_map(|field| field.split_once('='))
        {
            match key {
                "avg10" => data.avg10 = value.parse().ok()?,
                "avg60" => data.avg60 = value.parse().ok()?,
                "avg300" => data.avg300 = value.parse().ok()?,
                "total" => data.total = value.parse().ok()?,
                _ => {}
            }
        }
        Some(data)
    };
    Some(PSIStats {
        some: MessageField::some(line("some")?),
        full: line("full").into(),
        ..PSIStats::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_group_become_containerds_message() {
        let folder = tempfile::tempdir().expect("a folder");
        for (file, text) in [
            ("pids.current", "3\n"),
            ("pids.max", "max\n"),
            ("cpu.stat", "usage_usec 7\nuser_usec 4\nnr_throttled 2\n"),
            (
                "cpu.pressure",
                "some avg10=1.50 avg60=0.00 avg300=0.00 total=9\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=8\n",
            ),
            ("memory.stat", "anon 10\nfile_mapped 20\nfile 30\n"),
            ("memory.current", "4096\n"),
            ("memory.max", "8192\n"),
            ("memory.swap.max", "max\n"),
            ("memory.events", "low 0\noom_kill 1\noom_group_kill 2\n"),
            (
                "io.stat",
                "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n",
            ),
            ("hugetlb.2MB.current", "0\n"),
            ("hugetlb.2MB.rsvd.current", "1\n"),
            ("hugetlb.2MB.max", "max\n"),
            ("hugetlb.2MB.events", "max 5\n"),
        ] {
            fs::write(folder.path().join(file), text).expect("a file");
        }
        let metrics = metrics(folder.path()).expect("metrics");
        assert_eq!((metrics.pids.current, metrics.pids.limit), (3, u64::MAX));
        assert_eq!((metrics.cpu.usage_usec, metrics.cpu.nr_throttled), (7, 2));
        let psi = &metrics.cpu.psi;
        assert_eq!(
            (psi.some.avg10.to_string(), psi.full.total),
            ("1.5".to_owned(), 8)
        );
        let memory = &metrics.memory;
        assert_eq!((memory.anon, memory.file, memory.file_mapped), (10, 30, 20));
        assert_eq!(
            (memory.usage, memory.usage_limit, memory.swap_limit),
            (4096, 8192, u64::MAX)
        );
        assert!(memory.psi.is_none());
        let events = &metrics.memory_events;
        assert_eq!((events.oom_kill, events.oom_group_kill), (1, 2));
        let [device] = &metrics.io.usage[..] else {
            panic!("{:?}", metrics.io.usage);
        };
        assert_eq!((device.major, device.rbytes, device.wios), (8, 1, 4));
        let [pages] = &metrics.hugetlb[..] else {
            panic!("{:?}", metrics.hugetlb);
        };
        assert_eq!(
            (pages.pagesize.as_str(), pages.max, pages.failcnt),
            ("2MB", u64::MAX, 5)
        );
    }

    #[test]
    fn a_group_that_is_gone_is_an_error() {
        assert!(metrics(Path::new("/nonexistent")).is_err());
    }
}
