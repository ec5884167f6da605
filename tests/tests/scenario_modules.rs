//! Tests modules that attack the compiler or the loader, and a cache with forged entries.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use sampan_tests::{Guests, Sampan, component};

/// Runs `sampan up` on a folder, with its data in another.
async fn up(functions: &Path, data: &Path) -> Sampan {
    let mut command = Sampan::command(functions);
    command.arg("--data").arg(data);
    Sampan::start(command).await
}

/// A small command that takes a compiler long: nested loops that each change a variable of their
/// own. The state that the compiler must carry through them grows with the square of their number.
fn slow_to_compile() -> Vec<u8> {
    const LOOPS: usize = 6000;
    let mut text = String::from("(module (func (export \"_start\") (local");
    text.push_str(&" i32".repeat(LOOPS));
    text.push_str(")\n");
    for number in 0..LOOPS {
        writeln!(
            text,
            "loop local.get {number} i32.const 1 i32.add local.set {number}"
        )
        .expect("strings take all");
    }
    for number in (0..LOOPS).rev() {
        writeln!(text, "local.get {number} br_if 0 end").expect("strings take all");
    }
    text.push_str("))");
    wat::parse_str(text).expect("it is a module")
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_7_a_compile_bomb_costs_its_own_function_only() {
    let bomb = slow_to_compile();
    let guests = Guests::none()
        .with("time", &bomb, "http: cgi\nlimits: { compileTime: 1s }\n")
        .with(
            "memory",
            &bomb,
            "http: cgi\nlimits: { compileMemory: 128Mi }\n",
        )
        .and("probe", "probe", "limits: { compileMemory: 128Mi }\n");
    let data = tempfile::tempdir().expect("a temporary folder can be made");
    let sampan = up(guests.folder(), data.path()).await;
    // The least memory that a file can allow is enough for an ordinary function.
    assert_eq!(sampan.call("probe", "/").await.text(), "probe");
    for (name, limit) in [("time", "compileTime"), ("memory", "compileMemory")] {
        let failed = sampan
            .seen("failed")
            .find(|event| event["function"] == name);
        let event = failed.unwrap_or_else(|| panic!("{name} has not failed"));
        assert!(event.to_string().contains(limit), "{event}");
        let answer = sampan.call(name, "/").await;
        assert_eq!(answer.status, 503, "{name}: {answer:?}");
    }
}

fn modules(data: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![data.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("it can be listed") {
            let path = entry.expect("it can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "cwasm")
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_9_cache_entries_that_fail_verification_are_compiled_again() {
    type Forge = fn(&[PathBuf]);
    fn each(files: &[PathBuf], forge: impl Fn(&mut Vec<u8>)) {
        for file in files {
            let mut bytes = fs::read(file).expect("it can be read");
            forge(&mut bytes);
            fs::write(file, bytes).expect("it can be written");
        }
    }
    let forgeries: [(&str, Forge, bool); 8] = [
        ("nothing", |_| {}, false),
        (
            "its first byte",
            |files| each(files, |bytes| bytes[0] ^= 1),
            true,
        ),
        (
            "a byte in its middle",
            |files| {
                each(files, |bytes| {
                    let at = bytes.len() / 2;
                    bytes[at] ^= 0x80;
                });
            },
            true,
        ),
        (
            "its last byte",
            |files| each(files, |bytes| *bytes.last_mut().expect("not empty") ^= 1),
            true,
        ),
        (
            "its end",
            |files| each(files, |bytes| bytes.truncate(bytes.len() / 2)),
            true,
        ),
        ("all of it", |files| each(files, Vec::clear), true),
        (
            "its name, with another's",
            |files| {
                let aside = files[0].with_extension("aside");
                fs::rename(&files[0], &aside).expect("it can be renamed");
                fs::rename(&files[1], &files[0]).expect("it can be renamed");
                fs::rename(&aside, &files[1]).expect("it can be renamed");
            },
            true,
        ),
        (
            "the key",
            |files| {
                let key = files[0].ancestors().map(|folder| folder.join("key"));
                let mut keys = key.into_iter().filter(|key| key.is_file());
                let key = keys.next().expect("it is above");
                fs::write(key, [7; 32]).expect("it can be written");
            },
            true,
        ),
    ];
    let guests = Guests::handlers("");
    let data = tempfile::tempdir().expect("a temporary folder can be made");
    up(guests.folder(), data.path()).await.stop().await;
    for (what, forge, compiled) in forgeries {
        let files = modules(data.path());
        assert_eq!(files.len(), 2, "{what}: {files:?}");
        forge(&files);
        let sampan = up(guests.folder(), data.path()).await;
        assert_eq!(sampan.call("probe", "/").await.text(), "probe", "{what}");
        assert_eq!(
            sampan.call("probe-03", "/").await.text(),
            "probe 0.3",
            "{what}"
        );
        let said = sampan.stderr();
        assert_eq!(
            said.matches("compiled ").count(),
            if compiled { 2 } else { 0 },
            "{what}: {said}"
        );
        assert!(sampan.stop().await.success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_8_damaged_and_random_modules_end_nothing() {
    // The same modules in every run.
    let mut numbers = Rng::with_seed(0x5eed);
    let mut guests = Guests::one("probe", "");
    let mut names = Vec::new();
    let whole = fs::read(component("probe")).expect("a built guest can be read");
    for number in 0..60 {
        let mut bytes = whole.clone();
        for _ in 0..=numbers.usize(..4) {
            let at = numbers.usize(..bytes.len());
            bytes[at] = numbers.u8(..);
        }
        if number % 6 == 0 {
            bytes.truncate(numbers.usize(..bytes.len()));
        }
        names.push(format!("damaged-{number}"));
        guests = guests.with(&names[number], &bytes, "limits: { timeout: 1s }\n");
    }
    for number in 0..60 {
        let mut seed = vec![0; 4096];
        numbers.fill(&mut seed);
        let name = format!("random-{number}");
        let module = random_command(&seed);
        guests = guests.with(&name, &module, "http: cgi\nlimits: { timeout: 1s }\n");
        names.push(name);
    }
    let sampan = Sampan::up(guests.folder()).await;
    for name in &names {
        let answer = sampan.call(name, "/").await;
        assert!(!answer.status.is_informational(), "{name}");
    }
    assert_eq!(sampan.call("probe", "/").await.text(), "probe");
    assert!(sampan.seen("ready").count() > 30, "hardly any could be run");
    assert!(sampan.seen("failed").count() > 10, "hardly any was refused");
    assert!(!sampan.stderr().contains("panicked"), "{}", sampan.stderr());
    assert!(sampan.stop().await.success());
}

/// A valid module with `_start`; the seed decides the rest.
fn random_command(seed: &[u8]) -> Vec<u8> {
    let exports = "(module (func (export \"_start\")) (memory (export \"memory\") 1))";
    let config = wasm_smith::Config {
        exports: Some(wat::parse_str(exports).expect("it is a module")),
        max_imports: 0,
        max_memories: 1,
        memory64_enabled: false,
        threads_enabled: false,
        gc_enabled: false,
        exceptions_enabled: false,
        custom_page_sizes_enabled: false,
        wide_arithmetic_enabled: false,
        shared_everything_threads_enabled: false,
        ..wasm_smith::Config::default()
    };
    let mut seed = arbitrary::Unstructured::new(seed);
    let module = wasm_smith::Module::new(config, &mut seed);
    module.expect("any seed makes a module").to_bytes()
}
