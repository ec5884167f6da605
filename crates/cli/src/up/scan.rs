//! Scans the files of all functions and detects changes.
//!
//! It only reads the file system, and reads a `function.yaml` only when it may have changed. A time
//! stamp that is too recent to exclude another change is not trusted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::source::{Origin, Source};

use super::discover::{Root, discover};

/// File systems may give two changes within this time one time stamp.
const RESOLUTION: Duration = Duration::from_millis(50);

/// Device, inode, size, change time in seconds and nanoseconds.
type FileState = (u64, u64, u64, i64, i64);

/// The identity of a file's state.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileStamp {
    /// `None` if there is no file.
    state: Option<FileState>,
    /// Whether a later change surely leads to another state.
    settled: bool,
}

/// A function's files at the time of a scan.
#[derive(Clone, Debug)]
pub(crate) struct FileSnapshot {
    /// The file that defines the function.
    pub(crate) origin: Origin,
    /// The contents of that file.
    pub(crate) source: Result<Source, Failure>,
    description: FileStamp,
    /// Its .wasm and the files of its certificate authorities.
    files: Vec<FileStamp>,
}

/// The result of a scan.
#[derive(Debug, Default)]
pub(crate) struct ScanResult {
    /// In the order of their paths.
    pub(crate) snapshots: Vec<FileSnapshot>,
    /// Folders to watch.
    pub(crate) folders: BTreeSet<PathBuf>,
}

impl FileStamp {
    fn of(path: &Path, now: SystemTime) -> Self {
        // Reading the file reports its error.
        let Ok(metadata) = fs::metadata(path) else {
            return Self::default();
        };
        // The change time also reveals a replacement that kept the modification time.
        let (seconds, nanoseconds) = (metadata.ctime(), metadata.ctime_nsec());
        let changed = UNIX_EPOCH
            + Duration::new(
                u64::try_from(seconds).unwrap_or_default(),
                u32::try_from(nanoseconds).unwrap_or_default(),
            );
        Self {
            state: Some((
                metadata.dev(),
                metadata.ino(),
                metadata.size(),
                seconds,
                nanoseconds,
            )),
            settled: now
                .duration_since(changed)
                .is_ok_and(|age| age > RESOLUTION),
        }
    }

    /// Whether the file has surely not changed since `earlier`.
    fn is_unchanged_since(&self, earlier: &Self) -> bool {
        earlier.settled && self.state == earlier.state
    }
}

impl FileSnapshot {
    /// Whether the function has surely not changed since `earlier`.
    pub(crate) fn is_unchanged_since(&self, earlier: &Self) -> bool {
        self.resembles(earlier) && earlier.files.iter().all(|stamp| stamp.settled)
    }

    /// Whether the function has apparently not changed since `earlier`.
    pub(crate) fn resembles(&self, earlier: &Self) -> bool {
        self.source == earlier.source
            && states(&self.files).eq(states(&earlier.files))
            && (self.source.is_ok() || self.description.state == earlier.description.state)
    }

    /// An old snapshot of a function in its `version`.
    #[cfg(test)]
    pub(crate) fn old(origin: Origin, source: Result<Source, Failure>, version: u64) -> Self {
        let stamp = FileStamp {
            state: Some((0, 0, version, 0, 0)),
            settled: true,
        };
        Self {
            origin,
            source,
            description: stamp.clone(),
            files: vec![stamp],
        }
    }

    fn of(origin: Origin, earlier: Option<&Self>, now: SystemTime) -> Self {
        let description = match &origin {
            Origin::Described(path) => FileStamp::of(path, now),
            // Only the name of a bare file is used.
            Origin::Bare(_) => FileStamp::default(),
        };
        let source = match (earlier, &origin) {
            (Some(earlier), Origin::Described(_))
                if description.is_unchanged_since(&earlier.description)
                    && earlier.source.is_ok() =>
            {
                earlier.source.clone()
            }
            _ => origin.read(),
        };
        let source = source.and_then(|source| check_wasm(&origin, source));
        let files = source.iter().flat_map(Source::files);
        let files = files.map(|path| FileStamp::of(path, now)).collect();
        Self {
            origin,
            source,
            description,
            files,
        }
    }
}

/// The states of files in the order of the function.
fn states(stamps: &[FileStamp]) -> impl Iterator<Item = Option<FileState>> {
    stamps.iter().map(|stamp| stamp.state)
}

/// Scans every function below `roots`. Files that are unchanged since `earlier` are not read again.
pub(crate) fn scan_files(
    roots: &[Root],
    earlier: &BTreeMap<Origin, FileSnapshot>,
) -> Result<ScanResult, Failure> {
    let found = discover(roots)?;
    let mut folders = found.folders;
    // Taken before any file is read, so that a change during the read leaves an untrusted stamp.
    let now = SystemTime::now();
    let mut snapshots = Vec::with_capacity(found.origins.len());
    for origin in found.origins {
        let snapshot = FileSnapshot::of(origin.clone(), earlier.get(&origin), now);
        let files = snapshot.source.iter().flat_map(Source::files);
        for file in files.chain([origin.path()]) {
            folders.extend(folders_of(file));
        }
        snapshots.push(snapshot);
    }
    for failed in snapshots.iter().filter(|snapshot| snapshot.source.is_err()) {
        // The missing file may be about to be built.
        if let Ok(source) = failed.origin.read() {
            folders.extend(folders_of(&source.wasm));
        }
    }
    Ok(ScanResult { snapshots, folders })
}

/// Reports a missing .wasm with better advice than the engine's.
fn check_wasm(origin: &Origin, source: Source) -> Result<Source, Failure> {
    let Err(error) = fs::metadata(&source.wasm) else {
        return Ok(source);
    };
    let wasm = source.wasm.display();
    if error.kind() != ErrorKind::NotFound {
        return Err(Failure::read(&source.wasm, &error));
    }
    Err(match origin {
        Origin::Bare(path) => Failure::read(path, &error),
        Origin::Described(path) => Failure::new(
            Exit::Missing,
            format!("{}: its .wasm file {wasm} is not there", path.display()),
            "build it, or write `file:` and where it is",
        ),
    })
}

/// The folder of a file, and that of its link target.
fn folders_of(file: &Path) -> impl Iterator<Item = PathBuf> {
    let folder = |path: &Path| match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let linked = fs::canonicalize(file).ok().map(|path| folder(&path));
    std::iter::once(folder(file)).chain(linked)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Shop {
        folder: tempfile::TempDir,
        roots: Vec<Root>,
        earlier: BTreeMap<Origin, FileSnapshot>,
    }

    impl Shop {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let roots = vec![Root::of(folder.path()).expect("it is a folder")];
            Self {
                folder,
                roots,
                earlier: BTreeMap::new(),
            }
        }

        fn write(&self, file: &str, text: &str) {
            let path = self.folder.path().join(file);
            fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        }

        /// Scans, and returns what is new or changed, with whether it is usable.
        fn changed(&mut self) -> Vec<(String, bool)> {
            let scan = scan_files(&self.roots, &self.earlier).expect("everything can be read");
            let mut changed = Vec::new();
            for snapshot in scan.snapshots {
                let earlier = self.earlier.get(&snapshot.origin);
                if !earlier.is_some_and(|earlier| snapshot.is_unchanged_since(earlier)) {
                    changed.push((snapshot.origin.default_name(), snapshot.source.is_ok()));
                }
                self.earlier.insert(snapshot.origin.clone(), snapshot);
            }
            changed
        }

        /// Makes all stamps old enough to be trusted.
        fn settle(&mut self) {
            for snapshot in self.earlier.values_mut() {
                snapshot.description.settled = true;
                for stamp in &mut snapshot.files {
                    stamp.settled = true;
                }
            }
        }
    }

    fn names(expected: &[(&str, bool)]) -> Vec<(String, bool)> {
        expected
            .iter()
            .map(|(name, usable)| ((*name).to_owned(), *usable))
            .collect()
    }

    #[test]
    fn only_changed_files_are_reported_as_changed() {
        let mut shop = Shop::new();
        shop.write("cart/function.yaml", "description: one");
        shop.write("cart/cart.wasm", "1");
        shop.write("tax.wasm", "1");
        assert_eq!(shop.changed(), names(&[("cart", true), ("tax", true)]));
        // The stamps are too recent to exclude another change.
        assert_eq!(shop.changed(), names(&[("cart", true), ("tax", true)]));
        shop.settle();
        assert_eq!(shop.changed(), names(&[]));
        shop.settle();
        shop.write("tax.wasm", "22");
        assert_eq!(shop.changed(), names(&[("tax", true)]));
        shop.settle();
        shop.write("cart/function.yaml", "description: two");
        assert_eq!(shop.changed(), names(&[("cart", true)]));
        shop.settle();
        shop.write("cart/cart.wasm", "333");
        assert_eq!(shop.changed(), names(&[("cart", true)]));
        shop.settle();
        shop.write("cart/unrelated.txt", "");
        assert_eq!(shop.changed(), names(&[]));
    }

    #[test]
    fn a_change_of_a_certificate_authority_is_one_of_the_function() {
        let mut shop = Shop::new();
        let text = "outbound: { certificateAuthorities: [../authorities/ca.crt] }";
        shop.write("cart/function.yaml", text);
        shop.write("cart/cart.wasm", "1");
        assert_eq!(shop.changed(), names(&[("cart", true)]));
        let scan = scan_files(&shop.roots, &shop.earlier).expect("everything can be read");
        let awaited = shop.folder.path().join("cart/../authorities");
        assert!(scan.folders.contains(&awaited), "{:?}", scan.folders);
        shop.settle();
        shop.write("authorities/ca.crt", "1");
        assert_eq!(shop.changed(), names(&[("cart", true)]));
        shop.settle();
        assert_eq!(shop.changed(), names(&[]));
        shop.settle();
        shop.write("authorities/ca.crt", "22");
        assert_eq!(shop.changed(), names(&[("cart", true)]));
    }

    #[test]
    fn a_missing_wasm_is_named_and_its_folder_watched() {
        let mut shop = Shop::new();
        shop.write("cart/function.yaml", "file: target/release/cart.wasm");
        assert_eq!(shop.changed(), names(&[("cart", false)]));
        let scan = scan_files(&shop.roots, &shop.earlier).expect("everything can be read");
        let failure = scan.snapshots[0]
            .source
            .as_ref()
            .expect_err("the file is missing");
        assert_eq!(failure.exit, Exit::Missing);
        assert!(
            failure.message.contains("target/release/cart.wasm"),
            "{failure:?}"
        );
        let awaited = shop.folder.path().join("cart/target/release");
        assert!(scan.folders.contains(&awaited), "{:?}", scan.folders);
        assert_eq!(shop.changed(), names(&[]));
        shop.write("cart/target/release/cart.wasm", "1");
        assert_eq!(shop.changed(), names(&[("cart", true)]));
    }

    #[test]
    fn a_mistake_in_a_description_is_seen_once() {
        let mut shop = Shop::new();
        shop.write("cart/function.yaml", "unknown: 1");
        assert_eq!(shop.changed(), names(&[("cart", false)]));
        assert_eq!(shop.changed(), names(&[]));
    }
}
