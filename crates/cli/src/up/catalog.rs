//! Catalog of functions: the served version of each, loads in progress and failures.
//!
//! Pure: it decides what to load and what to serve; the reloader acts. A function with a failing
//! new version keeps the old one. A name belongs to the function that had it first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sampan_engine::Kind;
use sampan_spec::{Function, FunctionName};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::source::{Origin, Source};

use super::scan::{FileSnapshot, ScanResult};

/// All functions. `D` is the deployed form of a loaded function.
#[derive(Debug)]
pub(crate) struct Catalog<D> {
    entries: BTreeMap<Origin, CatalogEntry<D>>,
}

#[derive(Debug)]
struct CatalogEntry<D> {
    snapshot: FileSnapshot,
    /// Counts versions, so that the result of an outdated load is recognised.
    generation: u64,
    state: State,
    live: Option<Live<D>>,
    /// The failure that was reported for the current files.
    reported: Option<Failure>,
}

/// The state of the last scanned version.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    New,
    Loading,
    Served,
    Failed(Failure),
    /// Another function has its name.
    NameTaken,
}

/// A served version.
#[derive(Clone, Debug)]
pub(crate) struct Live<D> {
    pub(crate) function: Arc<Function>,
    pub(crate) kind: Kind,
    pub(crate) digest: String,
    pub(crate) deployed: D,
}

/// An action after a scan.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Load {
        origin: Origin,
        generation: u64,
        source: Source,
    },
    Report(CatalogEvent),
}

/// An event of a function.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CatalogEvent {
    /// Its first version is served.
    Ready(Origin),
    /// Another version is served.
    Changed(Origin),
    /// A version cannot be served; the one before may still be.
    Failed {
        origin: Origin,
        failure: Failure,
        still_served: bool,
    },
    /// Its files are gone.
    Removed { origin: Origin, name: String },
}

/// The state of a name.
#[derive(Debug)]
pub(crate) enum CatalogState<'a, D> {
    Ready(&'a Live<D>),
    Loading,
    Failed(&'a Failure),
}

impl<D> Catalog<D> {
    pub(crate) fn new() -> Self {
        Self {
            entries: BTreeMap::new(),
        }
    }

    /// The last snapshots, for comparison in the next scan.
    pub(crate) fn snapshots(&self) -> BTreeMap<Origin, FileSnapshot> {
        let known = self.entries.iter();
        known
            .map(|(origin, entry)| (origin.clone(), entry.snapshot.clone()))
            .collect()
    }

    /// Whether a scan contains all known functions.
    pub(crate) fn is_within(&self, scan: &ScanResult) -> bool {
        let scanned: BTreeSet<&Origin> = scan
            .snapshots
            .iter()
            .map(|scanned| &scanned.origin)
            .collect();
        self.entries.keys().all(|origin| scanned.contains(origin))
    }

    /// Applies a scan.
    pub(crate) fn apply_scan(&mut self, scan: ScanResult) -> Vec<Action> {
        let mut actions = Vec::new();
        let scanned: BTreeSet<Origin> = scan
            .snapshots
            .iter()
            .map(|snapshot| snapshot.origin.clone())
            .collect();
        self.entries.retain(|origin, entry| {
            let stays = scanned.contains(origin);
            if !stays {
                let name = entry.name().unwrap_or_default();
                actions.push(Action::Report(CatalogEvent::Removed {
                    origin: origin.clone(),
                    name,
                }));
            }
            stays
        });
        let owners = self.owners(&scan.snapshots);
        for snapshot in scan.snapshots {
            let name_conflict = name_conflict(&snapshot, &owners);
            actions.extend(self.update(snapshot, name_conflict));
        }
        actions
    }

    /// Applies the result of a load.
    pub(crate) fn loaded(
        &mut self,
        origin: &Origin,
        generation: u64,
        outcome: Result<Live<D>, Failure>,
    ) -> Option<CatalogEvent> {
        let entry = self.entries.get_mut(origin)?;
        if entry.generation != generation || entry.state != State::Loading {
            return None;
        }
        let live = match outcome {
            Ok(live) => live,
            Err(failure) => {
                entry.state = State::Failed(failure.clone());
                return entry.report(failure);
            }
        };
        entry.state = State::Served;
        entry.reported = None;
        match &entry.live {
            None => {
                entry.live = Some(live);
                Some(CatalogEvent::Ready(origin.clone()))
            }
            // The file was written with the same content: the served version stays.
            Some(before) if before.is_same(&live) => None,
            Some(_) => {
                entry.live = Some(live);
                Some(CatalogEvent::Changed(origin.clone()))
            }
        }
    }

    /// The served version of a function.
    pub(crate) fn live(&self, origin: &Origin) -> Option<&Live<D>> {
        self.entries.get(origin)?.live.as_ref()
    }

    /// The name of a function, if it is known.
    pub(crate) fn name(&self, origin: &Origin) -> Option<String> {
        self.entries.get(origin)?.name()
    }

    /// The state of each name.
    pub(crate) fn states(&self) -> BTreeMap<FunctionName, CatalogState<'_, D>> {
        let mut states = BTreeMap::new();
        for live in self
            .entries
            .values()
            .filter_map(|entry| entry.live.as_ref())
        {
            states.insert(live.function.name.clone(), CatalogState::Ready(live));
        }
        for entry in self.entries.values().filter(|entry| entry.live.is_none()) {
            let state = match &entry.state {
                State::Failed(failure) => CatalogState::Failed(failure),
                State::New | State::Loading | State::Served => CatalogState::Loading,
                State::NameTaken => continue,
            };
            // Without a valid name there is no URL that could show the failure.
            if let Some(Ok(name)) = entry.name().map(|name| name.parse()) {
                states.entry(name).or_insert(state);
            }
        }
        states
    }

    /// Whether a function waits for a name that another one has.
    pub(crate) fn has_name_conflict(&self) -> bool {
        self.entries
            .values()
            .any(|entry| entry.state == State::NameTaken)
    }

    /// Whether no load is in progress.
    pub(crate) fn is_settled(&self) -> bool {
        self.entries
            .values()
            .all(|entry| entry.state != State::Loading)
    }

    /// The number of served functions.
    pub(crate) fn served(&self) -> usize {
        self.entries
            .values()
            .filter(|entry| entry.live.is_some())
            .count()
    }

    /// The failures of functions that are not served as their files define them.
    pub(crate) fn failures(&self) -> Vec<&Failure> {
        self.entries
            .values()
            .filter_map(|entry| entry.reported.as_ref())
            .collect()
    }

    fn update(&mut self, snapshot: FileSnapshot, name_conflict: Option<Failure>) -> Option<Action> {
        let origin = snapshot.origin.clone();
        let known = self.entries.remove(&origin);
        let mut entry = known.unwrap_or_else(|| CatalogEntry::new(snapshot.clone()));
        let reload = match entry.state {
            State::New | State::NameTaken => true,
            State::Loading | State::Served | State::Failed(_) => {
                !snapshot.is_unchanged_since(&entry.snapshot)
            }
        };
        if !snapshot.resembles(&entry.snapshot) {
            entry.reported = None;
        }
        entry.snapshot = snapshot;
        let action = match (&entry.snapshot.source, name_conflict) {
            (_, Some(failure)) => {
                entry.state = State::NameTaken;
                entry.report(failure).map(Action::Report)
            }
            (Err(failure), None) => {
                let failure = failure.clone();
                entry.state = State::Failed(failure.clone());
                entry.report(failure).map(Action::Report)
            }
            (Ok(source), None) if reload => {
                entry.generation += 1;
                entry.state = State::Loading;
                let (generation, source) = (entry.generation, source.clone());
                Some(Action::Load {
                    origin: origin.clone(),
                    generation,
                    source,
                })
            }
            (Ok(_), None) => None,
        };
        self.entries.insert(origin, entry);
        action
    }

    /// The owner of each name: first the function that is served under it, then the one that had it
    /// before, then the first in order.
    fn owners(&self, snapshots: &[FileSnapshot]) -> BTreeMap<FunctionName, Origin> {
        let mut owners = BTreeMap::new();
        for (origin, entry) in &self.entries {
            if let Some(live) = &entry.live {
                owners.insert(live.function.name.clone(), origin.clone());
            }
        }
        let had = |snapshot: &&FileSnapshot| match self.entries.get(&snapshot.origin) {
            Some(entry) => entry.state != State::NameTaken && entry.wanted() == wanted(snapshot),
            None => false,
        };
        for snapshot in snapshots.iter().filter(had).chain(snapshots) {
            if let Some(name) = wanted(snapshot) {
                owners
                    .entry(name.clone())
                    .or_insert_with(|| snapshot.origin.clone());
            }
        }
        owners
    }
}

impl<D> CatalogEntry<D> {
    fn new(snapshot: FileSnapshot) -> Self {
        Self {
            snapshot,
            generation: 0,
            state: State::New,
            live: None,
            reported: None,
        }
    }

    /// Returns a failure event, unless it was already reported for the same files.
    fn report(&mut self, failure: Failure) -> Option<CatalogEvent> {
        if self.reported.as_ref() == Some(&failure) {
            return None;
        }
        self.reported = Some(failure.clone());
        let still_served = self.live.is_some();
        Some(CatalogEvent::Failed {
            origin: self.snapshot.origin.clone(),
            failure,
            still_served,
        })
    }

    fn wanted(&self) -> Option<&FunctionName> {
        wanted(&self.snapshot)
    }

    /// The name under which it is or will be served, or the one that its file suggests.
    fn name(&self) -> Option<String> {
        let live = self.live.as_ref().map(|live| &live.function.name);
        let name = live.or_else(|| self.wanted()).map(ToString::to_string);
        name.or_else(|| {
            let stem = self.snapshot.origin.default_name();
            let name = FunctionName::from_file_stem(&stem).map(|name| name.to_string());
            Some(name.unwrap_or(stem))
        })
    }
}

impl<D> Live<D> {
    fn is_same(&self, other: &Self) -> bool {
        self.digest == other.digest && self.function == other.function
    }
}

fn wanted(snapshot: &FileSnapshot) -> Option<&FunctionName> {
    snapshot
        .source
        .as_ref()
        .ok()
        .map(|source| &source.function.name)
}

/// The failure of a function with the name of another one.
fn name_conflict(
    snapshot: &FileSnapshot,
    owners: &BTreeMap<FunctionName, Origin>,
) -> Option<Failure> {
    let name = wanted(snapshot)?;
    let owner = owners
        .get(name)
        .filter(|owner| **owner != snapshot.origin)?;
    Some(Failure::new(
        Exit::SameName,
        format!(
            "two functions are named {name}: {} and {}",
            owner.path().display(),
            snapshot.origin.path().display()
        ),
        "give one of them another name, with `name:` in its function.yaml or by renaming its file",
    ))
}

/// A name that two functions have; at the start, neither has priority.
pub(crate) fn duplicate_names(scan: &ScanResult) -> Option<Failure> {
    let owners = Catalog::<()>::new().owners(&scan.snapshots);
    scan.snapshots
        .iter()
        .find_map(|snapshot| name_conflict(snapshot, &owners))
}

#[cfg(test)]
mod tests;
