//! Tests of logs from outside: this test runs itself and reads the child's stderr.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Stdio};

use sampan_telemetry::{Color, LogFormat, LogOptions, LogsError};

const SCENE: &str = "SAMPAN_TEST_SCENE";

/// Not a test of its own: the child's work if the variable names a scene.
#[test]
fn scene() {
    let Ok(scene) = std::env::var(SCENE) else {
        return;
    };
    let format = if scene.contains("json") {
        LogFormat::Json
    } else {
        LogFormat::Text
    };
    let color = if scene.contains("color") {
        Color::Always
    } else {
        Color::Auto
    };
    let filter = scene
        .contains("filter")
        .then(|| "warn,access=off".to_owned());
    let options = LogOptions {
        format,
        color,
        filter,
    };
    let logs = options.init().unwrap();
    assert!(matches!(options.init(), Err(LogsError::AlreadySetUp(_))));
    tracing::info!(function = "primes", "answered \u{1b}[31mred");
    tracing::debug!("a detail");
    tracing::warn!(target: "access", status = 200, "request");
    drop(logs);
}

/// Runs the scene and returns its output on stderr.
fn run(scene: &str, environment: &[(&str, &str)]) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "scene", "--nocapture", "--quiet"])
        .env_remove("RUST_LOG")
        .env(SCENE, scene)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn text_is_uncoloured_without_a_terminal_and_control_characters_are_escaped() {
    let text = run("text", &[]);
    assert!(text.contains("INFO"), "{text}");
    assert!(text.contains("answered"), "{text}");
    assert!(text.contains("primes"), "{text}");
    assert!(text.contains("access"), "{text}");
    assert!(!text.contains("a detail"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn text_is_coloured_on_request() {
    assert!(run("text color", &[]).contains("\u{1b}["));
}

#[test]
fn json_is_one_object_a_line_with_the_fields_on_top() {
    let text = run("json color", &[]);
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert_eq!(lines[0]["function"], "primes");
    assert_eq!(lines[0]["level"], "INFO");
    assert_eq!(lines[0]["message"], "answered \u{1b}[31mred");
    assert_eq!(lines[1]["target"], "access");
    assert_eq!(lines[1]["status"], 200);
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn options_override_the_environment_and_that_the_default() {
    assert!(run("text", &[("RUST_LOG", "debug")]).contains("a detail"));
    assert!(run("text", &[("RUST_LOG", "")]).contains("answered"));
    assert_eq!(run("text filter", &[("RUST_LOG", "debug")]), "");
}
