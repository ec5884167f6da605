//! The functions as they stand: which version of each is served, what is being loaded, what failed.
//!
//! Pure: it decides what is to be loaded and what is served, and leaves doing so to the keeper. A
//! function whose new version fails keeps its old one; a name belongs to whoever had it first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sampan_engine::Kind;
use sampan_spec::{Function, FunctionName};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::source::{Origin, Source};

use super::look::{Sighting, View};

/// All functions. `D` is what a loaded function is served by.
#[derive(Debug)]
pub(crate) struct Shelf<D> {
    slots: BTreeMap<Origin, Slot<D>>,
}

#[derive(Debug)]
struct Slot<D> {
    sighting: Sighting,
    /// Counts the versions, so that what an outdated load brings is told from the latest.
    generation: u64,
    state: State,
    live: Option<Live<D>>,
    /// The failure that was told of the files as they are.
    told: Option<Failure>,
}

/// What became of the version that was seen last.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Unseen,
    Loading,
    Served,
    Failed(Failure),
    /// Another function has its name.
    Crowded,
}

/// A version that is served.
#[derive(Clone, Debug)]
pub(crate) struct Live<D> {
    pub(crate) function: Arc<Function>,
    pub(crate) kind: Kind,
    pub(crate) digest: String,
    pub(crate) deployed: D,
}

/// What is to be done after a look.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Load {
        origin: Origin,
        generation: u64,
        source: Source,
    },
    Tell(News),
}

/// What happened to a function.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Its first version is served.
    Ready(Origin),
    /// Another version is served.
    Changed(Origin),
    /// A version cannot be served; the one before still is, or is not.
    Failed {
        origin: Origin,
        failure: Failure,
        still_served: bool,
    },
    /// It is gone.
    Removed { origin: Origin, name: String },
}

/// What a name leads to.
#[derive(Debug)]
pub(crate) enum Place<'a, D> {
    Ready(&'a Live<D>),
    Loading,
    Failed(&'a Failure),
}

impl<D> Shelf<D> {
    pub(crate) fn new() -> Self {
        Self {
            slots: BTreeMap::new(),
        }
    }

    /// What was seen last, to compare the next look with.
    pub(crate) fn sightings(&self) -> BTreeMap<Origin, Sighting> {
        let known = self.slots.iter();
        known
            .map(|(origin, slot)| (origin.clone(), slot.sighting.clone()))
            .collect()
    }

    /// Whether all known functions are in a view.
    pub(crate) fn is_within(&self, view: &View) -> bool {
        let seen: BTreeSet<&Origin> = view.sightings.iter().map(|seen| &seen.origin).collect();
        self.slots.keys().all(|origin| seen.contains(origin))
    }

    /// Takes a look into account.
    pub(crate) fn take(&mut self, view: View) -> Vec<Step> {
        let mut steps = Vec::new();
        let seen: BTreeSet<Origin> = view
            .sightings
            .iter()
            .map(|sighting| sighting.origin.clone())
            .collect();
        self.slots.retain(|origin, slot| {
            let stays = seen.contains(origin);
            if !stays {
                let name = slot.name().unwrap_or_default();
                steps.push(Step::Tell(News::Removed {
                    origin: origin.clone(),
                    name,
                }));
            }
            stays
        });
        let holders = self.holders(&view.sightings);
        for sighting in view.sightings {
            let crowded = crowded(&sighting, &holders);
            steps.extend(self.see(sighting, crowded));
        }
        steps
    }

    /// Takes the outcome of a load into account.
    pub(crate) fn loaded(
        &mut self,
        origin: &Origin,
        generation: u64,
        outcome: Result<Live<D>, Failure>,
    ) -> Option<News> {
        let slot = self.slots.get_mut(origin)?;
        if slot.generation != generation || slot.state != State::Loading {
            return None;
        }
        let live = match outcome {
            Ok(live) => live,
            Err(failure) => {
                slot.state = State::Failed(failure.clone());
                return slot.tell(failure);
            }
        };
        slot.state = State::Served;
        slot.told = None;
        match &slot.live {
            None => {
                slot.live = Some(live);
                Some(News::Ready(origin.clone()))
            }
            // The file was written again as it was: whoever is served goes on undisturbed.
            Some(before) if before.is_same(&live) => None,
            Some(_) => {
                slot.live = Some(live);
                Some(News::Changed(origin.clone()))
            }
        }
    }

    /// The version of a function that is served.
    pub(crate) fn live(&self, origin: &Origin) -> Option<&Live<D>> {
        self.slots.get(origin)?.live.as_ref()
    }

    /// The name of a function, as far as it is known.
    pub(crate) fn name(&self, origin: &Origin) -> Option<String> {
        self.slots.get(origin)?.name()
    }

    /// Where each name leads.
    pub(crate) fn places(&self) -> BTreeMap<FunctionName, Place<'_, D>> {
        let mut places = BTreeMap::new();
        for live in self.slots.values().filter_map(|slot| slot.live.as_ref()) {
            places.insert(live.function.name.clone(), Place::Ready(live));
        }
        for slot in self.slots.values().filter(|slot| slot.live.is_none()) {
            let place = match &slot.state {
                State::Failed(failure) => Place::Failed(failure),
                State::Unseen | State::Loading | State::Served => Place::Loading,
                State::Crowded => continue,
            };
            // Without a valid name there is no URL that could tell of the failure.
            if let Some(Ok(name)) = slot.name().map(|name| name.parse()) {
                places.entry(name).or_insert(place);
            }
        }
        places
    }

    /// Whether a function waits for a name that another one has.
    pub(crate) fn is_crowded(&self) -> bool {
        self.slots.values().any(|slot| slot.state == State::Crowded)
    }

    /// Whether nothing is being loaded.
    pub(crate) fn is_settled(&self) -> bool {
        self.slots.values().all(|slot| slot.state != State::Loading)
    }

    /// How many functions are served.
    pub(crate) fn served(&self) -> usize {
        self.slots
            .values()
            .filter(|slot| slot.live.is_some())
            .count()
    }

    /// What keeps functions from being served as their files say.
    pub(crate) fn failures(&self) -> Vec<&Failure> {
        self.slots
            .values()
            .filter_map(|slot| slot.told.as_ref())
            .collect()
    }

    fn see(&mut self, sighting: Sighting, crowded: Option<Failure>) -> Option<Step> {
        let origin = sighting.origin.clone();
        let known = self.slots.remove(&origin);
        let mut slot = known.unwrap_or_else(|| Slot::unseen(sighting.clone()));
        let reload = match slot.state {
            State::Unseen | State::Crowded => true,
            State::Loading | State::Served | State::Failed(_) => !sighting.is_still(&slot.sighting),
        };
        if !sighting.looks_like(&slot.sighting) {
            slot.told = None;
        }
        slot.sighting = sighting;
        let step = match (&slot.sighting.source, crowded) {
            (_, Some(failure)) => {
                slot.state = State::Crowded;
                slot.tell(failure).map(Step::Tell)
            }
            (Err(failure), None) => {
                let failure = failure.clone();
                slot.state = State::Failed(failure.clone());
                slot.tell(failure).map(Step::Tell)
            }
            (Ok(source), None) if reload => {
                slot.generation += 1;
                slot.state = State::Loading;
                let (generation, source) = (slot.generation, source.clone());
                Some(Step::Load {
                    origin: origin.clone(),
                    generation,
                    source,
                })
            }
            (Ok(_), None) => None,
        };
        self.slots.insert(origin, slot);
        step
    }

    /// Who has each name: whoever is served under it, then whoever had it before, then the first.
    fn holders(&self, sightings: &[Sighting]) -> BTreeMap<FunctionName, Origin> {
        let mut holders = BTreeMap::new();
        for (origin, slot) in &self.slots {
            if let Some(live) = &slot.live {
                holders.insert(live.function.name.clone(), origin.clone());
            }
        }
        let had = |sighting: &&Sighting| match self.slots.get(&sighting.origin) {
            Some(slot) => slot.state != State::Crowded && slot.wanted() == wanted(sighting),
            None => false,
        };
        for sighting in sightings.iter().filter(had).chain(sightings) {
            if let Some(name) = wanted(sighting) {
                holders
                    .entry(name.clone())
                    .or_insert_with(|| sighting.origin.clone());
            }
        }
        holders
    }
}

impl<D> Slot<D> {
    fn unseen(sighting: Sighting) -> Self {
        Self {
            sighting,
            generation: 0,
            state: State::Unseen,
            live: None,
            told: None,
        }
    }

    /// News of a failure, unless it was told before of the very same files.
    fn tell(&mut self, failure: Failure) -> Option<News> {
        if self.told.as_ref() == Some(&failure) {
            return None;
        }
        self.told = Some(failure.clone());
        let still_served = self.live.is_some();
        Some(News::Failed {
            origin: self.sighting.origin.clone(),
            failure,
            still_served,
        })
    }

    fn wanted(&self) -> Option<&FunctionName> {
        wanted(&self.sighting)
    }

    /// The name under which it is served or will be, or what its files suggest.
    fn name(&self) -> Option<String> {
        let live = self.live.as_ref().map(|live| &live.function.name);
        let name = live.or_else(|| self.wanted()).map(ToString::to_string);
        name.or_else(|| {
            let stem = self.sighting.origin.default_name();
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

fn wanted(sighting: &Sighting) -> Option<&FunctionName> {
    sighting
        .source
        .as_ref()
        .ok()
        .map(|source| &source.function.name)
}

/// Why a function cannot have its name, if it cannot.
fn crowded(sighting: &Sighting, holders: &BTreeMap<FunctionName, Origin>) -> Option<Failure> {
    let name = wanted(sighting)?;
    let holder = holders
        .get(name)
        .filter(|holder| **holder != sighting.origin)?;
    Some(Failure::new(
        Exit::SameName,
        format!(
            "two functions are named {name}: {} and {}",
            holder.path().display(),
            sighting.origin.path().display()
        ),
        "give one of them another name, with `name:` in its function.yaml or by renaming its file",
    ))
}

/// The names that two functions have; at the start that is nothing to choose between.
pub(crate) fn same_names(view: &View) -> Option<Failure> {
    let holders = Shelf::<()>::new().holders(&view.sightings);
    view.sightings
        .iter()
        .find_map(|sighting| crowded(sighting, &holders))
}

#[cfg(test)]
mod tests;
