//! Parses and prints log lines of the API server.
//!
//! Long lines are split, and control characters are escaped on a terminal.

use std::io::{self, IsTerminal as _};
use std::str::FromStr as _;

use futures_util::{AsyncBufRead, AsyncBufReadExt as _};
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use crate::arguments::{Logs, Output};
use crate::sanitize;
use crate::terminal::Style;

/// The most bytes of a line. Longer ones are split.
const MAX_LINE: usize = 256 << 10;

/// A log line of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The time, if the line has one.
    pub(super) time: Option<Timestamp>,
    /// The text.
    pub(super) message: String,
}

impl Line {
    /// Splits a line into its leading time and its text. The rest of a split line has no time.
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (time, rest) = text.split_once(' ').unwrap_or((&text, ""));
        match Timestamp::from_str(time) {
            Ok(time) => Self {
                time: Some(time),
                message: rest.to_owned(),
            },
            Err(_) => Self {
                time: None,
                message: text.into_owned(),
            },
        }
    }
}

impl Line {
    /// Whether a line of a pool's log is about a function. Such a line is a JSON object with the
    /// field `function`, or a text with `function=NAME`.
    pub(super) fn is_about(&self, function: &str) -> bool {
        let message = self.message.trim();
        if let Ok(fields) = serde_json::from_str::<serde_json::Value>(message) {
            return fields["function"] == function;
        }
        let mut words = message.split(' ');
        words.any(|word| word.strip_prefix("function=") == Some(function))
    }
}

/// The lines of a stream.
pub(super) struct Lines<R> {
    reader: std::pin::Pin<Box<R>>,
    buffer: Vec<u8>,
}

impl<R: AsyncBufRead> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader: Box::pin(reader),
            buffer: Vec::new(),
        }
    }

    /// The next line; `None` at the end.
    pub(super) async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let available = self.reader.fill_buf().await?;
            if available.is_empty() {
                let rest = std::mem::take(&mut self.buffer);
                return Ok((!rest.is_empty()).then(|| Line::parse(&rest)));
            }
            let room = MAX_LINE - self.buffer.len();
            let window = &available[..available.len().min(room)];
            let end = window.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(window.len(), |end| end + 1);
            self.buffer
                .extend_from_slice(&window[..end.unwrap_or(window.len())]);
            self.reader.as_mut().consume_unpin(taken);
            if end.is_some() || self.buffer.len() == MAX_LINE {
                let line = std::mem::take(&mut self.buffer);
                return Ok(Some(Line::parse(&line)));
            }
        }
    }
}

/// Formats lines.
#[derive(Clone, Debug)]
pub(super) struct Printer {
    output: Output,
    timestamps: bool,
    container: String,
    several_pods: bool,
    /// Whether the output is a terminal, which would obey control characters.
    terminal: bool,
    style: Style,
}

#[derive(Serialize)]
struct Fields<'a> {
    pod: &'a str,
    container: &'a str,
    time: Option<String>,
    message: &'a str,
}

impl Printer {
    pub(super) fn new(arguments: &Logs, container: &str) -> Self {
        let stdout = io::stdout();
        Self {
            output: arguments.output,
            timestamps: arguments.timestamps,
            container: container.to_owned(),
            several_pods: false,
            terminal: stdout.is_terminal(),
            style: Style::of(&stdout),
        }
    }

    /// Sets whether each line names its pod.
    pub(super) fn set_several_pods(&mut self, several_pods: bool) {
        self.several_pods = several_pods;
    }

    /// Formats a line of a pod, with its line end.
    pub(super) fn show(&self, pod: &str, line: &Line) -> String {
        let time = line.time.map(|time| time.to_string());
        if self.output == Output::Json {
            let fields = Fields {
                pod,
                container: &self.container,
                time,
                message: &line.message,
            };
            // Texts can always be written as JSON.
            return serde_json::to_string(&fields).unwrap_or_default() + "\n";
        }
        let mut shown = String::new();
        if self.several_pods {
            shown.push_str(&self.style.faint(pod));
            shown.push(' ');
        }
        if let Some(time) = time.filter(|_| self.timestamps) {
            shown.push_str(&self.style.faint(&time));
            shown.push(' ');
        }
        if self.terminal {
            // A tab is the only control character that does no harm.
            let parts = line.message.split('\t').map(sanitize::lines);
            let parts: Vec<String> = parts
                .map(|part| part.trim_end_matches('\n').to_owned())
                .collect();
            shown.push_str(&parts.join("\t"));
        } else {
            shown.push_str(&line.message);
        }
        shown.push('\n');
        shown
    }
}

#[cfg(test)]
mod tests {
    use futures_util::io::Cursor;

    use super::*;

    fn line(time: Option<&str>, message: &str) -> Line {
        Line {
            time: time.map(|time| Timestamp::from_str(time).expect("a time")),
            message: message.to_owned(),
        }
    }

    #[tokio::test]
    async fn streams_become_lines() {
        async fn check(bytes: &[u8], expected: &[Line]) {
            let mut lines = Lines::new(Cursor::new(bytes));
            let mut found = Vec::new();
            while let Some(line) = lines.next().await.expect("memory can be read") {
                found.push(line);
            }
            assert_eq!(found, expected);
        }
        let time = "2026-01-01T00:00:00.000000001Z";
        check(b"", &[]).await;
        let two = format!("{time} a b\n{time} \n");
        check(
            two.as_bytes(),
            &[line(Some(time), "a b"), line(Some(time), "")],
        )
        .await;
        check(
            format!("{time} no end").as_bytes(),
            &[line(Some(time), "no end")],
        )
        .await;
        check(b"no time\n\n", &[line(None, "no time"), line(None, "")]).await;
        let latin = [time.as_bytes(), b" gr\xfc\xdf\n"].concat();
        check(&latin, &[line(Some(time), "gr\u{fffd}\u{fffd}")]).await;
        let long = vec![b'x'; MAX_LINE + 3];
        check(
            &long,
            &[line(None, &"x".repeat(MAX_LINE)), line(None, "xxx")],
        )
        .await;
    }

    #[test]
    fn a_line_of_a_pool_names_its_function() {
        let check = |message: &str, expected| {
            assert_eq!(line(None, message).is_about("hello"), expected, "{message}");
        };
        check(r#"{"level":"INFO","function":"hello","message":"m"}"#, true);
        check(
            r#"{"level":"INFO","function":"other","message":"hello"}"#,
            false,
        );
        check(r#"{"level":"INFO","message":"hello"}"#, false);
        check("INFO guest: m function=hello stream=stdout", true);
        check("INFO guest: m function=hello-2", false);
        check("hello", false);
    }

    #[test]
    fn lines_name_their_pod_when_there_are_several() {
        let plain = Printer {
            output: Output::Text,
            timestamps: false,
            container: "function".to_owned(),
            several_pods: false,
            terminal: false,
            style: Style::PLAIN,
        };
        let line = line(Some("2026-01-01T00:00:00Z"), "  a\tb\u{1b}[2J");
        let check = |printer: Printer, expected: &str| {
            assert_eq!(printer.show("hello-1", &line), expected);
        };
        check(plain.clone(), "  a\tb\u{1b}[2J\n");
        let terminal = true;
        check(
            Printer {
                terminal,
                ..plain.clone()
            },
            "  a\tb\\u{1b}[2J\n",
        );
        let several_pods = true;
        check(
            Printer {
                several_pods,
                ..plain.clone()
            },
            "hello-1   a\tb\u{1b}[2J\n",
        );
        let timestamps = true;
        check(
            Printer {
                timestamps,
                several_pods,
                terminal,
                ..plain.clone()
            },
            "hello-1 2026-01-01T00:00:00Z   a\tb\\u{1b}[2J\n",
        );
        let output = Output::Json;
        check(
            Printer { output, ..plain },
            "{\"pod\":\"hello-1\",\"container\":\"function\",\"time\":\"2026-01-01T00:00:00Z\",\
             \"message\":\"  a\\tb\\u001b[2J\"}\n",
        );
    }
}
