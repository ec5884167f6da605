//! Lines as the API server sends them, and as they are shown.
//!
//! Refuses to hold a line without end, and to let one through to a terminal as it is.

use std::io::{self, IsTerminal as _};
use std::str::FromStr as _;

use futures_util::{AsyncBufRead, AsyncBufReadExt as _};
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use crate::arguments::{Logs, Output};
use crate::shown;
use crate::terminal::Style;

/// The most bytes of a line. What is longer becomes several lines.
const MOST: usize = 256 << 10;

/// A line that a container printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// When, if that could be told.
    pub(super) time: Option<Timestamp>,
    /// What.
    pub(super) message: String,
}

impl Line {
    /// Takes a line with a time in front apart. The rest of a line that was too long has none.
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
            let room = MOST - self.buffer.len();
            let window = &available[..available.len().min(room)];
            let end = window.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(window.len(), |end| end + 1);
            self.buffer
                .extend_from_slice(&window[..end.unwrap_or(window.len())]);
            self.reader.as_mut().consume_unpin(taken);
            if end.is_some() || self.buffer.len() == MOST {
                let line = std::mem::take(&mut self.buffer);
                return Ok(Some(Line::parse(&line)));
            }
        }
    }
}

/// How lines are shown.
#[derive(Clone, Debug)]
pub(super) struct Printer {
    output: Output,
    timestamps: bool,
    container: String,
    several: bool,
    /// A terminal would obey what is in the lines.
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
    pub(super) fn new(arguments: &Logs) -> Self {
        let stdout = io::stdout();
        Self {
            output: arguments.output,
            timestamps: arguments.timestamps,
            container: arguments.container.clone(),
            several: false,
            terminal: stdout.is_terminal(),
            style: Style::of(&stdout),
        }
    }

    /// Whether each line has to say whose it is.
    pub(super) fn several(&mut self, several: bool) {
        self.several = several;
    }

    /// A line of a pod, with its end.
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
        if self.several {
            shown.push_str(&self.style.faint(pod));
            shown.push(' ');
        }
        if let Some(time) = time.filter(|_| self.timestamps) {
            shown.push_str(&self.style.faint(&time));
            shown.push(' ');
        }
        if self.terminal {
            // Tabs are the only control characters that do no harm there.
            let parts = line.message.split('\t').map(shown::lines);
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
        let long = vec![b'x'; MOST + 3];
        check(&long, &[line(None, &"x".repeat(MOST)), line(None, "xxx")]).await;
    }

    #[test]
    fn lines_say_whose_they_are_when_there_are_several() {
        let plain = Printer {
            output: Output::Text,
            timestamps: false,
            container: "function".to_owned(),
            several: false,
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
        let several = true;
        check(
            Printer {
                several,
                ..plain.clone()
            },
            "hello-1   a\tb\u{1b}[2J\n",
        );
        let timestamps = true;
        check(
            Printer {
                timestamps,
                several,
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
