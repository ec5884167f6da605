//! Builds the tables and plots of each experiment. Pure.

use anyhow::Result;

use super::figures::{Compared, Figures};
use super::plot;
use super::published;
use super::unit::{Unit, shown, shown_ratio};
use crate::experiment::Experiment;
use crate::kind::{Kind, Place};
use crate::sample::Series;
use crate::summary::Ratio;

/// An experiment in the report.
pub(super) struct Section {
    pub(super) experiment: Experiment,
    /// The method of measurement, in a few sentences.
    pub(super) method: String,
    pub(super) parts: Vec<Part>,
}

/// A table with its plot.
pub(super) struct Part {
    pub(super) title: String,
    pub(super) head: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
    pub(super) plot: Option<String>,
}

/// A shown series of an experiment: its title, and whether it has a plot.
type Shown = (Series, &'static str, bool);

const RESPONSE: Shown = (Series::Response, "Response time", true);

fn shows(experiment: Experiment) -> (&'static str, &'static [Shown]) {
    match experiment {
        Experiment::Serial => (
            "One client, a connection a request, the next as soon as the one before is answered; the time has the connection's in it.",
            &[RESPONSE],
        ),
        Experiment::First => (
            "A pod is deleted; when its successor runs and it is gone, the successor gets one request.",
            &[RESPONSE],
        ),
        Experiment::Concurrent => (
            "Five clients at five requests a second each, at fixed times whether or not those before were answered.",
            &[RESPONSE],
        ),
        Experiment::Instantiation => (
            "A pod is deleted; times of its successor, by arrival at a watch and by containerd's log. Images are on the node.",
            &[
                (Series::CreatedToStarted, "From creation to start", true),
                (
                    Series::CreatedToAnswer,
                    "From creation to the first 200",
                    true,
                ),
                (
                    Series::RuntimeCalls,
                    "Calls of the container runtime: sandbox, create, start",
                    false,
                ),
            ],
        ),
        Experiment::Size => (
            "Bytes in the registry. What a node fetches: the index, and the manifest, configuration and layers of its platform.",
            &[
                (Series::Fetched, "What a node fetches", true),
                (
                    Series::Stored,
                    "All that is kept for the tag, for all platforms",
                    false,
                ),
            ],
        ),
        Experiment::Resources => (
            "By the container's control group: processor time over 200 requests, a connection each; memory before and the most after.",
            &[
                (Series::Processor, "Processor time of a request", true),
                (Series::IdleMemory, "Memory before the load", false),
                (Series::PeakMemory, "Most memory", true),
            ],
        ),
        Experiment::Density => (
            "Proportional memory (PSS) of all processes of an idle pod, its shim and pause process included, that has answered once; \
             the kernel's own memory for it is not in it. What a further pod adds is without what all pods of its kind share.",
            &[
                (
                    Series::FurtherPodMemory,
                    "What a further idle pod adds",
                    true,
                ),
                (
                    Series::PodMemory,
                    "Memory of an idle pod among those that were up",
                    false,
                ),
            ],
        ),
        Experiment::Burst => (
            "Many pods at once from a Deployment that had none: from the request to the first answer of each, and of the last.",
            &[
                (Series::BurstAnswer, "Until each answers", true),
                (Series::BurstAll, "Until all answer", false),
            ],
        ),
        Experiment::Saturation => (
            "Rising loads over 32 kept connections on one pod, requests at fixed times, until less than 85 % is answered.",
            &[],
        ),
    }
}

/// How a figure of a pooled function differs in meaning from that of a pod.
fn note_on_pool(experiment: Experiment) -> Option<&'static str> {
    match experiment {
        Experiment::First => Some(
            "A pooled function has no pod: its successor is a new resource, in a pool that runs and has the module.",
        ),
        Experiment::Instantiation => Some(
            "No pod of a pooled function starts: its time begins with its resource, in a pool that runs and has the module.",
        ),
        Experiment::Density => Some(
            "The memory of a pooled function is that of the pool's pod divided by its functions, which all have one component.",
        ),
        Experiment::Burst => Some(
            "Pooled functions are resources that are created at once, in a pool that runs and has the module.",
        ),
        Experiment::Saturation => Some(
            "The pool's pod has the same limit of the processor, for the one function that is called.",
        ),
        Experiment::Serial | Experiment::Concurrent | Experiment::Size | Experiment::Resources => {
            None
        }
    }
}

/// The sections of every experiment that was run.
pub(super) fn all(figures: &Figures) -> Result<Vec<Section>> {
    let mut sections = Vec::new();
    for experiment in Experiment::ALL {
        let (method, shown) = shows(experiment);
        let mut parts = Vec::new();
        for (series, title, has_plot) in shown {
            if !figures.functions(experiment, *series).is_empty() {
                parts.push(part(figures, experiment, *series, title, *has_plot)?);
            }
        }
        // Only experiment 7 has this series.
        if !figures
            .functions(experiment, Series::FurtherPodMemory)
            .is_empty()
        {
            parts.push(density(figures));
        }
        if experiment == Experiment::Saturation && !figures.loads.is_empty() {
            parts.push(saturation(figures)?);
        }
        if !parts.is_empty() {
            let has_pool = figures.has(experiment, Place::Pool);
            let note = note_on_pool(experiment).filter(|_| has_pool);
            let sentences = [Some(method), note].into_iter().flatten();
            sections.push(Section {
                experiment,
                method: sentences.collect::<Vec<_>>().join(" "),
                parts,
            });
        }
    }
    Ok(sections)
}

fn part(
    figures: &Figures,
    experiment: Experiment,
    series: Series,
    title: &str,
    has_plot: bool,
) -> Result<Part> {
    let unit = Unit::of(series);
    let kinds = figures.kinds(experiment, series);
    let pairs = pairs(&kinds);
    let has_published = |function: &&str| published::ratio(experiment, series, function).is_some();
    let functions = figures.functions(experiment, series);
    let is_published = functions.iter().any(has_published);
    // A size is a single number.
    let is_one = experiment == Experiment::Size;
    let columns: &[&str] = if is_one {
        &[""]
    } else {
        &[" median", " mean", " p95", " p99"]
    };
    let mut head = vec!["function".to_owned()];
    for kind in &kinds {
        head.extend(columns.iter().map(|column| format!("{kind}{column}")));
    }
    head.extend(pairs.iter().map(|[ours, rival]| {
        let words = format!("ratio to {rival} [95\u{a0}%]");
        heading(*ours, &words)
    }));
    if is_published {
        head.push("published ratio".to_owned());
    }
    let compared: Vec<Vec<Compared>> = pairs
        .iter()
        .map(|pair| figures.compared(experiment, series, *pair))
        .collect();
    let mut rows = Vec::new();
    for function in functions {
        let mut row = vec![function.to_owned()];
        for kind in &kinds {
            let summary = figures.summary(experiment, series, function, *kind);
            let values = summary.map(|it| [it.median, it.mean, it.p95, it.p99]);
            row.extend((0..columns.len()).map(|column| match values {
                Some(values) => shown(Unit::scaled(series, values[column])),
                None => "-".to_owned(),
            }));
            let failed = figures.failed(experiment, function, *kind);
            if failed > 0
                && let Some(last) = row.last_mut()
            {
                *last = format!("{last} ({failed} failed)");
            }
        }
        for compared in &compared {
            let found = compared.iter().find(|one| one.function == function);
            row.push(found.map_or_else(|| "-".to_owned(), |one| ratio(one, is_one)));
        }
        if is_published {
            row.push(published_ratio(experiment, series, function));
        }
        rows.push(row);
    }
    let plot = match (has_plot, is_one || experiment == Experiment::Density) {
        (false, _) => None,
        (true, true) => Some(plot::bars(figures, experiment, series, title)?),
        (true, false) => Some(plot::distributions(figures, experiment, series, title)?),
    };
    Ok(Part {
        title: format!("{title} ({})", unit.name()),
        head,
        rows,
        plot,
    })
}

/// The compared pairs of these kinds: each component with each container.
fn pairs(kinds: &[Kind]) -> Vec<[Kind; 2]> {
    let is_component = |kind: &Kind| kind.is_component();
    let (components, containers): (Vec<Kind>, Vec<Kind>) =
        kinds.iter().copied().partition(is_component);
    let of = |ours: Kind| containers.iter().map(move |rival| [ours, *rival]);
    components.into_iter().flat_map(of).collect()
}

/// The heading of a column about a component.
fn heading(ours: Kind, words: &str) -> String {
    match ours.place() {
        Place::Pods => words.to_owned(),
        Place::Pool => format!("{ours}: {words}"),
    }
}

fn ratio(compared: &Compared, is_one: bool) -> String {
    let Ratio { value, low, high } = compared.ratio;
    if is_one {
        shown_ratio(value)
    } else {
        format!("{value:.2} [{low:.2}, {high:.2}]")
    }
}

fn published_ratio(experiment: Experiment, series: Series, function: &str) -> String {
    let Some(ratio) = published::ratio(experiment, series, function) else {
        return "-".to_owned();
    };
    match (experiment, published::without_network(function)) {
        (Experiment::Size, _) => shown_ratio(ratio),
        (Experiment::Serial, Some(without)) => {
            format!("{ratio:.2} ({without:.2} without its network)")
        }
        _ => format!("{ratio:.2}"),
    }
}

/// The count of idle pods that fit into the memory.
fn density(figures: &Figures) -> Part {
    let kinds = figures.kinds(Experiment::Density, Series::FurtherPodMemory);
    let functions = figures.functions(Experiment::Density, Series::FurtherPodMemory);
    let mut head = vec!["function".to_owned()];
    head.extend(kinds.iter().map(ToString::to_string));
    let components = figures.components();
    let words = "ratio to scratch (more is better)";
    head.extend(components.iter().map(|ours| heading(*ours, words)));
    let rows = functions.into_iter().map(|function| {
        let of = |kind| figures.replicas_in_gibibyte(function, kind);
        let shown = |count: Option<f64>, digits: usize| {
            count.map_or_else(|| "-".to_owned(), |count| format!("{count:.digits$}"))
        };
        let counts = kinds.iter().map(|kind| shown(of(*kind), 0));
        let ratios = components.iter().map(|ours| {
            let ratio = of(*ours).zip(of(Kind::Scratch));
            shown(ratio.map(|(ours, theirs)| ours / theirs), 2)
        });
        let mut row = vec![function.to_owned()];
        row.extend(counts.chain(ratios));
        row
    });
    Part {
        title: "Idle pods in 1 GiB".to_owned(),
        rows: rows.collect(),
        head,
        plot: None,
    }
}

/// The greatest throughput, and the response time at about half of it.
fn saturation(figures: &Figures) -> Result<Part> {
    let kinds = figures.loaded_kinds();
    let mut head = vec!["function".to_owned()];
    for kind in &kinds {
        let columns = [
            "most answers/s",
            "p50 at half of it, ms",
            "p99 at half of it, ms",
        ];
        head.extend(columns.map(|column| format!("{kind} {column}")));
    }
    let components = figures.components();
    let words = "ratio of most to scratch (more is better)";
    head.extend(components.iter().map(|ours| heading(*ours, words)));
    let mut rows = Vec::new();
    for function in figures.loaded() {
        let mut row = vec![function.to_owned()];
        for kind in &kinds {
            let most = figures.capacity(function, *kind).unwrap_or(f64::NAN);
            let points = figures.loads.get(&(function.to_owned(), *kind));
            let half = points.and_then(|points| {
                let mut below = points.iter().rev();
                below
                    .find(|point| point.offered <= most / 2.0)
                    .or(points.first())
            });
            row.push(shown(most));
            match half {
                Some(point) => row.extend([shown(point.median), shown(point.p99)]),
                None => row.extend(["-".to_owned(), "-".to_owned()]),
            }
        }
        let of = |kind| figures.capacity(function, kind);
        row.extend(
            components
                .iter()
                .map(|ours| match (of(*ours), of(Kind::Scratch)) {
                    (Some(ours), Some(theirs)) => format!("{:.2}", ours / theirs),
                    _ => "-".to_owned(),
                }),
        );
        rows.push(row);
    }
    Ok(Part {
        title: "Answers a second against their time".to_owned(),
        head,
        rows,
        plot: Some(plot::curves(figures)?),
    })
}
