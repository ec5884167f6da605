//! Renders the report as one HTML page without external resources, for light and dark themes.

use std::fmt::Write as _;

use super::Report;
use super::escape::escaped;
use super::goals::{GoalResult, HEAD};
use super::sections::Part;

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #ffffff; --line: #d0d0d0; --soft: #f3f3f3; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --paper: #161616; --line: #444444; --soft: #222222; }
}
body { color: var(--ink); background: var(--paper); font: 15px/1.5 system-ui, sans-serif; margin: 0 auto;
  max-width: 66rem; padding: 1rem; }
h1, h2, h3 { line-height: 1.2; }
h2 { margin-top: 2.5rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; margin: 0.5rem 0 1rem; }
th, td { border-bottom: 1px solid var(--line); padding: 0.2rem 0.6rem; text-align: right; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; }
td { white-space: nowrap; }
table.words td, table.words th { white-space: normal; text-align: left; vertical-align: top; }
thead th { background: var(--soft); }
svg { color: var(--ink); display: block; height: auto; max-width: 100%; }
";

pub(super) fn page(report: &Report<'_>) -> String {
    let mut page = String::new();
    write(&mut page, report).expect("a string takes everything");
    page
}

fn write(page: &mut String, report: &Report<'_>) -> std::fmt::Result {
    write!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>Wasm functions against containers</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>Wasm functions against containers, on the same cluster</h1>\n\
         <p>The same functions, from the same source, as WebAssembly components run by Sampan's shim and as containers run \
         by runc, on one node, in turns. A ratio is a component's median by a container's: below 1, the component is faster or \
         smaller. In brackets is where it lies with a probability of 95 %, by a bootstrap over turns. Containers have no proxy \
         before them: a harder rival than the published one.</p>\n"
    )?;
    let facts = super::facts(report.run);
    words(
        page,
        &["", ""],
        facts
            .iter()
            .map(|(name, fact)| vec![(*name).to_owned(), fact.clone()]),
    )?;
    if let Some(headline) = &report.headline {
        writeln!(
            page,
            "<h2>In one plot</h2>\n<div class=\"wide\">{headline}</div>"
        )?;
    }
    writeln!(page, "<h2>Goals</h2>")?;
    words(page, &HEAD, report.goals.iter().map(GoalResult::row))?;
    for (title, lines) in report.findings.lists() {
        list(page, title, lines)?;
    }
    for section in &report.sections {
        let experiment = section.experiment;
        writeln!(
            page,
            "<h2 id=\"{experiment}\">{}. {}</h2>\n<p>{}</p>",
            experiment.number(),
            experiment.title(),
            escaped(&section.method)
        )?;
        for part in &section.parts {
            write_part(page, part)?;
        }
    }
    writeln!(page, "</body>\n</html>")
}

fn write_part(page: &mut String, part: &Part) -> std::fmt::Result {
    writeln!(
        page,
        "<h3>{}</h3>\n<div class=\"wide\">",
        escaped(&part.title)
    )?;
    if let Some(plot) = &part.plot {
        writeln!(page, "{plot}")?;
    }
    let head: Vec<&str> = part.head.iter().map(String::as_str).collect();
    table(page, "", &head, part.rows.iter().cloned())?;
    writeln!(page, "</div>")
}

fn words(
    page: &mut String,
    head: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
) -> std::fmt::Result {
    table(page, " class=\"words\"", head, rows)
}

fn table(
    page: &mut String,
    class: &str,
    head: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
) -> std::fmt::Result {
    writeln!(page, "<table{class}>")?;
    if head.iter().any(|name| !name.is_empty()) {
        let cells = head
            .iter()
            .map(|name| format!("<th>{}</th>", escaped(name)))
            .collect::<Vec<_>>()
            .concat();
        writeln!(page, "<thead><tr>{cells}</tr></thead>")?;
    }
    writeln!(page, "<tbody>")?;
    for row in rows {
        let cells = row
            .iter()
            .map(|cell| format!("<td>{}</td>", escaped(cell)))
            .collect::<Vec<_>>()
            .concat();
        writeln!(page, "<tr>{cells}</tr>")?;
    }
    writeln!(page, "</tbody></table>")
}

fn list(page: &mut String, title: &str, lines: &[String]) -> std::fmt::Result {
    writeln!(page, "<h2>{title}</h2>")?;
    if lines.is_empty() {
        return writeln!(page, "<p>Nowhere.</p>");
    }
    let items = lines
        .iter()
        .map(|line| format!("<li>{}</li>\n", escaped(line)))
        .collect::<Vec<_>>()
        .concat();
    writeln!(page, "<ul>\n{items}</ul>")
}
