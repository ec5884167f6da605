//! Snapshot of what the pool serves, for a restart of its container without an API server.
//!
//! Each function has a file in a memory-backed folder, so that a change of one writes no other. A
//! file contains resolved secrets, and only its owner can read it. One thread writes the files, in
//! order.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use sampan_artifact::Digest;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::load::Live;
use crate::resource::{Resource, Uid};

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

struct Change {
    uid: Uid,
    /// `None` removes the file.
    record: Option<Box<Record>>,
}

impl Record {
    pub(crate) fn of(live: &Live) -> Self {
        let function = &live.version.function;
        Self {
            resource: Resource::clone(&live.version.resource),
            environment: function.environment.clone(),
            arguments: function.arguments.clone(),
            image: live.artifact.image.clone(),
        }
    }
}

impl Snapshot {
    /// Opens the folder, makes it if it is missing, and reads what it has.
    pub(crate) fn open(folder: &Path) -> io::Result<(Self, Vec<Record>)> {
        let folder = folder.join("functions");
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&folder)?;
        let records = read(&folder)?;
        let (sender, receiver) = channel();
        thread::Builder::new()
            .name("snapshot".to_owned())
            .spawn(move || write_all(&folder, &receiver))?;
        Ok((Self(sender), records))
    }

    /// Records that a version is served.
    pub(crate) fn served(&self, live: &Live) {
        self.send(Change {
            uid: live.version.resource.uid.clone(),
            record: Some(Box::new(Record::of(live))),
        });
    }

    /// Records that a function is served no more.
    pub(crate) fn removed(&self, uid: &str) {
        self.send(Change {
            uid: uid.to_owned(),
            record: None,
        });
    }

    fn send(&self, change: Change) {
        // The thread ends only after this sender.
        if self.0.send(change).is_err() {
            tracing::error!("the snapshot is not written any more");
        }
    }
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

fn write_all(folder: &Path, changes: &Receiver<Change>) {
    while let Ok(Change { uid, record }) = changes.recv() {
        let path = path(folder, &uid);
        let written = match record {
            Some(record) => write(folder, &path, &record),
            None => match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        };
        if let Err(error) = written {
            // A restarted container then waits for the API server before it serves this function.
            tracing::error!(path = %path.display(), %error, "the snapshot cannot be written");
        }
    }
}

fn write(folder: &Path, path: &Path, record: &Record) -> io::Result<()> {
    // Made with mode 0600.
    let mut file = NamedTempFile::new_in(folder)?;
    serde_json::to_writer(io::BufWriter::new(file.as_file_mut()), record)?;
    file.flush()?;
    file.persist(path)
        .map(|_: File| ())
        .map_err(|error| error.error)
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
        assert!(before.is_empty());
        for (uid, value) in [("a", "1"), ("b", "2"), ("a", "3"), ("../c", "4")] {
            let record = Some(Box::new(record(uid, value)));
            let uid = uid.to_owned();
            snapshot.send(Change { uid, record });
        }
        snapshot.removed("b");
        snapshot.removed("never-there");
        snapshot.send(Change {
            uid: "last".to_owned(),
            record: Some(Box::new(record("last", "5"))),
        });
        let files = folder.path().join("functions");
        until(|| files.join("last.json").exists());
        let mode = fs::metadata(files.join("a.json"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(files.join("damaged.json"), "{").unwrap();
        fs::write(files.join(".tmp123"), "{").unwrap();
        let (_, records) = Snapshot::open(folder.path()).unwrap();
        let mut found: Vec<_> = records
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
    }
}
