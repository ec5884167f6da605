//! `sampan inspect`: describes a file, and whether this host can run it.

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use sampan_engine::{Inspection, Kind};
use sampan_spec::LIMITS;
use serde::Serialize;

use crate::arguments::{Inspect, Output};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{pretty_json, print};
use crate::sanitize::{lines, one_line};
use crate::source::read_bytes;
use crate::terminal::Style;

/// Describes a file. Ends with [`Exit::NotRunnable`] if this host cannot run it.
pub(crate) fn inspect(arguments: &Inspect) -> Result<ExitCode, Failure> {
    let file = &arguments.file;
    let report = read(file)
        .and_then(|bytes| {
            sampan_engine::inspect(&bytes).map_err(|error| Failure::inspect(file, &error))
        })
        .map(|inspection| Report::new(file, &inspection));
    match (report, arguments.output) {
        (Ok(report), Output::Text) => {
            print(&text(&report, Style::of(&io::stdout())))?;
            Ok(report.exit().into())
        }
        (Ok(report), Output::Json) => {
            print(&pretty_json(&report)?)?;
            Ok(report.exit().into())
        }
        (Err(failure), Output::Text) => Err(failure),
        (Err(failure), Output::Json) => {
            print(&pretty_json(&JsonFailure::new(file, &failure))?)?;
            Err(failure)
        }
    }
}

/// The largest WebAssembly file of any function, in bytes.
pub(crate) fn most_bytes() -> u64 {
    LIMITS
        .iter()
        .find(|limit| limit.key == "artifact")
        .map_or(u64::MAX, |limit| limit.bound.most)
}

/// Reads a file. Rejects one that is larger than any function may be.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let most = most_bytes();
    let bytes = read_bytes(file, most).map_err(|error| Failure::read(file, &error))?;
    if bytes.len() as u64 > most {
        return Err(Failure::new(
            Exit::Wasm,
            format!(
                "{}: more than {most} bytes, the most that any function may have",
                file.display()
            ),
            "build it smaller: without debug information, optimised for size",
        ));
    }
    Ok(bytes)
}

/// The output.
#[derive(Debug, Serialize)]
struct Report {
    file: String,
    /// Whether `sampan up` or `sampan run` can run it.
    runnable: bool,
    /// `http-0.2`, `http-0.3`, `command-0.2` or `command-preview1`, if it can be called.
    kind: Option<&'static str>,
    /// The kind for users, or the reason why there is nothing to run.
    description: String,
    /// Whether it is a component; otherwise it is a core module.
    component: bool,
    size: u64,
    digest: String,
    /// The imports that this host lacks.
    missing: Vec<String>,
    /// Advice.
    help: String,
    imports: Vec<String>,
    exports: Vec<String>,
    /// The world as WIT, for components.
    world: Option<String>,
}

/// The JSON output of a failed inspection.
#[derive(Debug, Serialize)]
struct JsonFailure<'a> {
    file: String,
    runnable: bool,
    error: &'a str,
    help: &'a str,
    exit_code: u8,
}

impl<'a> JsonFailure<'a> {
    fn new(file: &Path, failure: &'a Failure) -> Self {
        Self {
            file: file.display().to_string(),
            runnable: false,
            error: &failure.message,
            help: &failure.help,
            exit_code: failure.exit.code(),
        }
    }
}

impl Report {
    fn new(file: &Path, inspection: &Inspection) -> Self {
        let kind = inspection.kind.as_ref();
        let help = match kind {
            // The output already has its exit code and its message.
            Err(error) => Failure::load(file, error).help,
            Ok(_) if !inspection.missing.is_empty() => {
                "build it without what this host lacks: WASI and wasi:http only".to_owned()
            }
            Ok(Kind::HttpHandler02 | Kind::HttpHandler03) => {
                one_line(&format!("sampan up {}", file.display()))
            }
            Ok(Kind::Command02 | Kind::CommandPreview1) => {
                one_line(&format!("sampan run {}", file.display()))
            }
        };
        Self {
            file: file.display().to_string(),
            runnable: inspection.runs(),
            kind: kind.ok().map(|kind| kind.as_str()),
            description: match kind {
                Ok(kind) => kind.to_string(),
                Err(error) => error.to_string(),
            },
            component: inspection.component,
            size: inspection.size,
            digest: inspection.digest.clone(),
            missing: inspection.missing.clone(),
            help,
            imports: inspection.imports.clone(),
            exports: inspection.exports.clone(),
            world: inspection.world.clone(),
        }
    }

    fn exit(&self) -> Exit {
        if self.runnable {
            Exit::Success
        } else {
            Exit::NotRunnable
        }
    }
}

/// The output as text.
fn text(report: &Report, style: Style) -> String {
    let mut text = String::new();
    let mut row = |label: &str, value: &str| {
        let label = style.strong(&format!("{label:<9}"));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{label} {value}");
    };
    row("file", &one_line(&report.file));
    row("is", &one_line(&report.description));
    row("size", &format!("{} bytes", grouped(report.size)));
    row("digest", &report.digest);
    let verdict = match (report.runnable, report.missing.is_empty()) {
        (true, _) => format!("yes: {}", report.help),
        (false, true) => format!("{}: {}", style.bad("no"), report.help),
        (false, false) => format!("{}, this host lacks what it imports", style.bad("no")),
    };
    row("runs here", &verdict);
    list(&mut row, "missing", &report.missing);
    if !report.missing.is_empty() {
        row("", &report.help);
    }
    list(&mut row, "imports", &report.imports);
    list(&mut row, "exports", &report.exports);
    if let Some(world) = &report.world {
        row("world", "as WIT:");
        text.push('\n');
        text.push_str(&lines(world));
    }
    text
}

fn list(row: &mut impl FnMut(&str, &str), label: &str, names: &[String]) {
    let labels = std::iter::once(label).chain(std::iter::repeat(""));
    for (label, name) in labels.zip(names) {
        row(label, &one_line(name));
    }
}

/// A number with a comma before every three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        let check = |number, expected: &str| assert_eq!(grouped(number), expected);
        check(0, "0");
        check(999, "999");
        check(1_000, "1,000");
        check(84_211, "84,211");
        check(12_345_678, "12,345,678");
    }

    #[test]
    fn the_text_describes_the_file_and_gives_advice() {
        fn check(wat: &str, exit: Exit, parts: &[&str]) {
            let bytes = wat::parse_str(wat).expect("the test's module is valid");
            let inspection = sampan_engine::inspect(&bytes).expect("it is WebAssembly");
            let report = Report::new(Path::new("x.wasm"), &inspection);
            assert_eq!(report.exit(), exit, "{wat}");
            let text = text(&report, Style::PLAIN);
            for part in parts {
                assert!(text.contains(part), "{wat} lacks {part}: {text}");
            }
        }
        check(
            r#"(module (func (export "_start")))"#,
            Exit::Success,
            &[
                "a command (WASI preview 1 module)",
                "yes: sampan run x.wasm",
                "_start",
            ],
        );
        check(
            r#"(module (import "acme" "evil\1b[2J" (func)) (func (export "_start")))"#,
            Exit::NotRunnable,
            &[
                "no, this host lacks",
                "missing   acme evil\\u{1b}[2J",
                "WASI and wasi:http only",
            ],
        );
        check(
            "(module)",
            Exit::NotRunnable,
            &["_start", "no: build a program"],
        );
        check(
            r#"(module (memory i64 1) (func (export "_start")))"#,
            Exit::NotRunnable,
            &["memory64", "no: build it without this proposal"],
        );
        check(
            "(component)",
            Exit::NotRunnable,
            &["exports neither", "world     as WIT:"],
        );
    }
}
