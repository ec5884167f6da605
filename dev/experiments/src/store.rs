//! The folder of a run's samples.
//!
//! While it runs, each unit of work is a file of its own, which appears whole or not at all. At the
//! end all of them become one. The files are JSON lines, compressed by gzip. Concatenated gzip
//! files are valid, so the one file consists of the header and the units as they were written.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use super::plan::Unit;
use super::sample::{FORMAT, Header, LoadCheck, Record, Run};

/// All samples, at the end.
const ALL: &str = "samples.jsonl.gz";
/// The header, during the run.
const HEADER: &str = "header.json";
/// The folder of units, during the run.
const UNITS: &str = "units";
/// The unit of the comparison of load generators.
const CHECK: &str = "0-check";

/// A line of a file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Header(Header),
    Check(LoadCheck),
    Record(Record),
}

/// A folder that is being written.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
}

impl Store {
    /// Begins a run, or resumes one of the same kind.
    pub(crate) fn open(folder: &Path, header: &Header, resume: bool) -> Result<Self> {
        let shown = folder.display();
        let store = Self {
            folder: folder.to_owned(),
        };
        let begun = folder.join(HEADER);
        let is_whole = folder.join(ALL).exists();
        match (begun.exists(), is_whole) {
            (false, false) => {
                fs::create_dir_all(folder.join(UNITS))
                    .with_context(|| format!("failed to make {shown}"))?;
                put(&begun, &serde_json::to_vec_pretty(header)?)?;
            }
            (_, true) if !resume => {
                bail!("{shown} holds a finished run; choose another folder with --out")
            }
            (true, _) if !resume => bail!(
                "{shown} holds an interrupted run; continue with --resume, or choose another folder with --out"
            ),
            (is_begun, _) => {
                differs(&read(folder)?.header, header)
                    .with_context(|| format!("failed to resume the run in {shown}"))?;
                if !is_begun {
                    store.unpack()?;
                }
            }
        }
        Ok(store)
    }

    /// Whether a unit is finished.
    pub(crate) fn has(&self, unit: &Unit) -> bool {
        self.unit(&unit.name()).exists()
    }

    /// Whether the load generators were compared.
    pub(crate) fn has_check(&self) -> bool {
        self.unit(CHECK).exists()
    }

    /// Writes the records of a unit.
    pub(crate) fn write(&self, unit: &Unit, records: Vec<Record>) -> Result<()> {
        let lines: Vec<Line> = records.into_iter().map(Line::Record).collect();
        put(&self.unit(&unit.name()), &compress(&lines)?)
    }

    /// Writes the comparison of the load generators.
    pub(crate) fn write_check(&self, check: LoadCheck) -> Result<()> {
        put(&self.unit(CHECK), &compress(&[Line::Check(check)])?)
    }

    /// Makes one file of all units, and removes them.
    pub(crate) fn finish(&self) -> Result<PathBuf> {
        let begun = self.folder.join(HEADER);
        let header: Header = serde_json::from_slice(&fs::read(&begun)?)?;
        let mut all = compress(&[Line::Header(header)])?;
        for unit in self.units()? {
            all.extend(fs::read(&unit)?);
        }
        let path = self.folder.join(ALL);
        put(&path, &all)?;
        // The header is removed first: while it exists, the units are the valid data.
        fs::remove_file(&begun)?;
        fs::remove_dir_all(self.folder.join(UNITS))?;
        Ok(path)
    }

    /// Splits the one file into units again, to add to them.
    fn unpack(&self) -> Result<()> {
        let run = read(&self.folder)?;
        fs::create_dir_all(self.folder.join(UNITS))?;
        if let Some(check) = run.check {
            self.write_check(check)?;
        }
        let mut records = run.records;
        records.sort_by(|a, b| a.unit.cmp(&b.unit));
        for of_unit in records.chunk_by(|a, b| a.unit == b.unit) {
            self.write(&of_unit[0].unit, of_unit.to_vec())?;
        }
        let header = serde_json::to_vec_pretty(&run.header)?;
        put(&self.folder.join(HEADER), &header)?;
        Ok(fs::remove_file(self.folder.join(ALL))?)
    }

    fn unit(&self, name: &str) -> PathBuf {
        self.folder.join(UNITS).join(format!("{name}.jsonl.gz"))
    }

    fn units(&self) -> Result<Vec<PathBuf>> {
        units(&self.folder)
    }
}

/// Reads a run, finished or not.
pub(crate) fn read(folder: &Path) -> Result<Run> {
    let (all, begun) = (folder.join(ALL), folder.join(HEADER));
    let mut lines = Vec::new();
    // A file beside a header is from an interrupted end or beginning; all units exist then.
    if all.exists() && !begun.exists() {
        lines.extend(decompress(&all)?);
    } else {
        let text = fs::read(&begun).with_context(|| {
            format!(
                "{} holds no run: {ALL} and {HEADER} are missing",
                folder.display()
            )
        })?;
        lines.push(Line::Header(serde_json::from_slice(&text)?));
        for unit in units(folder)? {
            lines.extend(decompress(&unit)?);
        }
    }
    let mut header = None;
    let mut check = None;
    let mut records = Vec::new();
    for line in lines {
        match line {
            Line::Header(found) => header = Some(found),
            Line::Check(found) => check = Some(found),
            Line::Record(record) => records.push(record),
        }
    }
    let header: Header = header.context("the samples have no header")?;
    ensure!(
        header.format == FORMAT,
        "the samples have format {}; this program reads {FORMAT}",
        header.format
    );
    Ok(Run {
        header,
        records,
        check,
    })
}

fn units(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder.join(UNITS))? {
        let path = entry?.path();
        // The draft of an interrupted unit has another extension.
        if path.extension().is_some_and(|ending| ending == "gz") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Fails if the headers differ: runs with different subjects must not be mixed.
fn differs(old: &Header, new: &Header) -> Result<()> {
    ensure!(
        old.format == new.format && old.scale == new.scale && old.limits == new.limits,
        "it has scale {} and other limits or another format than requested; choose another folder with --out",
        old.scale
    );
    ensure!(
        old.versions == new.versions && old.machine == new.machine,
        "it measured {:?} on {:?}; now there are {:?} on {:?}",
        old.versions,
        old.machine,
        new.versions,
        new.machine
    );
    Ok(())
}

fn compress(lines: &[Line]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    for line in lines {
        serde_json::to_writer(&mut encoder, line)?;
        encoder.write_all(b"\n")?;
    }
    Ok(encoder.finish()?)
}

fn decompress(path: &Path) -> Result<Vec<Line>> {
    let file = File::open(path).with_context(|| format!("failed to open {}", path.display()))?;
    let mut lines = Vec::new();
    for (number, text) in BufReader::new(MultiGzDecoder::new(file))
        .lines()
        .enumerate()
    {
        let place = || format!("{}: line {}", path.display(), number + 1);
        let text = text.with_context(place)?;
        lines.push(serde_json::from_str(&text).with_context(place)?);
    }
    Ok(lines)
}

/// Writes a file so that it exists whole or not at all, even after a crash.
fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    let draft = path.with_extension("draft");
    let write = || {
        let mut file = File::create(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, path)
    };
    write().with_context(|| format!("failed to write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::super::experiment::Experiment;
    use super::super::kind::Kind;
    use super::super::sample::{Load, Series, tests::header};
    use super::*;

    fn unit(turn: u32) -> Unit {
        Unit {
            experiment: Experiment::Serial,
            function: "aes".to_owned(),
            turn,
            kind: Kind::Wasm,
        }
    }

    fn record(turn: u32) -> Record {
        Record {
            failed: 1,
            load: Some(Load {
                offered: 5.0,
                achieved: 4.5,
            }),
            ..Record::new(&unit(turn), Series::Response, vec![3, 1, 2])
        }
    }

    #[test]
    fn samples_are_read_before_and_after_the_end_of_a_run() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), &header("0.2"), false).unwrap();
        let check = LoadCheck {
            function: "aes".to_owned(),
            ours: vec![1],
            hey: vec![2],
        };
        store.write_check(check.clone()).unwrap();
        for turn in 0..3 {
            store.write(&unit(turn), vec![record(turn)]).unwrap();
        }
        let expected = Run {
            header: header("0.2"),
            records: (0..3).map(record).collect(),
            check: Some(check),
        };
        assert_eq!(read(folder.path()).unwrap(), expected);
        store.finish().unwrap();
        assert_eq!(read(folder.path()).unwrap(), expected);
        let left = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 1);
    }

    #[test]
    fn a_cut_run_goes_on_with_what_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), &header("0.2"), false).unwrap();
        store.write(&unit(0), vec![record(0)]).unwrap();
        // The leftover of a crash in the middle of a unit.
        fs::write(store.unit(&unit(1).name()).with_extension("draft"), b"half").unwrap();
        let again = Store::open(folder.path(), &header("0.2"), true).unwrap();
        assert!(again.has(&unit(0)));
        assert!(!again.has(&unit(1)));
        assert_eq!(read(folder.path()).unwrap().records, [record(0)]);
    }

    #[test]
    fn a_whole_run_can_be_added_to() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), &header("0.2"), false).unwrap();
        store.write(&unit(0), vec![record(0), record(0)]).unwrap();
        store.finish().unwrap();
        let again = Store::open(folder.path(), &header("0.2"), true).unwrap();
        assert!(again.has(&unit(0)));
        again.write(&unit(1), vec![record(1)]).unwrap();
        again.finish().unwrap();
        let records = read(folder.path()).unwrap().records;
        assert_eq!(records, [record(0), record(0), record(1)]);
    }

    #[test]
    fn runs_are_neither_overwritten_nor_mixed() {
        let folder = tempfile::tempdir().unwrap();
        let open = |scale, resume| Store::open(folder.path(), &header(scale), resume);
        open("0.2", true).unwrap();
        assert!(open("0.2", false).is_err());
        assert!(open("0.3", true).is_err());
        open("0.2", true).unwrap().finish().unwrap();
        assert!(open("0.2", false).is_err());
        assert!(open("0.3", true).is_err());
    }
}
