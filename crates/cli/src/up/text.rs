//! Text output of `sampan up`: one table of all functions, then a line for each event.
//!
//! Pure: from events and times to text.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::sanitize::one_line;
use crate::terminal::Style;

use super::event::{Event, Named, Served};

/// The table waits this long for functions to become ready.
const TABLE_DELAY: Duration = Duration::from_secs(1);

/// A shorter compilation gets no spinner.
const SPINNER_DELAY: Duration = Duration::from_millis(300);

/// Without a terminal, a line at this interval shows that compiling continues.
const NOTE_INTERVAL: Duration = Duration::from_secs(5);

/// The events so far, and which of them were printed.
#[derive(Debug)]
pub(crate) struct Text {
    style: Style,
    /// Whether spinners show the compilations.
    interactive: bool,
    rows: BTreeMap<Named, Row>,
    phase: Phase,
    begun: Instant,
    noted: Instant,
    paths: String,
    watching: bool,
}

/// The phases of the output, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// The table is not shown yet: it waits for functions to become ready.
    Collecting,
    /// The table is shown; each event is a line below it.
    Listed,
    /// Every function found at the start is served or has failed.
    Settled,
}

#[derive(Debug)]
enum Row {
    Loading(Instant),
    Served(Served),
    Failed { message: String, help: String },
}

impl Text {
    pub(crate) fn new(style: Style, interactive: bool, now: Instant) -> Self {
        Self {
            style,
            interactive,
            rows: BTreeMap::new(),
            phase: Phase::Collecting,
            begun: now,
            noted: now,
            paths: String::new(),
            watching: false,
        }
    }

    /// Whether time alone can lead to output.
    pub(crate) fn is_waiting(&self) -> bool {
        self.phase < Phase::Settled || !self.loading().is_empty()
    }

    /// Compilations that have lasted long enough for a spinner.
    pub(crate) fn waiting(&self, now: Instant) -> Vec<(String, Instant)> {
        let mut loading = self.loading();
        loading.retain(|(_, since)| now.duration_since(*since) >= SPINNER_DELAY);
        loading
    }

    /// Formats an event.
    pub(crate) fn put(&mut self, event: &Event, now: Instant) -> String {
        match event {
            Event::Starting { paths, .. } => {
                self.paths = paths.join(", ");
                String::new()
            }
            Event::Listening {
                url,
                admin,
                watching,
                ..
            } => {
                self.begun = now;
                self.watching = *watching;
                let admin = admin.as_ref();
                let admin = admin.map_or_else(String::new, |admin| format!(", admin on {admin}"));
                format!("listening on {}{admin}\n", self.style.strong(url))
            }
            Event::Loading(named) => {
                self.rows.insert(named.clone(), Row::Loading(now));
                String::new()
            }
            Event::Ready(served) => {
                self.rows
                    .insert(served.named.clone(), Row::Served(served.clone()));
                if self.is_listed() {
                    self.ready(served)
                } else {
                    String::new()
                }
            }
            Event::Changed(served) => {
                // Its name may have changed.
                self.rows.retain(|named, _| named.file != served.named.file);
                self.rows
                    .insert(served.named.clone(), Row::Served(served.clone()));
                self.line(
                    "changed",
                    &served.named.function,
                    &after(served.milliseconds),
                )
            }
            Event::Failed {
                named,
                message,
                help,
                still_served,
                ..
            } => {
                if !still_served {
                    let (message, help) = (message.clone(), help.clone());
                    self.rows
                        .insert(named.clone(), Row::Failed { message, help });
                }
                if self.is_listed() || *still_served {
                    self.failed(&named.function, message, help, *still_served)
                } else {
                    String::new()
                }
            }
            Event::Removed(named) => {
                self.rows.remove(named);
                self.line("removed", &named.function, &one_line(&named.file))
            }
            Event::Settled { served, failed, .. } => {
                let table = self.table_once();
                self.phase = Phase::Settled;
                table + &self.summary(*served, *failed)
            }
            Event::Trouble { message, help } => {
                format!(
                    "{} {message}\n         {help}\n",
                    self.style.bad("trouble ")
                )
            }
            Event::Stopping { signal } => {
                format!("{signal}: requests in progress may finish; once more ends at once\n")
            }
            Event::Stopped { cut, work_cut, .. } => match (cut, work_cut) {
                (0, 0) => "stopped\n".to_owned(),
                (_, 0) => format!("stopped; connections cut off: {cut}\n"),
                _ => format!(
                    "stopped; connections cut off: {cut}, functions at work after their answers: {work_cut}\n"
                ),
            },
            // The end of the program prints the failure on standard error. This prints the rows
            // that it summarises.
            Event::Error { .. } => {
                if self.rows.len() > 1 {
                    self.table_once()
                } else {
                    String::new()
                }
            }
        }
    }

    /// The output because time has passed.
    pub(crate) fn tick(&mut self, now: Instant) -> String {
        if !self.is_listed() {
            if self.rows.is_empty() || now.duration_since(self.begun) < TABLE_DELAY {
                return String::new();
            }
            self.noted = now;
            return self.table_once();
        }
        if self.interactive || now.duration_since(self.noted) < NOTE_INTERVAL {
            return String::new();
        }
        let loading = self.loading();
        if loading.is_empty() {
            return String::new();
        }
        self.noted = now;
        let names: Vec<String> = loading
            .iter()
            .map(|(name, since)| format!("{name} ({} s)", now.duration_since(*since).as_secs()))
            .collect();
        format!("still compiling: {}\n", names.join(", "))
    }

    fn is_listed(&self) -> bool {
        self.phase >= Phase::Listed
    }

    fn loading(&self) -> Vec<(String, Instant)> {
        let rows = self.rows.iter();
        rows.filter_map(|(named, row)| match row {
            Row::Loading(since) => Some((one_line(&named.function), *since)),
            Row::Served(_) | Row::Failed { .. } => None,
        })
        .collect()
    }

    fn table_once(&mut self) -> String {
        let listed = self.is_listed();
        self.phase = self.phase.max(Phase::Listed);
        if listed || self.rows.is_empty() {
            String::new()
        } else {
            self.table()
        }
    }

    fn table(&self) -> String {
        let kind = |row: &Row| match row {
            Row::Loading(_) => "compiling",
            Row::Served(served) => served.kind,
            Row::Failed { .. } => "failed",
        };
        let names = self
            .rows
            .keys()
            .map(|named| one_line(&named.function).chars().count());
        let first = names.chain(["FUNCTION".len()]).max().unwrap_or_default();
        let kinds = self.rows.values().map(|row| kind(row).len());
        let second = kinds.chain(["KIND".len()]).max().unwrap_or_default();
        let heading = format!("{:<first$}  {:<second$}  {}", "FUNCTION", "KIND", "URL");
        let mut text = format!("\n{}\n", self.style.faint(&heading));
        for (named, row) in &self.rows {
            let name = format!("{:<first$}", one_line(&named.function));
            let shown = format!("{:<second$}", kind(row));
            let shown = match row {
                Row::Failed { .. } => self.style.bad(&shown),
                Row::Loading(_) => self.style.faint(&shown),
                Row::Served(_) => shown,
            };
            let lines = match row {
                Row::Served(served) => urls(served),
                Row::Failed { message, help } => vec![message.clone(), help.clone()],
                Row::Loading(_) => vec![one_line(&named.file)],
            };
            let beginnings = [format!("{}  {shown}", self.style.strong(&name))];
            let beginnings = beginnings
                .into_iter()
                .chain(std::iter::repeat(" ".repeat(first + second + 2)));
            for (beginning, line) in beginnings.zip(lines) {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{beginning}  {line}");
            }
        }
        text.push('\n');
        text
    }

    fn summary(&self, served: usize, failed: usize) -> String {
        let count = match (served, failed) {
            (0, _) => format!(
                "no functions yet: put a .wasm, or a folder with a function.yaml, into {}",
                one_line(&self.paths)
            ),
            (1, 0) => "1 function is ready".to_owned(),
            (served, 0) => format!("{served} functions are ready"),
            (served, failed) => format!("{served} of {} functions are ready", served + failed),
        };
        let watching = if self.watching {
            "; files are watched"
        } else {
            ""
        };
        format!("{count}{watching}; Ctrl-C stops\n")
    }

    fn ready(&self, served: &Served) -> String {
        let urls = urls(served);
        let url = urls.first().map_or("", String::as_str);
        let detail = format!("{url}  {}", self.style.faint(&after(served.milliseconds)));
        self.line("ready", &served.named.function, &detail)
    }

    fn failed(&self, name: &str, message: &str, help: &str, still_served: bool) -> String {
        let served = if still_served {
            "; the version before is still served"
        } else {
            ""
        };
        let first = self.line("failed", name, &format!("{message}{served}"));
        format!("{first}         {help}\n")
    }

    fn line(&self, what: &str, name: &str, detail: &str) -> String {
        let what = format!("{what:<8}");
        let what = if what.starts_with("failed") {
            self.style.bad(&what)
        } else {
            self.style.faint(&what)
        };
        format!("{what} {}  {detail}\n", self.style.strong(&one_line(name)))
    }
}

/// The URLs of a function, followed by the example.
fn urls(served: &Served) -> Vec<String> {
    let example = served.example.as_deref().unwrap_or_default();
    served
        .urls
        .iter()
        .map(|url| format!("{url}{}", one_line(example)))
        .collect()
}

fn after(milliseconds: u64) -> String {
    // A tenth of a second is precise enough.
    let tenths = milliseconds.div_ceil(100);
    format!("after {}.{} s", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests;
