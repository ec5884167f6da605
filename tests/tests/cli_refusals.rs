//! Tests the errors of bad input. Each is one line with the cause and the place, one line with a
//! remedy, and an exit code of docs/cli.md; never a panic.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use sampan_tests::{Guests, component, program};
use tempfile::TempDir;

fn sampan(arguments: &[&str], folder: &Path) -> Output {
    Command::new(program("sampan"))
        .args(arguments)
        .current_dir(folder)
        .env("XDG_DATA_HOME", folder.join("data"))
        .env_remove("RUST_LOG")
        .output()
        .expect("it starts")
}

/// Checks that the output is one error with its advice, and that its first line has all of these
/// parts.
fn check_refused(output: &Output, code: i32, parts: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    let errors: Vec<_> = said
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    let advice = said
        .lines()
        .filter(|line| line.starts_with("help: "))
        .count();
    assert_eq!((errors.len(), advice), (1, 1), "{said}");
    for part in parts {
        assert!(errors[0].contains(part), "no {part} in: {said}");
    }
    for trace in ["panicked", "stack backtrace", "RUST_BACKTRACE"] {
        assert!(!said.contains(trace), "{said}");
    }
}

/// A folder with these files; WebAssembly texts are assembled.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("it can be made");
        let bytes = if text.starts_with('(') {
            wat::parse_str(text).expect("it is WebAssembly")
        } else {
            text.as_bytes().to_vec()
        };
        fs::write(path, bytes).expect("it can be written");
    }
    folder
}

const COMMAND: &str = "(module (func (export \"_start\")))";
const IMPORTS: &str =
    "(component (import \"wasi:keyvalue/store@0.2.0\" (instance (export \"f\" (func)))))";
const UP: [&str; 4] = ["up", "--no-watch", "--listen", "127.0.0.1:0"];

#[test]
fn scenario_40_a_file_that_cannot_be_served_is_refused_with_its_cause() {
    let check = |files: &[(&str, &str)], path: &str, code, parts: &[&str]| {
        let folder = folder(files);
        let output = sampan(&[&UP[..], &[path]].concat(), folder.path());
        check_refused(&output, code, parts);
    };
    check(&[], "nowhere.wasm", 10, &["nowhere.wasm"]);
    check(
        &[("a.wasm", "hello")],
        "a.wasm",
        11,
        &["a.wasm", "not WebAssembly"],
    );
    check(&[("a.wasm", "\0asm")], "a.wasm", 11, &["a.wasm"]);
    check(&[("a.wasm", "")], "a.wasm", 11, &["a.wasm"]);
    check(
        &[("a.wasm", "(module)")],
        "a.wasm",
        14,
        &["a.wasm", "_start", "it exports nothing"],
    );
    check(&[("a.wasm", "(component)")], "a.wasm", 14, &["a.wasm"]);
    check(
        &[("a.wasm", COMMAND)],
        "a.wasm",
        14,
        &["a.wasm", "not an HTTP handler"],
    );
    check(&[], ".", 15, &["no functions"]);
}

#[test]
fn a_function_file_is_refused_with_line_and_column() {
    let check = |text: &str, parts: &[&str]| {
        let folder = folder(&[("f/function.yaml", text), ("f/f.wasm", COMMAND)]);
        let output = sampan(&[&UP[..], &["f"]].concat(), folder.path());
        check_refused(&output, 12, parts);
    };
    check("name: f\nlimitz: {}\n", &["function.yaml:2:1", "limitz"]);
    check(
        "name: f\nlimits:\n  memory: lots\n",
        &["function.yaml:3:11", "lots"],
    );
    check("name: f\nlimits: 7\n", &["function.yaml:2:9"]);
    check("name: F!\n", &["function.yaml:1:7", "F!"]);
    check("name: [f\n", &["function.yaml"]);
    check("name: f\nname: f\n", &["function.yaml:2"]);
}

#[test]
fn the_advice_for_an_unknown_key_has_the_keys_that_are_allowed() {
    let folder = folder(&[("function.yaml", "nam: f\n"), ("f.wasm", COMMAND)]);
    let output = sampan(&[&UP[..], &["."]].concat(), folder.path());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    for key in ["name", "limits", "outbound", "env"] {
        assert!(said.contains(key), "{said}");
    }
}

#[test]
fn two_functions_of_one_name_are_refused_with_both() {
    let folder = folder(&[("a/shop.wasm", COMMAND), ("b/shop.wasm", COMMAND)]);
    let output = sampan(&[&UP[..], &["a", "b"]].concat(), folder.path());
    check_refused(&output, 13, &["shop", "a/shop.wasm", "b/shop.wasm"]);
}

#[test]
fn scenario_40_an_address_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it has one").to_string();
    let guests = Guests::one("probe", "");
    let path = guests.folder().to_str().expect("it is text");
    let folder = folder(&[]);
    let output = sampan(&["up", path, "--listen", &address], folder.path());
    check_refused(&output, 16, &[&address]);
    let admin = ["up", path, "--listen", "127.0.0.1:0", "--admin", &address];
    check_refused(&sampan(&admin, folder.path()), 16, &[&address]);
}

#[test]
fn scenario_40_a_data_folder_that_cannot_be_used_is_named() {
    let guests = Guests::one("probe", "");
    let path = guests.folder().to_str().expect("it is text");
    let folder = folder(&[("file", "in the way")]);
    let output = sampan(
        &[&UP[..], &[path, "--data", "file/data"]].concat(),
        folder.path(),
    );
    check_refused(&output, 17, &["file/data"]);
}

/// Mounts a file system that is tiny or read-only, visible only to the program that follows.
const MOUNT: &str = "mount -t tmpfs -o \"$1\" tmpfs \"$2\" && shift 2 && exec \"$@\"";

#[test]
fn scenario_40_a_full_or_read_only_disk_is_reported() {
    for (options, name) in [("size=64k", "full"), ("ro", "read-only")] {
        let guests = Guests::one("probe", "");
        let data = tempfile::tempdir().expect("a temporary folder can be made");
        let output = Command::new("unshare")
            .args(["--mount", "sh", "-c", MOUNT, "sh", options])
            .arg(data.path())
            .arg(program("sampan"))
            .args(UP)
            .arg(guests.folder())
            .arg("--data")
            .arg(data.path())
            .output()
            .expect("unshare can be started");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.contains("error: "),
            "{name} (which needs root): {said}"
        );
        check_refused(&output, 17, &[data.path().to_str().expect("it is text")]);
    }
}

#[test]
fn missing_imports_are_named() {
    let folder = folder(&[("a.wasm", IMPORTS), ("command.wasm", COMMAND)]);
    let output = sampan(&["inspect", "a.wasm"], folder.path());
    assert_eq!(output.status.code(), Some(14));
    let json = sampan(&["inspect", "a.wasm", "--output", "json"], folder.path());
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("it is JSON");
    assert_eq!(json["missing"][0], "wasi:keyvalue/store@0.2.0", "{json}");
    let output = sampan(&["inspect", "command.wasm"], folder.path());
    assert_eq!(output.status.code(), Some(0));
    let probe = component("probe");
    let output = sampan(&["inspect", probe.to_str().expect("text")], folder.path());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in [
        "wasi:http 0.2",
        "wasi:http/incoming-handler",
        "runs here yes",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn every_command_judges_by_the_same_features_of_webassembly() {
    let registry = "127.0.0.1:9/never:1";
    for (feature, module) in [
        ("memory64", "(memory i64 1)"),
        ("multi-memory", "(memory 1) (memory 1)"),
        ("shared", "(memory 1 1 shared)"),
        ("custom page sizes", "(memory 1 (pagesize 1))"),
    ] {
        let text = format!("(module {module} (func (export \"_start\")))");
        let described = ("f/function.yaml", "name: f\nhttp: cgi\n");
        let folder = folder(&[("f/f.wasm", text.as_str()), described]);
        let refusal = "a feature that this host does not run";
        let refused = |arguments: &[&str]| {
            check_refused(&sampan(arguments, folder.path()), 14, &["f.wasm", refusal]);
        };
        refused(&["run", "f/f.wasm"]);
        refused(&["push", "f/f.wasm", registry]);
        refused(&[&UP[..], &["f"]].concat());
        let output = sampan(&["inspect", "f/f.wasm"], folder.path());
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(14), "{feature}: {shown}");
        assert!(shown.contains(refusal), "{feature}: {shown}");
    }
}

#[test]
fn every_command_judges_by_the_same_imports() {
    let registry = "127.0.0.1:9/never:1";
    for (import, name) in [
        (
            "\"wasi_snapshot_preview1\" \"sock_open\"",
            "wasi_snapshot_preview1 sock_open",
        ),
        ("\"wasi_unstable\" \"fd_write\"", "wasi_unstable fd_write"),
        ("\"env\" \"emscripten_notify\"", "env emscripten_notify"),
    ] {
        let text = format!(
            "(module (import {import} (func (param i32 i32 i32) (result i32))) (func (export \"_start\")))"
        );
        let described = ("f/function.yaml", "name: f\nhttp: cgi\n");
        let folder = folder(&[("f/f.wasm", text.as_str()), described]);
        let parts = ["f.wasm", "this host lacks", name];
        let refused = |arguments: &[&str]| {
            check_refused(&sampan(arguments, folder.path()), 14, &parts);
        };
        refused(&["run", "f/f.wasm"]);
        refused(&["push", "f/f.wasm", registry]);
        refused(&[&UP[..], &["f"]].concat());
        let output = sampan(&["inspect", "f/f.wasm", "--output", "json"], folder.path());
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
        assert_eq!(json["missing"][0], name, "{json}");
        assert_eq!(output.status.code(), Some(14), "{json}");
    }
}

#[test]
fn commands_get_their_arguments_and_set_the_exit_code() {
    let command = component("command");
    let command = command.to_str().expect("it is text");
    let folder = folder(&[]);
    let output = sampan(
        &[
            "run",
            command,
            "--env",
            "GREETING=hi",
            "--",
            "one",
            "two words",
            "3",
        ],
        folder.path(),
    );
    // A component of WASI 0.2 can only report failure; its toolchain loses the code itself.
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout);
    let expected =
        "arguments [\"one\", \"two words\", \"3\"]\nvariable GREETING=hi\ninput Ok(\"\")\n";
    assert_eq!(said, expected);
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "this is standard error\n"
    );
}

#[test]
fn a_command_sets_the_low_byte_of_the_exit_code_and_never_success_by_it() {
    let check = |code: i32, expected| {
        let exit = format!(
            "(module
                (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))
                (memory (export \"memory\") 1)
                (func (export \"_start\") (call $exit (i32.const {code}))))"
        );
        let folder = folder(&[("exit.wasm", exit.as_str())]);
        let output = sampan(&["run", "exit.wasm"], folder.path());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(expected), "{code}: {said}");
        assert_eq!(said, "", "{code}");
    };
    check(0, 0);
    check(3, 3);
    check(125, 125);
    check(126, 126);
    check(134, 134);
    check(255, 255);
    check(256, 1);
    check(300, 44);
    check(-1, 255);
    check(i32::MIN, 1);
}

#[test]
fn a_command_that_traps_or_does_not_end_has_a_code_of_its_own() {
    let trap = "(module (func (export \"_start\") unreachable))";
    let endless = "(module (func (export \"_start\") (loop br 0)))";
    let folder = folder(&[("trap.wasm", trap), ("endless.wasm", endless)]);
    check_refused(
        &sampan(&["run", "trap.wasm"], folder.path()),
        134,
        &["trap.wasm"],
    );
    let output = sampan(
        &["run", "endless.wasm", "--timeout", "200ms"],
        folder.path(),
    );
    check_refused(&output, 124, &["endless.wasm"]);
    let probe = component("probe");
    let output = sampan(&["run", probe.to_str().expect("text")], folder.path());
    check_refused(&output, 14, &["probe.wasm"]);
}

#[test]
fn the_schema_and_the_completions_are_printed() {
    let folder = folder(&[]);
    let schema = sampan(&["schema"], folder.path());
    let checked_in = fs::read(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../docs/function.schema.json"
    ));
    let schema: serde_json::Value = serde_json::from_slice(&schema.stdout).expect("it is JSON");
    let checked_in: serde_json::Value =
        serde_json::from_slice(&checked_in.expect("it is there")).expect("it is JSON");
    assert_eq!(schema, checked_in);
    for shell in ["bash", "zsh", "fish"] {
        let output = sampan(&["completions", shell], folder.path());
        assert!(output.status.success(), "{shell}");
        let script = String::from_utf8_lossy(&output.stdout).into_owned();
        for command in ["up", "run", "inspect", "new"] {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
}
