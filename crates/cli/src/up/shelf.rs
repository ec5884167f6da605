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
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A shelf, driven by hand.
    struct Bench {
        shelf: Shelf<u64>,
        seen: BTreeMap<String, Sighting>,
        loading: BTreeMap<Origin, (u64, Source)>,
        serial: u64,
    }

    fn origin(file: &str) -> Origin {
        Origin::of_file(PathBuf::from(file))
    }

    fn failure(message: &str) -> Failure {
        Failure::new(Exit::Wasm, message, "build it again")
    }

    fn show(news: &News) -> String {
        let file = |origin: &Origin| origin.path().display().to_string();
        match news {
            News::Ready(origin) => format!("ready {}", file(origin)),
            News::Changed(origin) => format!("changed {}", file(origin)),
            News::Removed { origin, name } => format!("removed {} {name}", file(origin)),
            News::Failed {
                origin,
                failure,
                still_served,
            } => {
                let served = if *still_served { ", still served" } else { "" };
                format!("failed {}: {failure}{served}", file(origin))
            }
        }
    }

    impl Bench {
        fn new() -> Self {
            let (seen, loading) = (BTreeMap::new(), BTreeMap::new());
            Self {
                shelf: Shelf::new(),
                seen,
                loading,
                serial: 0,
            }
        }

        /// A file is there, in a version, and says that its function has this name.
        fn put(&mut self, file: &str, name: &str, version: u64) {
            let name = name.parse().expect("the test's names are names");
            let function = Arc::new(Function::bare(name));
            let source = Source {
                function,
                wasm: PathBuf::from(file),
            };
            let sighting = Sighting::seen(origin(file), Ok(source), version);
            self.seen.insert(file.to_owned(), sighting);
        }

        /// A file is there, in a version, and cannot be understood.
        fn spoil(&mut self, file: &str, version: u64, message: &str) {
            let sighting = Sighting::seen(origin(file), Err(failure(message)), version);
            self.seen.insert(file.to_owned(), sighting);
        }

        /// Looks at the files; what is to be loaded begins loading.
        fn look(&mut self, expected: &[&str]) {
            let view = View {
                sightings: self.seen.values().cloned().collect(),
                ..View::default()
            };
            let mut told = Vec::new();
            for step in self.shelf.take(view) {
                match step {
                    Step::Load {
                        origin,
                        generation,
                        source,
                    } => {
                        told.push(format!("load {}", origin.path().display()));
                        self.loading.insert(origin, (generation, source));
                    }
                    Step::Tell(news) => told.push(show(&news)),
                }
            }
            assert_eq!(told, expected);
        }

        /// A load ends: with this digest, or with a failure.
        fn load(&mut self, file: &str, outcome: Result<&str, &str>, expected: &str) {
            let origin = origin(file);
            let (generation, source) = self.loading[&origin].clone();
            self.serial += 1;
            let deployed = self.serial;
            let outcome = outcome.map_err(failure).map(|digest| Live {
                function: source.function,
                kind: Kind::HttpHandler02,
                digest: digest.to_owned(),
                deployed,
            });
            let news = self.shelf.loaded(&origin, generation, outcome);
            assert_eq!(news.as_ref().map(show).unwrap_or_default(), expected);
        }

        fn places(&self, expected: &[(&str, &str)]) {
            let places: Vec<(String, String)> = self
                .shelf
                .places()
                .into_iter()
                .map(|(name, place)| {
                    let place = match place {
                        Place::Ready(live) => format!("{} {}", live.digest, live.deployed),
                        Place::Loading => "loading".to_owned(),
                        Place::Failed(failure) => failure.message.clone(),
                    };
                    (name.to_string(), place)
                })
                .collect();
            let expected: Vec<(String, String)> = expected
                .iter()
                .map(|(name, place)| ((*name).to_owned(), (*place).to_owned()))
                .collect();
            assert_eq!(places, expected);
        }
    }

    #[test]
    fn a_bad_function_does_not_disturb_the_others() {
        let mut bench = Bench::new();
        bench.put("a.wasm", "a", 1);
        bench.put("b.wasm", "b", 1);
        bench.spoil("c/function.yaml", 1, "unknown key");
        bench.look(&[
            "load a.wasm",
            "load b.wasm",
            "failed c/function.yaml: unknown key",
        ]);
        assert!(!bench.shelf.is_settled());
        bench.places(&[("a", "loading"), ("b", "loading"), ("c", "unknown key")]);
        bench.load("b.wasm", Ok("b1"), "ready b.wasm");
        bench.places(&[("a", "loading"), ("b", "b1 1"), ("c", "unknown key")]);
        bench.load(
            "a.wasm",
            Err("not WebAssembly"),
            "failed a.wasm: not WebAssembly",
        );
        bench.places(&[
            ("a", "not WebAssembly"),
            ("b", "b1 1"),
            ("c", "unknown key"),
        ]);
        assert!(bench.shelf.is_settled());
        assert_eq!((bench.shelf.served(), bench.shelf.failures().len()), (1, 2));
    }

    #[test]
    fn a_change_takes_over_when_it_is_loaded() {
        let mut bench = Bench::new();
        bench.put("a.wasm", "a", 1);
        bench.look(&["load a.wasm"]);
        bench.load("a.wasm", Ok("one"), "ready a.wasm");
        bench.look(&[]);
        bench.put("a.wasm", "a", 2);
        bench.look(&["load a.wasm"]);
        bench.places(&[("a", "one 1")]);
        bench.load("a.wasm", Ok("two"), "changed a.wasm");
        bench.places(&[("a", "two 2")]);
        // The same bytes again: nobody notices, and the one that is served stays.
        bench.put("a.wasm", "a", 3);
        bench.look(&["load a.wasm"]);
        bench.load("a.wasm", Ok("two"), "");
        bench.places(&[("a", "two 2")]);
    }

    #[test]
    fn what_fails_never_replaces_what_works() {
        let mut bench = Bench::new();
        bench.put("a.wasm", "a", 1);
        bench.look(&["load a.wasm"]);
        bench.load("a.wasm", Ok("one"), "ready a.wasm");
        bench.put("a.wasm", "a", 2);
        bench.look(&["load a.wasm"]);
        bench.load(
            "a.wasm",
            Err("cut short"),
            "failed a.wasm: cut short, still served",
        );
        bench.places(&[("a", "one 1")]);
        bench.look(&[]);
        bench.spoil("a.wasm", 3, "gone");
        bench.look(&["failed a.wasm: gone, still served"]);
        bench.look(&[]);
        // A failure is told again when the files have changed and still fail.
        bench.spoil("a.wasm", 4, "gone");
        bench.look(&["failed a.wasm: gone, still served"]);
        bench.places(&[("a", "one 1")]);
        bench.put("a.wasm", "a", 5);
        bench.look(&["load a.wasm"]);
        bench.load("a.wasm", Ok("five"), "changed a.wasm");
        bench.places(&[("a", "five 3")]);
        assert_eq!(bench.shelf.failures(), Vec::<&Failure>::new());
    }

    #[test]
    fn an_outdated_load_is_ignored() {
        let mut bench = Bench::new();
        bench.put("a.wasm", "a", 1);
        bench.look(&["load a.wasm"]);
        let outdated = bench.loading.clone();
        bench.put("a.wasm", "a", 2);
        bench.look(&["load a.wasm"]);
        let latest = std::mem::replace(&mut bench.loading, outdated);
        bench.load("a.wasm", Ok("one"), "");
        bench.loading = latest;
        bench.load("a.wasm", Ok("two"), "ready a.wasm");
        bench.places(&[("a", "two 2")]);
    }

    #[test]
    fn what_is_removed_is_gone() {
        let mut bench = Bench::new();
        bench.put("a.wasm", "a", 1);
        bench.put("b.wasm", "b", 1);
        bench.look(&["load a.wasm", "load b.wasm"]);
        bench.load("a.wasm", Ok("a1"), "ready a.wasm");
        bench.seen.clear();
        bench.look(&["removed a.wasm a", "removed b.wasm b"]);
        bench.load("b.wasm", Ok("b1"), "");
        bench.places(&[]);
    }

    #[test]
    fn a_name_belongs_to_whoever_had_it_first() {
        let both = "two functions are named shop: z.wasm and a.wasm";
        let mut bench = Bench::new();
        bench.put("z.wasm", "shop", 1);
        bench.look(&["load z.wasm"]);
        bench.put("a.wasm", "shop", 1);
        bench.look(&[&format!("failed a.wasm: {both}")]);
        bench.load("z.wasm", Ok("z1"), "ready z.wasm");
        bench.look(&[]);
        bench.places(&[("shop", "z1 1")]);
        bench.seen.remove("z.wasm");
        bench.look(&["removed z.wasm shop", "load a.wasm"]);
        bench.load("a.wasm", Ok("a1"), "ready a.wasm");
        bench.places(&[("shop", "a1 2")]);
    }

    #[test]
    fn a_function_that_takes_another_name_keeps_the_old_one_until_it_is_loaded() {
        let mut bench = Bench::new();
        bench.put("a/function.yaml", "old", 1);
        bench.look(&["load a/function.yaml"]);
        bench.load("a/function.yaml", Ok("a1"), "ready a/function.yaml");
        bench.put("a/function.yaml", "new", 2);
        bench.put("b.wasm", "old", 1);
        bench.look(&[
            "load a/function.yaml",
            "failed b.wasm: two functions are named old: a/function.yaml and b.wasm",
        ]);
        bench.places(&[("old", "a1 1")]);
        bench.load("a/function.yaml", Ok("a1"), "changed a/function.yaml");
        bench.places(&[("new", "a1 2")]);
        bench.look(&["load b.wasm"]);
    }

    #[test]
    fn two_functions_of_one_name_are_a_failure_at_the_start() {
        let mut bench = Bench::new();
        bench.put("a.wasm", "shop", 1);
        bench.put("b/function.yaml", "shop", 1);
        let view = View {
            sightings: bench.seen.values().cloned().collect(),
            ..View::default()
        };
        let failure = same_names(&view).expect("both have one name");
        assert_eq!(failure.exit, Exit::SameName);
        for part in ["shop", "a.wasm", "b/function.yaml"] {
            assert!(failure.message.contains(part), "{failure:?}");
        }
    }
}
