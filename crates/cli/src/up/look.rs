//! A look at the files of all functions: what they say, and how to tell later whether they changed.
//!
//! Touches nothing but the file system, and reads a description only when it may have changed.
//! Refuses to trust a time stamp that is too fresh to exclude another change behind it.

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

/// What identifies the state of a file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stamp {
    /// Device, inode, size, time of change in seconds and nanoseconds; nothing if there is no file.
    state: Option<(u64, u64, u64, i64, i64)>,
    /// Whether a later change is sure to give another state.
    settled: bool,
}

/// A function as it was seen.
#[derive(Clone, Debug)]
pub(crate) struct Sighting {
    /// The file that makes it a function.
    pub(crate) origin: Origin,
    /// What that file says.
    pub(crate) source: Result<Source, Failure>,
    description: Stamp,
    wasm: Stamp,
}

/// All functions as they were seen.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// In the order of their paths.
    pub(crate) sightings: Vec<Sighting>,
    /// Folders in which something of interest may happen.
    pub(crate) folders: BTreeSet<PathBuf>,
}

impl Stamp {
    fn of(path: &Path, now: SystemTime) -> Self {
        // A file that cannot be read says so when it is read.
        let Ok(metadata) = fs::metadata(path) else {
            return Self::default();
        };
        // The time of change also tells of a replacement that kept the time of modification.
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

    /// Whether the file is the same as when `earlier` was taken, beyond doubt.
    fn is_still(&self, earlier: &Self) -> bool {
        earlier.settled && self.state == earlier.state
    }
}

impl Sighting {
    /// Whether the function is the same as when `earlier` was seen, beyond doubt.
    pub(crate) fn is_still(&self, earlier: &Self) -> bool {
        self.looks_like(earlier) && (self.source.is_err() || self.wasm.is_still(&earlier.wasm))
    }

    /// Whether the function seems to be the same as when `earlier` was seen.
    pub(crate) fn looks_like(&self, earlier: &Self) -> bool {
        self.source == earlier.source
            && self.wasm.state == earlier.wasm.state
            && (self.source.is_ok() || self.description.state == earlier.description.state)
    }

    /// A function that was seen long ago, in its `version`.
    #[cfg(test)]
    pub(crate) fn seen(origin: Origin, source: Result<Source, Failure>, version: u64) -> Self {
        let stamp = Stamp {
            state: Some((0, 0, version, 0, 0)),
            settled: true,
        };
        Self {
            origin,
            source,
            description: stamp.clone(),
            wasm: stamp,
        }
    }

    fn of(origin: Origin, earlier: Option<&Self>, now: SystemTime) -> Self {
        let description = match &origin {
            Origin::Described(path) => Stamp::of(path, now),
            // Nothing is read of a bare file but its name.
            Origin::Bare(_) => Stamp::default(),
        };
        let source = match (earlier, &origin) {
            (Some(earlier), Origin::Described(_))
                if description.is_still(&earlier.description) && earlier.source.is_ok() =>
            {
                earlier.source.clone()
            }
            _ => origin.read(),
        };
        let source = source.and_then(|source| check_wasm(&origin, source));
        let wasm = match &source {
            Ok(source) => Stamp::of(&source.wasm, now),
            Err(_) => Stamp::default(),
        };
        Self {
            origin,
            source,
            description,
            wasm,
        }
    }
}

/// Looks at every function below `roots`. What did not change since `earlier` is not read again.
pub(crate) fn look(roots: &[Root], earlier: &BTreeMap<Origin, Sighting>) -> Result<View, Failure> {
    let found = discover(roots)?;
    let mut folders = found.folders;
    // Before any file is read, so that a change while it is read makes the stamp a fresh one.
    let now = SystemTime::now();
    let mut sightings = Vec::with_capacity(found.origins.len());
    for origin in found.origins {
        let sighting = Sighting::of(origin.clone(), earlier.get(&origin), now);
        let files = [
            Some(origin.path()),
            sighting.source.as_ref().ok().map(|source| &*source.wasm),
        ];
        for file in files.into_iter().flatten() {
            folders.extend(folders_of(file));
        }
        sightings.push(sighting);
    }
    for failed in sightings.iter().filter(|sighting| sighting.source.is_err()) {
        // The file that the description asks for may be about to be built.
        if let Ok(source) = failed.origin.read() {
            folders.extend(folders_of(&source.wasm));
        }
    }
    Ok(View { sightings, folders })
}

/// A description without its .wasm gets a better advice than the engine could give.
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

/// The folder of a file, and that of the file it links to.
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
        earlier: BTreeMap<Origin, Sighting>,
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

        /// Looks, and names what is new or changed, with whether it can be used.
        fn changed(&mut self) -> Vec<(String, bool)> {
            let view = look(&self.roots, &self.earlier).expect("everything can be read");
            let mut changed = Vec::new();
            for sighting in view.sightings {
                let earlier = self.earlier.get(&sighting.origin);
                if !earlier.is_some_and(|earlier| sighting.is_still(earlier)) {
                    changed.push((sighting.origin.default_name(), sighting.source.is_ok()));
                }
                self.earlier.insert(sighting.origin.clone(), sighting);
            }
            changed
        }

        /// Makes the stamps as old as they would be after a while.
        fn settle(&mut self) {
            for sighting in self.earlier.values_mut() {
                sighting.description.settled = true;
                sighting.wasm.settled = true;
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
    fn only_what_changed_is_seen_as_changed() {
        let mut shop = Shop::new();
        shop.write("cart/function.yaml", "description: one");
        shop.write("cart/cart.wasm", "1");
        shop.write("tax.wasm", "1");
        assert_eq!(shop.changed(), names(&[("cart", true), ("tax", true)]));
        // Another change could still hide behind the stamps.
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
    fn a_missing_wasm_is_named_and_its_folder_watched() {
        let mut shop = Shop::new();
        shop.write("cart/function.yaml", "file: target/release/cart.wasm");
        assert_eq!(shop.changed(), names(&[("cart", false)]));
        let view = look(&shop.roots, &shop.earlier).expect("everything can be read");
        let failure = view.sightings[0]
            .source
            .as_ref()
            .expect_err("the file is missing");
        assert_eq!(failure.exit, Exit::Missing);
        assert!(
            failure.message.contains("target/release/cart.wasm"),
            "{failure:?}"
        );
        let awaited = shop.folder.path().join("cart/target/release");
        assert!(view.folders.contains(&awaited), "{:?}", view.folders);
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
