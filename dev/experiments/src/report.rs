//! Writes the report of a run, from its samples alone: a page, a text and a plot for the project's
//! front page.
//!
//! [Figures](figures) are computed from samples, and [sections](sections) are tables and plots of
//! them. Two writers render the same sections as HTML and as Markdown.

mod escape;
mod figures;
mod findings;
mod goals;
mod html;
mod markdown;
mod plot;
mod published;
mod sections;
mod unit;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::kind::Place;
use super::sample::{Record, Run};
use figures::Figures;
use sections::Section;

/// The content that both writers render.
struct Report<'a> {
    run: &'a Run,
    goals: Vec<goals::GoalResult>,
    findings: findings::Findings,
    headline: Option<String>,
    sections: Vec<Section>,
}

/// Writes the report's files into a folder, and returns their paths.
pub(super) fn write(run: &Run, folder: &Path) -> Result<Vec<PathBuf>> {
    let figures = Figures::of(run);
    let report = Report {
        run,
        goals: goals::judge(&figures),
        findings: findings::find(&figures),
        headline: plot::ratios(&figures)?,
        sections: sections::all(&figures)?,
    };
    let mut files = vec![
        ("report.html", html::page(&report)),
        ("report.md", markdown::text(&report)),
    ];
    if let Some(headline) = &report.headline {
        files.push(("PLOT.svg", plot::standalone(headline)));
    }
    let mut paths = Vec::new();
    for (name, text) in files {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))?;
        paths.push(path);
    }
    Ok(paths)
}

/// The facts of the run, as both writers list them.
fn facts(run: &Run) -> Vec<(&'static str, String)> {
    let header = &run.header;
    let (versions, machine) = (&header.versions, &header.machine);
    let mut facts = vec![
        ("date", header.date.clone()),
        (
            "scale",
            format!("{} of the published durations and counts", header.scale),
        ),
        ("revision", versions.revision.clone()),
        (
            "versions",
            format!(
                "Kubernetes {}, containerd {}, runc {}, wasmtime {}",
                versions.kubernetes, versions.containerd, versions.runc, versions.wasmtime
            ),
        ),
        (
            "machine",
            format!(
                "{} processors ({}), {:.1} GiB, {}, Linux {}",
                machine.processors,
                machine.processor,
                super::summary::float(machine.memory_kibibytes) / f64::from(1 << 20),
                machine.system,
                machine.kernel
            ),
        ),
        (
            "limits of each pod",
            format!(
                "{} of memory; {} of a processor in experiment 9, none in the others",
                header.limits.memory, header.limits.saturation_processor
            ),
        ),
    ];
    let is_pooled = |record: &Record| record.unit.kind.place() == Place::Pool;
    if run.records.iter().any(is_pooled) {
        facts.push((
            "pooled functions",
            "in one pod of the pool of their namespace, with the processor of other pods and its own limit of memory"
                .to_owned(),
        ));
    }
    if let Some(check) = &run.check {
        let agreement = super::check_load::Agreement::of(check);
        facts.push((
            "load generator",
            format!(
                "own, beside hey at the same pod ({}): {agreement}",
                check.function
            ),
        ));
    }
    if header.scale.is_tiny() {
        facts.push((
            "beware",
            "this run only shows that everything works; its figures mean nothing".to_owned(),
        ));
    }
    facts
}
