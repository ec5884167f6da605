//! Tests of idle modules: they leave memory, and the next call loads them again. This program also
//! compiles.

mod support;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sampan_engine::{CallError, CommandIo, Engine, LoadError, LoadedFunction, Observer, Wasm};
use sampan_spec::Function;

use support::{COMMAND, engine_config};

const OTHER: &str = r#"(module (memory (export "memory") 2) (func (export "_start")))"#;

/// Longer than any operation under test takes.
const TEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The number of times that the engine has released memory.
static MEMORY_RELEASES: AtomicUsize = AtomicUsize::new(0);

/// The result of each lookup in the cache.
#[derive(Default)]
struct CacheLookups(Mutex<Vec<bool>>);

impl Observer for CacheLookups {
    fn cache(&self, hit: bool) {
        self.0.lock().expect("not poisoned").push(hit);
    }
}

#[tokio::test]
async fn an_idle_module_leaves_memory_and_returns_with_a_call() {
    /// `meanwhile` receives the function's file and the folder of compiled modules. `expected` has
    /// the result of each lookup in that folder, and is `None` when the module cannot be loaded
    /// again.
    async fn check(what: &str, meanwhile: impl FnOnce(&Path, &Path), expected: Option<&[bool]>) {
        let folder = tempfile::tempdir().unwrap();
        let (file, cache) = (folder.path().join("f.wasm"), folder.path().join("cache"));
        fs::write(&file, wat::parse_str(COMMAND).unwrap()).unwrap();
        let engine = engine(&cache);
        let asked = Arc::new(CacheLookups::default());
        let function = Arc::new(Function::bare("f".parse().unwrap()));
        let observer = Arc::clone(&asked);
        let before = MEMORY_RELEASES.load(Ordering::SeqCst);
        let loaded = engine
            .load(function, Wasm::File(file.clone()), observer)
            .await
            .unwrap();
        until(what, || !is_mapped(&cache)).await;
        until(what, || MEMORY_RELEASES.load(Ordering::SeqCst) > before).await;
        meanwhile(&file, &cache);
        let known = match run(&loaded).await {
            Ok(_) => Some(asked.0.lock().unwrap().clone()),
            Err(CallError::Reload(LoadError::Link(_))) => None,
            Err(error) => panic!("{what}: {error}"),
        };
        assert_eq!(known.as_deref(), expected, "{what}");
    }

    let forget = |cache: &Path| {
        for file in fs::read_dir(cache.join("modules")).unwrap() {
            fs::remove_file(file.unwrap().path()).unwrap();
        }
    };
    check("nothing happens", |_, _| {}, Some(&[false, true])).await;
    check(
        "the cache is emptied",
        |_, cache| forget(cache),
        Some(&[false, false]),
    )
    .await;
    let change = |file: &Path| fs::write(file, wat::parse_str(OTHER).unwrap()).unwrap();
    check(
        "the file is changed",
        |file, _| change(file),
        Some(&[false, true]),
    )
    .await;
    check(
        "the cache is emptied and the file changed",
        |file, cache| {
            forget(cache);
            change(file);
        },
        None,
    )
    .await;
}

fn engine(cache: &Path) -> Engine {
    let mut config = engine_config(cache);
    config.instances = 16;
    config.module_idle = Some(Duration::ZERO);
    config.release_memory = || {
        MEMORY_RELEASES.fetch_add(1, Ordering::SeqCst);
    };
    Engine::new(&config).expect("the engine starts")
}

async fn run(function: &LoadedFunction) -> Result<i32, CallError> {
    function.run(CommandIo::default()).await
}

/// Whether this process has a compiled module of this cache in memory.
fn is_mapped(cache: &Path) -> bool {
    let maps = fs::read_to_string("/proc/self/maps").expect("the kernel lists mappings");
    let folder = cache.to_string_lossy();
    maps.lines()
        .any(|line| line.contains(&*folder) && line.contains(".cwasm"))
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            // There is no event to wait for.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(TEST_TIMEOUT, wait).await;
    assert!(waited.is_ok(), "{what}: it does not happen");
}
