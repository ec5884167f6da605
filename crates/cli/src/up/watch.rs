//! Watches folders and signals when files may have changed; a scan finds the changes.
//!
//! Only the given folders are watched, without subfolders, so that a build's output costs nothing.
//! Reads, temporary files and files that are still being written cause no signal; closing a file is
//! an event of its own.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind, RemoveKind};
use notify::{Config, Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use crate::exit::Exit;
use crate::failure::Failure;

/// Changes within this time are scanned together.
const DEBOUNCE: Duration = Duration::from_millis(15);

/// A new file that its writer keeps open is scanned after this time as it is.
const OPEN_FILE_DELAY: Duration = Duration::from_millis(500);

/// The watched folders.
pub(crate) struct Watches {
    watcher: RecommendedWatcher,
    watched: BTreeSet<PathBuf>,
    inbox: Arc<Inbox>,
}

/// Pending changes, from the watcher's thread to the reloader.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    state: Mutex<Changes>,
    notify: Notify,
}

#[derive(Debug, Default)]
struct Changes {
    soon: Option<Instant>,
    later: Option<Instant>,
    /// Removed folders; their watches may have ended with them.
    gone: BTreeSet<PathBuf>,
}

/// The urgency of a scan after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Urgency {
    Never,
    Soon,
    Later,
}

impl Watches {
    /// Starts without watched folders.
    pub(crate) fn start() -> Result<Self, Failure> {
        let inbox = Arc::new(Inbox::default());
        let receiver = Arc::clone(&inbox);
        let handler = move |event: notify::Result<Event>| receiver.receive(event);
        let watcher = RecommendedWatcher::new(handler, Config::default())
            .map_err(|error| failure("files cannot be watched", &error))?;
        Ok(Self {
            watcher,
            watched: BTreeSet::new(),
            inbox,
        })
    }

    /// The pending changes.
    pub(crate) fn inbox(&self) -> Arc<Inbox> {
        Arc::clone(&self.inbox)
    }

    /// Watches exactly these folders. Replaces a missing one by its nearest existing parent.
    /// Returns whether there is a new one, which may have changed before.
    pub(crate) fn follow(&mut self, folders: &BTreeSet<PathBuf>) -> Result<bool, Failure> {
        let wanted: BTreeSet<PathBuf> = folders
            .iter()
            .filter_map(|folder| nearest(folder))
            .collect();
        let gone = std::mem::take(&mut self.inbox.changes().gone);
        let outdated: Vec<PathBuf> = self
            .watched
            .iter()
            .filter(|folder| !wanted.contains(*folder) || is_at_or_below(folder, &gone))
            .cloned()
            .collect();
        for folder in outdated {
            // The watcher removes deleted folders by itself, so there may be no watch to end.
            let _ = self.watcher.unwatch(&folder);
            self.watched.remove(&folder);
        }
        let mut added = false;
        for folder in wanted {
            if self.watched.contains(&folder) {
                continue;
            }
            match self.watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(folder);
                }
                // Gone since the scan: the next scan leads to its parent.
                Err(error) if is_not_found(&error) => {}
                Err(error) => {
                    let what = format!("{} cannot be watched", folder.display());
                    return Err(failure(&what, &error));
                }
            }
            added = true;
        }
        Ok(added)
    }
}

impl Inbox {
    /// Waits until a change is announced. The change may have been scanned meanwhile.
    pub(crate) async fn announced(&self) {
        self.notify.notified().await;
    }

    /// The time of the next scan, if one is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        let changes = self.changes();
        changes.soon.into_iter().chain(changes.later).min()
    }

    /// Removes changes that are due by `now`.
    pub(crate) fn settle(&self, now: Instant) {
        let mut changes = self.changes();
        changes.soon = changes.soon.filter(|due| *due > now);
        changes.later = changes.later.filter(|due| *due > now);
    }

    /// Announces a change.
    pub(crate) fn announce(&self, due: Instant) {
        let mut changes = self.changes();
        changes.soon = Some(changes.soon.map_or(due, |before| before.min(due)));
        drop(changes);
        self.notify.notify_one();
    }

    fn receive(&self, event: notify::Result<Event>) {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                tracing::warn!(%error, "watching files");
                return self.announce(Instant::now() + DEBOUNCE);
            }
        };
        let urgency = urgency(&event);
        if urgency == Urgency::Never {
            return;
        }
        let mut changes = self.changes();
        let now = Instant::now();
        match urgency {
            Urgency::Later => drop(changes.later.get_or_insert(now + OPEN_FILE_DELAY)),
            _ => drop(changes.soon.get_or_insert(now + DEBOUNCE)),
        }
        if ends_watches(event.kind) {
            changes.gone.extend(event.paths);
        }
        drop(changes);
        self.notify.notify_one();
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        // No code panics between lock and unlock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn urgency(event: &Event) -> Urgency {
    if event.need_rescan() {
        return Urgency::Soon;
    }
    if !event.paths.is_empty() && event.paths.iter().all(|path| is_temporary(path)) {
        return Urgency::Never;
    }
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Create(CreateKind::Folder | CreateKind::Any | CreateKind::Other)
        | EventKind::Modify(ModifyKind::Name(_) | ModifyKind::Metadata(_) | ModifyKind::Any)
        | EventKind::Remove(_)
        | EventKind::Any => Urgency::Soon,
        EventKind::Create(CreateKind::File) => {
            if event.paths.iter().all(|path| is_being_written(path)) {
                Urgency::Later
            } else {
                Urgency::Soon
            }
        }
        EventKind::Access(_) | EventKind::Modify(_) | EventKind::Other => Urgency::Never,
    }
}

/// Whether a new file has a writer, so that a close event follows. Links have none.
fn is_being_written(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.nlink() == 1)
}

/// Whether the name is that of a temporary file of editors, compilers and downloads.
fn is_temporary(path: &Path) -> bool {
    let Some(name) = path.file_name().map(OsStr::as_encoded_bytes) else {
        return false;
    };
    let endings: [&[u8]; 6] = [
        b"~",
        b".tmp",
        b".swp",
        b".part",
        b".partial",
        b".crdownload",
    ];
    name.starts_with(b".") || endings.iter().any(|ending| name.ends_with(ending))
}

fn ends_watches(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::Remove(RemoveKind::Folder | RemoveKind::Other | RemoveKind::Any)
            | EventKind::Modify(ModifyKind::Name(_))
    )
}

fn is_at_or_below(folder: &Path, gone: &BTreeSet<PathBuf>) -> bool {
    folder.ancestors().any(|ancestor| gone.contains(ancestor))
}

/// The real path of the folder, or of its nearest existing parent.
fn nearest(folder: &Path) -> Option<PathBuf> {
    let start = std::path::absolute(folder).ok()?;
    start
        .ancestors()
        .find_map(|ancestor| fs::canonicalize(ancestor).ok())
}

fn is_not_found(error: &notify::Error) -> bool {
    match &error.kind {
        notify::ErrorKind::PathNotFound => true,
        notify::ErrorKind::Io(error) => error.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

fn failure(what: &str, error: &notify::Error) -> Failure {
    let kind = match &error.kind {
        notify::ErrorKind::Io(error) => error.to_string(),
        notify::ErrorKind::MaxFilesWatch => "the limit of watches is reached".to_owned(),
        _ => error.to_string(),
    };
    Failure::new(
        Exit::Watch,
        format!("{what}: {kind}"),
        "raise fs.inotify.max_user_watches or max_user_instances with sysctl, or use --no-watch",
    )
}

#[cfg(test)]
mod tests {
    use notify::event::{DataChange, Flag, MetadataKind, RenameMode};

    use super::*;

    #[test]
    fn only_finished_files_are_scanned_soon() {
        fn check(kind: EventKind, path: &str, expected: Urgency) {
            let event = Event::new(kind).add_path(PathBuf::from(path));
            assert_eq!(urgency(&event), expected, "{kind:?} {path}");
        }
        let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
        check(written, "/f/a.wasm", Urgency::Soon);
        check(written, "/f/.a.wasm.x1", Urgency::Never);
        check(written, "/f/a.wasm~", Urgency::Never);
        check(written, "/f/a.wasm.part", Urgency::Never);
        let data = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        check(data, "/f/a.wasm", Urgency::Never);
        let read = EventKind::Access(AccessKind::Close(AccessMode::Read));
        check(read, "/f/a.wasm", Urgency::Never);
        check(
            EventKind::Access(AccessKind::Open(AccessMode::Any)),
            "/f/a",
            Urgency::Never,
        );
        check(EventKind::Create(CreateKind::Folder), "/f/g", Urgency::Soon);
        check(
            EventKind::Remove(RemoveKind::File),
            "/f/a.wasm",
            Urgency::Soon,
        );
        let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        check(renamed, "/f/a.wasm", Urgency::Soon);
        let metadata = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
        check(metadata, "/f/a.wasm", Urgency::Soon);
        // The file is already gone, so a remove event follows.
        check(
            EventKind::Create(CreateKind::File),
            "/no/such/a.wasm",
            Urgency::Soon,
        );
    }

    #[test]
    fn a_lost_event_is_a_reason_to_look() {
        let event = Event::new(EventKind::Other).set_flag(Flag::Rescan);
        assert_eq!(urgency(&event), Urgency::Soon);
    }

    #[test]
    fn a_rename_over_two_names_counts_unless_both_are_temporary() {
        let both = |from: &str, to: &str| {
            let kind = EventKind::Modify(ModifyKind::Name(RenameMode::Both));
            let event = Event::new(kind).add_path(PathBuf::from(from));
            urgency(&event.add_path(PathBuf::from(to)))
        };
        assert_eq!(both("/f/.a.tmp", "/f/a.wasm"), Urgency::Soon);
        assert_eq!(both("/f/.a.tmp", "/f/.b.tmp"), Urgency::Never);
    }

    #[test]
    fn a_new_file_with_a_writer_can_wait() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let check = |name: &str, expected: Urgency| {
            let event = Event::new(EventKind::Create(CreateKind::File));
            let event = event.add_path(folder.path().join(name));
            assert_eq!(urgency(&event), expected, "{name}");
        };
        fs::write(folder.path().join("a.wasm"), "1").expect("a file");
        check("a.wasm", Urgency::Later);
        fs::hard_link(folder.path().join("a.wasm"), folder.path().join("b.wasm")).expect("a link");
        check("b.wasm", Urgency::Soon);
        std::os::unix::fs::symlink("b.wasm", folder.path().join("c.wasm")).expect("a link");
        check("c.wasm", Urgency::Soon);
    }

    #[test]
    fn a_folder_that_is_not_there_is_awaited_from_above() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let base = fs::canonicalize(folder.path()).expect("it is there");
        let mut watches = Watches::start().expect("files can be watched");
        let wanted = BTreeSet::from([folder.path().join("a/b")]);
        let follow = |watches: &mut Watches| watches.follow(&wanted).expect("it can be watched");
        assert!(follow(&mut watches));
        assert_eq!(watches.watched, BTreeSet::from([base.clone()]));
        assert!(!follow(&mut watches));
        fs::create_dir_all(base.join("a/b")).expect("a folder");
        assert!(follow(&mut watches));
        assert_eq!(watches.watched, BTreeSet::from([base.join("a/b")]));
    }
}
