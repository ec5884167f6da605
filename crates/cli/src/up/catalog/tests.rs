//! Tests of what is loaded and served after each scan and each load.

use std::path::PathBuf;

use super::*;

/// A catalog, driven by hand.
struct Harness {
    catalog: Catalog<u64>,
    seen: BTreeMap<String, FileSnapshot>,
    loading: BTreeMap<Origin, (u64, Source)>,
    serial: u64,
}

fn origin(file: &str) -> Origin {
    Origin::of_file(PathBuf::from(file))
}

fn failure(message: &str) -> Failure {
    Failure::new(Exit::Wasm, message, "build it again")
}

fn show(event: &CatalogEvent) -> String {
    let file = |origin: &Origin| origin.path().display().to_string();
    match event {
        CatalogEvent::Ready(origin) => format!("ready {}", file(origin)),
        CatalogEvent::Changed(origin) => format!("changed {}", file(origin)),
        CatalogEvent::Removed { origin, name } => format!("removed {} {name}", file(origin)),
        CatalogEvent::Failed {
            origin,
            failure,
            still_served,
        } => {
            let served = if *still_served { ", still served" } else { "" };
            format!("failed {}: {failure}{served}", file(origin))
        }
    }
}

impl Harness {
    fn new() -> Self {
        let (seen, loading) = (BTreeMap::new(), BTreeMap::new());
        Self {
            catalog: Catalog::new(),
            seen,
            loading,
            serial: 0,
        }
    }

    /// Adds a file with this version and function name.
    fn put(&mut self, file: &str, name: &str, version: u64) {
        let name = name.parse().expect("the test's names are names");
        let function = Arc::new(Function::bare(name));
        let source = Source {
            function,
            wasm: PathBuf::from(file),
            authorities: Vec::new(),
        };
        let snapshot = FileSnapshot::old(origin(file), Ok(source), version);
        self.seen.insert(file.to_owned(), snapshot);
    }

    /// Adds a file with this version that cannot be parsed.
    fn spoil(&mut self, file: &str, version: u64, message: &str) {
        let snapshot = FileSnapshot::old(origin(file), Err(failure(message)), version);
        self.seen.insert(file.to_owned(), snapshot);
    }

    /// Scans the files and starts the loads.
    fn scan(&mut self, expected: &[&str]) {
        let scan = ScanResult {
            snapshots: self.seen.values().cloned().collect(),
            ..ScanResult::default()
        };
        let mut actions = Vec::new();
        for action in self.catalog.apply_scan(scan) {
            match action {
                Action::Load {
                    origin,
                    generation,
                    source,
                } => {
                    actions.push(format!("load {}", origin.path().display()));
                    self.loading.insert(origin, (generation, source));
                }
                Action::Report(event) => actions.push(show(&event)),
            }
        }
        assert_eq!(actions, expected);
    }

    /// Ends a load with this digest or with a failure.
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
        let event = self.catalog.loaded(&origin, generation, outcome);
        assert_eq!(event.as_ref().map(show).unwrap_or_default(), expected);
    }

    fn states(&self, expected: &[(&str, &str)]) {
        let states: Vec<(String, String)> = self
            .catalog
            .states()
            .into_iter()
            .map(|(name, state)| {
                let state = match state {
                    CatalogState::Ready(live) => format!("{} {}", live.digest, live.deployed),
                    CatalogState::Loading => "loading".to_owned(),
                    CatalogState::Failed(failure) => failure.message.clone(),
                };
                (name.to_string(), state)
            })
            .collect();
        let expected: Vec<(String, String)> = expected
            .iter()
            .map(|(name, state)| ((*name).to_owned(), (*state).to_owned()))
            .collect();
        assert_eq!(states, expected);
    }
}

#[test]
fn a_bad_function_does_not_disturb_the_others() {
    let mut harness = Harness::new();
    harness.put("a.wasm", "a", 1);
    harness.put("b.wasm", "b", 1);
    harness.spoil("c/function.yaml", 1, "unknown key");
    harness.scan(&[
        "load a.wasm",
        "load b.wasm",
        "failed c/function.yaml: unknown key",
    ]);
    assert!(!harness.catalog.is_settled());
    harness.states(&[("a", "loading"), ("b", "loading"), ("c", "unknown key")]);
    harness.load("b.wasm", Ok("b1"), "ready b.wasm");
    harness.states(&[("a", "loading"), ("b", "b1 1"), ("c", "unknown key")]);
    harness.load(
        "a.wasm",
        Err("not WebAssembly"),
        "failed a.wasm: not WebAssembly",
    );
    harness.states(&[
        ("a", "not WebAssembly"),
        ("b", "b1 1"),
        ("c", "unknown key"),
    ]);
    assert!(harness.catalog.is_settled());
    assert_eq!(
        (harness.catalog.served(), harness.catalog.failures().len()),
        (1, 2)
    );
}

#[test]
fn a_change_takes_over_when_it_is_loaded() {
    let mut harness = Harness::new();
    harness.put("a.wasm", "a", 1);
    harness.scan(&["load a.wasm"]);
    harness.load("a.wasm", Ok("one"), "ready a.wasm");
    harness.scan(&[]);
    harness.put("a.wasm", "a", 2);
    harness.scan(&["load a.wasm"]);
    harness.states(&[("a", "one 1")]);
    harness.load("a.wasm", Ok("two"), "changed a.wasm");
    harness.states(&[("a", "two 2")]);
    // The same bytes again: no event, and the served version stays.
    harness.put("a.wasm", "a", 3);
    harness.scan(&["load a.wasm"]);
    harness.load("a.wasm", Ok("two"), "");
    harness.states(&[("a", "two 2")]);
}

#[test]
fn a_failing_version_never_replaces_a_working_one() {
    let mut harness = Harness::new();
    harness.put("a.wasm", "a", 1);
    harness.scan(&["load a.wasm"]);
    harness.load("a.wasm", Ok("one"), "ready a.wasm");
    harness.put("a.wasm", "a", 2);
    harness.scan(&["load a.wasm"]);
    harness.load(
        "a.wasm",
        Err("cut short"),
        "failed a.wasm: cut short, still served",
    );
    harness.states(&[("a", "one 1")]);
    harness.scan(&[]);
    harness.spoil("a.wasm", 3, "gone");
    harness.scan(&["failed a.wasm: gone, still served"]);
    harness.scan(&[]);
    // A failure is reported again when the files have changed and still fail.
    harness.spoil("a.wasm", 4, "gone");
    harness.scan(&["failed a.wasm: gone, still served"]);
    harness.states(&[("a", "one 1")]);
    harness.put("a.wasm", "a", 5);
    harness.scan(&["load a.wasm"]);
    harness.load("a.wasm", Ok("five"), "changed a.wasm");
    harness.states(&[("a", "five 3")]);
    assert_eq!(harness.catalog.failures(), Vec::<&Failure>::new());
}

#[test]
fn an_outdated_load_is_ignored() {
    let mut harness = Harness::new();
    harness.put("a.wasm", "a", 1);
    harness.scan(&["load a.wasm"]);
    let outdated = harness.loading.clone();
    harness.put("a.wasm", "a", 2);
    harness.scan(&["load a.wasm"]);
    let latest = std::mem::replace(&mut harness.loading, outdated);
    harness.load("a.wasm", Ok("one"), "");
    harness.loading = latest;
    harness.load("a.wasm", Ok("two"), "ready a.wasm");
    harness.states(&[("a", "two 2")]);
}

#[test]
fn a_removed_function_is_gone() {
    let mut harness = Harness::new();
    harness.put("a.wasm", "a", 1);
    harness.put("b.wasm", "b", 1);
    harness.scan(&["load a.wasm", "load b.wasm"]);
    harness.load("a.wasm", Ok("a1"), "ready a.wasm");
    harness.seen.clear();
    harness.scan(&["removed a.wasm a", "removed b.wasm b"]);
    harness.load("b.wasm", Ok("b1"), "");
    harness.states(&[]);
}

#[test]
fn a_name_belongs_to_its_first_function() {
    let both = "two functions are named shop: z.wasm and a.wasm";
    let mut harness = Harness::new();
    harness.put("z.wasm", "shop", 1);
    harness.scan(&["load z.wasm"]);
    harness.put("a.wasm", "shop", 1);
    harness.scan(&[&format!("failed a.wasm: {both}")]);
    harness.load("z.wasm", Ok("z1"), "ready z.wasm");
    harness.scan(&[]);
    harness.states(&[("shop", "z1 1")]);
    harness.seen.remove("z.wasm");
    harness.scan(&["removed z.wasm shop", "load a.wasm"]);
    harness.load("a.wasm", Ok("a1"), "ready a.wasm");
    harness.states(&[("shop", "a1 2")]);
}

#[test]
fn a_function_that_takes_another_name_keeps_the_old_one_until_it_is_loaded() {
    let mut harness = Harness::new();
    harness.put("a/function.yaml", "old", 1);
    harness.scan(&["load a/function.yaml"]);
    harness.load("a/function.yaml", Ok("a1"), "ready a/function.yaml");
    harness.put("a/function.yaml", "new", 2);
    harness.put("b.wasm", "old", 1);
    harness.scan(&[
        "load a/function.yaml",
        "failed b.wasm: two functions are named old: a/function.yaml and b.wasm",
    ]);
    harness.states(&[("old", "a1 1")]);
    harness.load("a/function.yaml", Ok("a1"), "changed a/function.yaml");
    harness.states(&[("new", "a1 2")]);
    harness.scan(&["load b.wasm"]);
}

#[test]
fn two_functions_of_one_name_are_a_failure_at_the_start() {
    let mut harness = Harness::new();
    harness.put("a.wasm", "shop", 1);
    harness.put("b/function.yaml", "shop", 1);
    let scan = ScanResult {
        snapshots: harness.seen.values().cloned().collect(),
        ..ScanResult::default()
    };
    let failure = duplicate_names(&scan).expect("both have one name");
    assert_eq!(failure.exit, Exit::SameName);
    for part in ["shop", "a.wasm", "b/function.yaml"] {
        assert!(failure.message.contains(part), "{failure:?}");
    }
}
