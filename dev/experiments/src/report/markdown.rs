//! Renders the report as Markdown: the same tables without plots.

use std::fmt::Write as _;

use super::Report;
use super::goals::{GoalResult, HEAD};

pub(super) fn text(report: &Report<'_>) -> String {
    let mut text = String::new();
    write(&mut text, report).expect("a string takes everything");
    text
}

fn write(text: &mut String, report: &Report<'_>) -> std::fmt::Result {
    writeln!(
        text,
        "# Wasm functions against containers, on the same cluster\n\n\
         A ratio is a component's median by a container's: below 1, the component is faster or smaller. In brackets is where \
         it lies with a probability of 95 %. The page with the plots is `report.html`.\n"
    )?;
    for (name, fact) in super::facts(report.run) {
        writeln!(text, "- **{name}**: {fact}")?;
    }
    writeln!(text, "\n## Goals\n")?;
    let goals: Vec<Vec<String>> = report.goals.iter().map(GoalResult::row).collect();
    table(text, &HEAD, &goals)?;
    for (title, lines) in report.findings.lists() {
        list(text, title, lines)?;
    }
    for section in &report.sections {
        let experiment = section.experiment;
        writeln!(
            text,
            "\n## {}. {}\n\n{}",
            experiment.number(),
            experiment.title(),
            section.method
        )?;
        for part in &section.parts {
            writeln!(text, "\n### {}\n", part.title)?;
            let head: Vec<&str> = part.head.iter().map(String::as_str).collect();
            table(text, &head, &part.rows)?;
        }
    }
    Ok(())
}

fn table(text: &mut String, head: &[&str], rows: &[Vec<String>]) -> std::fmt::Result {
    let line = |cells: &[&str]| {
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        format!("| {} |", cells.join(" | "))
    };
    writeln!(text, "{}", line(head))?;
    writeln!(text, "|{}", "---|".repeat(head.len()))?;
    for row in rows {
        let cells: Vec<&str> = row.iter().map(String::as_str).collect();
        writeln!(text, "{}", line(&cells))?;
    }
    Ok(())
}

fn list(text: &mut String, title: &str, lines: &[String]) -> std::fmt::Result {
    writeln!(text, "\n## {title}\n")?;
    if lines.is_empty() {
        return writeln!(text, "Nowhere.");
    }
    lines.iter().try_for_each(|line| writeln!(text, "- {line}"))
}
