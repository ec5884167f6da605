//! Reads a process's figures from the kernel: processor time, memory, open files.

use std::fs;

use anyhow::{Context as _, Result};

/// A measured process, by its number.
#[derive(Clone, Copy, Debug)]
pub struct Process(pub u32);

impl Process {
    /// Processor time in microseconds, in the kernel's resolution of (usually) 10 ms.
    ///
    /// Source: proc(5), `/proc/pid/stat`, fields 14 and 15.
    pub fn processor_microseconds(self) -> Result<u64> {
        let stat = self.read("stat")?;
        // The second field is a name in parentheses that may hold any character.
        let (_, fields) = stat.rsplit_once(')').context("stat has no name")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = |index: usize| -> Result<u64> {
            let field = fields.get(index).context("stat is too short")?;
            Ok(field.parse()?)
        };
        let per_second = rustix::param::clock_ticks_per_second();
        Ok((ticks(11)? + ticks(12)?) * 1_000_000 / per_second)
    }

    /// Resident memory in bytes; shared pages count in full.
    pub fn resident(self) -> Result<u64> {
        let rollup = self.read("smaps_rollup")?;
        let line = rollup.lines().find(|line| line.starts_with("Rss:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().nth(1));
        let kibibytes: u64 = kibibytes.context("smaps_rollup has no Rss")?.parse()?;
        Ok(kibibytes * 1024)
    }

    /// Memory in kibibytes, with shared pages divided among their users.
    ///
    /// Source: proc(5), `/proc/pid/smaps_rollup`, `Pss`.
    pub fn proportional_kibibytes(self) -> Result<f64> {
        let rollup = self.read("smaps_rollup")?;
        let line = rollup.lines().find(|line| line.starts_with("Pss:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().nth(1));
        Ok(kibibytes.context("smaps_rollup has no Pss")?.parse()?)
    }

    /// Peak resident memory in kibibytes.
    ///
    /// Source: proc(5), `/proc/pid/status`, `VmHWM`.
    pub fn most_kibibytes(self) -> Result<f64> {
        let status = self.read("status")?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().nth(1));
        Ok(kibibytes.context("status has no VmHWM")?.parse()?)
    }

    /// The number of open files.
    pub fn open_files(self) -> Result<usize> {
        let folder = format!("/proc/{}/fd", self.0);
        Ok(fs::read_dir(&folder)
            .with_context(|| format!("failed to read {folder}"))?
            .count())
    }

    fn read(self, name: &str) -> Result<String> {
        let path = format!("/proc/{}/{name}", self.0);
        fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))
    }
}
