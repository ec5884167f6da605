//! Snapshot of what the pool serves, for a restart of its container without an API server.
//!
//! Each function has a file in a memory-backed folder, so that a change of one writes no other. A
//! file contains resolved secrets, and only its owner can read it. One thread writes the files, in
//! order. Once the pod was ready, a mark says that the snapshot has all that a container needs.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use sampan_artifact::Digest;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::files::remove;
use crate::load::Live;
use crate::resource::{Resource, Uid};

/// The name of the mark.
const COMPLETE: &str = "complete";

/// The end of a file's name; files being written have another one.
const EXTENSION: &str = "json";

/// A served version. It has no `Debug`: it contains secrets.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) resource: Resource,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) arguments: Vec<String>,
    pub(crate) image: Digest,
}

/// Writes the snapshot.
pub(crate) struct Snapshot(Sender<Change>);

enum Change {
    Served(Box<Record>),
    Removed(Uid),
    Complete,
}

/// What a container finds when it starts.
pub(crate) struct Restored {
    pub(crate) records: Vec<Record>,
    /// Whether the pod was ready before, so that these are all functions of that time.
    pub(crate) is_complete: bool,
}

impl Record {
    pub(crate) fn of(live: &Live) -> Self {
        let function = &live.version.function;
        Self {
            resource: Resource::clone(&live.version.resource),
            environment: function.environment.clone(),
            arguments: function.arguments.clone(),
            image: live.artifact.image.digest().clone(),
        }
    }
}

impl Snapshot {
    /// Opens the folder, makes it if it is missing, and reads what it has.
    pub(crate) fn open(folder: &Path) -> io::Result<(Self, Restored)> {
        let folders = Folders {
            functions: folder.join("functions"),
            mark: folder.join(COMPLETE),
        };
        let mut builder = DirBuilder::new();
        let builder = builder.recursive(true).mode(0o700);
        builder.create(&folders.functions)?;
        let restored = Restored {
            records: read(&folders.functions)?,
            is_complete: folders.mark.try_exists()?,
        };
        let (sender, receiver) = channel();
        thread::Builder::new()
            .name("snapshot".to_owned())
            .spawn(move || write_all(&folders, &receiver))?;
        Ok((Self(sender), restored))
    }

    /// Records that a version is served.
    pub(crate) fn served(&self, live: &Live) {
        self.send(Change::Served(Box::new(Record::of(live))));
    }

    /// Records that a function is served no more.
    pub(crate) fn removed(&self, uid: &str) {
        self.send(Change::Removed(uid.to_owned()));
    }

    /// Records that the pod is ready with what was recorded before.
    pub(crate) fn complete(&self) {
        self.send(Change::Complete);
    }

    fn send(&self, change: Change) {
        // The thread ends only after this sender.
        if self.0.send(change).is_err() {
            tracing::error!("the snapshot is not written any more");
        }
    }
}

struct Folders {
    functions: PathBuf,
    mark: PathBuf,
}

/// Reads all files. One that does not parse is of another version of this program, or damaged: its
/// function is loaded like a new one.
fn read(folder: &Path) -> io::Result<Vec<Record>> {
    let mut records = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path
            .extension()
            .is_none_or(|extension| extension != EXTENSION)
        {
            fs::remove_file(&path)?;
            continue;
        }
        if let Ok(record) = serde_json::from_slice(&fs::read(&path)?) {
            records.push(record);
        } else {
            // The error could show a value.
            tracing::warn!(path = %path.display(), "a file of the snapshot cannot be used");
            fs::remove_file(&path)?;
        }
    }
    Ok(records)
}

fn write_all(folders: &Folders, changes: &Receiver<Change>) {
    while let Ok(change) = changes.recv() {
        let (path, written) = match change {
            Change::Served(record) => {
                let path = path(&folders.functions, &record.resource.uid);
                let written = replace(&path, |file| Ok(serde_json::to_writer(file, &record)?));
                (path, written)
            }
            Change::Removed(uid) => {
                let path = path(&folders.functions, &uid);
                let removed = remove(&path);
                (path, removed)
            }
            Change::Complete => {
                let path = folders.mark.clone();
                let written = File::create(&path).map(drop);
                (path, written)
            }
        };
        if let Err(error) = written {
            // A restarted container then waits for the API server before it serves this function.
            tracing::error!(path = %path.display(), %error, "the snapshot cannot be written");
        }
    }
}

/// Replaces a file whole. If that fails, none is left: the old one has a port and Secrets of before.
fn replace(
    path: &Path,
    write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>,
) -> io::Result<()> {
    let replaced = write_new(path, write);
    if replaced.is_err() {
        remove(path)?;
    }
    replaced
}

fn write_new(
    path: &Path,
    write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>,
) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    // Made with mode 0600.
    let mut file = NamedTempFile::new_in(folder)?;
    write_buffered(file.as_file_mut(), write)?;
    file.persist(path)
        .map(|_: File| ())
        .map_err(|error| error.error)
}

fn write_buffered(
    file: &mut File,
    write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffered = io::BufWriter::new(file);
    write(&mut buffered)?;
    // Dropping it would ignore an error: a full folder would keep an empty file.
    buffered.flush()
}

/// A UID is hexadecimal digits and hyphens; another character cannot lead out of the folder.
fn path(folder: &Path, uid: &str) -> PathBuf {
    let name: String = uid
        .chars()
        .map(|character| match character {
            plain if plain.is_ascii_alphanumeric() => plain,
            _ => '-',
        })
        .collect();
    folder.join(name).with_extension(EXTENSION)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::{Duration, Instant};

    use super::*;

    fn record(uid: &str, value: &str) -> Record {
        Record {
            resource: Resource {
                uid: uid.to_owned(),
                name: "hello".to_owned(),
                generation: 1,
                port: 10_000,
                spec: serde_json::from_value(serde_json::json!({ "image": "r.example/a:1" }))
                    .unwrap(),
            },
            environment: vec![("A".to_owned(), value.to_owned())],
            arguments: Vec::new(),
            image: Digest::of(b""),
        }
    }

    fn until(condition: impl Fn() -> bool) {
        let begun = Instant::now();
        while !condition() {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "it does not happen"
            );
            thread::yield_now();
        }
    }

    #[test]
    fn what_was_served_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let (snapshot, before) = Snapshot::open(folder.path()).unwrap();
        assert!(before.records.is_empty() && !before.is_complete);
        for (uid, value) in [("a", "1"), ("b", "2"), ("a", "3"), ("../c", "4")] {
            snapshot.send(Change::Served(Box::new(record(uid, value))));
        }
        snapshot.removed("b");
        snapshot.removed("never-there");
        snapshot.send(Change::Served(Box::new(record("last", "5"))));
        let files = folder.path().join("functions");
        until(|| files.join("last.json").exists());
        let mode = fs::metadata(files.join("a.json"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(files.join("damaged.json"), "{").unwrap();
        fs::write(files.join(".tmp123"), "{").unwrap();
        let (snapshot, restored) = Snapshot::open(folder.path()).unwrap();
        assert!(!restored.is_complete);
        let mut found: Vec<_> = restored
            .records
            .iter()
            .map(|record| {
                (
                    record.resource.uid.as_str(),
                    record.environment[0].1.as_str(),
                )
            })
            .collect();
        found.sort_unstable();
        assert_eq!(found, [("../c", "4"), ("a", "3"), ("last", "5")]);
        assert_eq!(fs::read_dir(&files).unwrap().count(), 3);
        // The pod gets ready, and its container restarts.
        snapshot.complete();
        until(|| folder.path().join(COMPLETE).exists());
        let (_, restored) = Snapshot::open(folder.path()).unwrap();
        assert!(restored.is_complete && restored.records.len() == 3);
    }

    #[test]
    fn a_failed_write_leaves_nothing_of_before() {
        fn check(
            write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>,
            expected: Option<&[u8]>,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.json");
            fs::write(&path, "old").unwrap();
            let written = replace(&path, write);
            assert_eq!(written.is_ok(), expected.is_some(), "{written:?}");
            assert_eq!(fs::read(&path).ok().as_deref(), expected);
            let left = fs::read_dir(folder.path()).unwrap().count();
            assert_eq!(left, usize::from(expected.is_some()));
        }
        check(|file| file.write_all(b"new"), Some(b"new"));
        check(|_| Err(io::ErrorKind::StorageFull.into()), None);
    }

    #[test]
    fn an_error_of_the_last_bytes_is_an_error() {
        let full = File::options().write(true).open("/dev/full");
        let written = write_buffered(&mut full.unwrap(), |file| file.write_all(b"few bytes"));
        assert!(written.is_err());
    }
}
