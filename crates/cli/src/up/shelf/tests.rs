//! What is loaded and served after each look and each load.

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
