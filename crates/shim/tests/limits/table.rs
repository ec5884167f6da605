//! The table of docs/shim.md: one row for each input, one column for each environment. A run compares its own column
//! with what it measured, or writes it.

use std::fmt::Write as _;

use crate::compare::Row;
use crate::container::Runtime;
use crate::differences::reason;
use crate::environment::{ENVIRONMENTS, Environment};
use crate::snapshot::Snapshot;

const BEGIN: &str = "<!-- limits: begin -->";
const END: &str = "<!-- limits: end -->";

/// What stands in a cell before that of a systemd that sets `OOMPolicy` for scopes, where it differs.
const NEWER: &str = "<br>from systemd 253 on: ";

/// A document with the table between its two marks.
pub(crate) struct Document<'a> {
    before: &'a str,
    lines: Vec<Line>,
    after: &'a str,
}

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    family: String,
    label: String,
    cells: Vec<String>,
}

impl<'a> Document<'a> {
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (before, rest) = text.split_once(BEGIN)?;
        let (table, after) = rest.split_once(END)?;
        Some(Self {
            before,
            lines: table.lines().filter_map(Line::parse).collect(),
            after,
        })
    }

    /// Puts the measured cells into an environment's column. Rows that this machine cannot measure stay. `is_newer` says
    /// that its systemd sets `OOMPolicy` for scopes.
    pub(crate) fn fill(
        &mut self,
        environment: Environment,
        is_newer: bool,
        measured: &[(&Row, String)],
    ) {
        let column = column(environment);
        let mut lines = Vec::new();
        for (row, cell) in measured {
            let (family, label) = (row.family.name(), code(&row.label));
            let known = self
                .lines
                .iter()
                .position(|line| line.family == family && line.label == label);
            let mut line = match known {
                Some(index) => self.lines.remove(index),
                None => Line {
                    family: family.to_owned(),
                    label,
                    cells: vec![String::new(); ENVIRONMENTS.len()],
                },
            };
            line.cells[column] = with_measured(&line.cells[column], is_newer, cell);
            lines.push(line);
        }
        lines.append(&mut self.lines);
        // Families stay together, whichever machine measured them first.
        let mut order: Vec<String> = Vec::new();
        for line in &lines {
            if !order.contains(&line.family) {
                order.push(line.family.clone());
            }
        }
        let place = |line: &Line| order.iter().position(|family| *family == line.family);
        lines.sort_by(|one, other| (place(one), &one.label).cmp(&(place(other), &other.label)));
        self.lines = lines;
    }

    /// What the document says of a row in an environment.
    pub(crate) fn cell(&self, environment: Environment, is_newer: bool, row: &Row) -> Option<&str> {
        let label = code(&row.label);
        let is_it = |line: &&Line| line.family == row.family.name() && line.label == label;
        let line = self.lines.iter().find(is_it)?;
        let (older, newer) = split(&line.cells[column(environment)]);
        Some(if is_newer { newer } else { older })
    }

    pub(crate) fn text(&self) -> String {
        let names = ENVIRONMENTS.map(Environment::name).join(" | ");
        let rule = "---|".repeat(ENVIRONMENTS.len() + 2);
        let mut table = format!("| fields | value | {names} |\n|{rule}\n");
        for Line {
            family,
            label,
            cells,
        } in &self.lines
        {
            let cells = cells.join(" | ");
            writeln!(table, "| {family} | {label} | {cells} |").expect("a text takes it");
        }
        format!("{}{BEGIN}\n{table}{END}{}", self.before, self.after)
    }
}

impl Line {
    fn parse(line: &str) -> Option<Self> {
        let inner = line.trim().strip_prefix("| ")?.strip_suffix('|')?;
        let mut cells = inner.split('|').map(|cell| cell.trim().to_owned());
        let (family, label) = (cells.next()?, cells.next()?);
        let cells: Vec<_> = cells.collect();
        let is_row = cells.len() == ENVIRONMENTS.len() && family != "fields";
        is_row.then_some(Self {
            family,
            label,
            cells,
        })
    }
}

/// The parts of a cell: for a systemd before version 253, and for later ones.
fn split(cell: &str) -> (&str, &str) {
    cell.split_once(NEWER).unwrap_or((cell, cell))
}

fn with_measured(known: &str, is_newer: bool, measured: &str) -> String {
    let (older, newer) = match split(known) {
        (older, _) if is_newer => (older, measured),
        (older, newer) if older != newer => (measured, newer),
        _ => (measured, measured),
    };
    if older == newer {
        older.to_owned()
    } else {
        format!("{older}{NEWER}{newer}")
    }
}

fn column(environment: Environment) -> usize {
    let found = ENVIRONMENTS.iter().position(|one| *one == environment);
    found.expect("every environment has a column")
}

fn code(text: &str) -> String {
    text.split(" then ")
        .map(|step| format!("`{step}`"))
        .collect::<Vec<_>>()
        .join(" then ")
}

/// What a cell says: all that runc set beyond a container without limits, and where sampan differs.
pub(crate) fn cell(environment: Environment, row: &Row, without_limits: &Snapshot) -> String {
    let Some(runc) = &row.runc else {
        return "refused".to_owned();
    };
    let set = runc
        .iter()
        .filter(|(key, value)| without_limits.get(*key) != Some(*value));
    let set: Vec<_> = set.map(|(key, value)| format!("`{key}` {value}")).collect();
    let mut text = if set.is_empty() {
        "nothing".to_owned()
    } else {
        set.join("<br>")
    };
    for key in row.differing() {
        if let Some(reason) = reason(environment, &key, &row.label) {
            let value = row.value(Runtime::Sampan, &key);
            write!(text, "<br>sampan: `{key}` {value}: {reason}").expect("a text takes it");
        }
    }
    text
}

#[test]
fn a_column_is_filled_and_the_others_stay() {
    use crate::inputs::Family;
    let row = Row {
        family: Family::Pids,
        label: r#"{"limit":1} then {"limit":2}"#.to_owned(),
        runc: Some(Snapshot::from([("pids.max".to_owned(), "2".to_owned())])),
        sampan: None,
        said: None,
        is_reload: false,
    };
    let text = format!("before\n{BEGIN}\n{END}\nafter\n");
    let mut document = Document::parse(&text).expect("it has marks");
    let measured = cell(Environment::Version2, &row, &Snapshot::new());
    document.fill(Environment::Version2, false, &[(&row, measured)]);
    let first = document.text();
    let mut document = Document::parse(&first).expect("it has marks");
    document.fill(
        Environment::Version1,
        false,
        &[(&row, "nothing".to_owned())],
    );
    let second = document.text();
    let document = Document::parse(&second).expect("it has marks");
    let older = |environment| document.cell(environment, false, &row);
    assert_eq!(older(Environment::Version1), Some("nothing"));
    assert_eq!(older(Environment::Version2), Some("`pids.max` 2"));
    assert_eq!(older(Environment::Version2Systemd), Some(""));
    assert!(
        second.starts_with("before\n") && second.ends_with("\nafter\n"),
        "{second}"
    );
}

#[test]
fn a_cell_says_where_a_newer_systemd_differs() {
    let check = |known: &str, is_newer: bool, measured: &str, expected: &str| {
        assert_eq!(
            with_measured(known, is_newer, measured),
            expected,
            "{known}"
        );
    };
    let both = format!("a{NEWER}b");
    check("", false, "a", "a");
    check("a", true, "a", "a");
    check("a", true, "b", &both);
    check(&both, true, "a", "a");
    check(&both, false, "a", &both);
    check(&both, false, "c", &format!("c{NEWER}b"));
    check(&both, false, "b", "b");
    assert_eq!((split(&both), split("a")), (("a", "b"), ("a", "a")));
}
