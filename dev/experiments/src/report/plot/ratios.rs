//! Draws the plot of the ratios: by function, with a panel for each experiment.
//!
//! A ratio is a dot with its interval; the published ratio is a ring beside it. The component in a
//! pool has a dot of its own below that of the pods.

use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::frame::{Area, Log, WIDTH, draw, ends, failed, letters, short, text};
use super::{INK, colour};
use crate::experiment::Experiment;
use crate::kind::{Kind, Place};
use crate::report::figures::{Compared, Figures};
use crate::sample::Series;

/// The series with a panel.
const PANELS: [(Experiment, Series, &str); 6] = [
    (Experiment::Serial, Series::Response, "serial"),
    (Experiment::First, Series::Response, "first request"),
    (Experiment::Concurrent, Series::Response, "concurrent"),
    (
        Experiment::Instantiation,
        Series::CreatedToStarted,
        "instantiation",
    ),
    (Experiment::Size, Series::Fetched, "size"),
    (Experiment::Density, Series::FurtherPodMemory, "idle memory"),
];
/// The space at the left for the functions' names.
const LEFT: i32 = 130;
const TOP: i32 = 60;
const ROW: i32 = 30;
/// How far the dots of two components are from the middle of their row.
const ASIDE: i32 = 6;

/// `None` when no two kinds were compared.
pub(in crate::report) fn ratios(figures: &Figures) -> Result<Option<String>> {
    let components = figures.components();
    let panels: Vec<(&str, Vec<Compared>)> = PANELS
        .iter()
        .map(|(experiment, series, name)| {
            let of = |ours: &Kind| figures.compared(*experiment, *series, [*ours, Kind::Scratch]);
            let compared: Vec<Compared> = components.iter().flat_map(of).collect();
            (*name, compared)
        })
        .filter(|(_, compared)| !compared.is_empty())
        .collect();
    let mut functions: Vec<&str> = panels
        .iter()
        .flat_map(|(_, compared)| compared.iter().map(|one| one.function.as_str()))
        .collect();
    functions.sort_unstable();
    functions.dedup();
    if panels.is_empty() {
        return Ok(None);
    }
    let height = u32::try_from(TOP + ROW * i32::try_from(functions.len())? + 40)?;
    let title = match components.as_slice() {
        [_] => {
            "Wasm / container (scratch), medians: left of the line the component is faster or smaller; \
             rings: published"
        }
        _ => {
            "Wasm / container (scratch), medians: left of the line the component is faster or smaller; \
             rings: published; second dots: pooled"
        }
    };
    let width = (i32::try_from(WIDTH)? - LEFT) / i32::try_from(panels.len())?;
    let plot = draw(title, height, |area| {
        text(area, title, HPos::Left, (10, 14))?;
        for (index, function) in functions.iter().enumerate() {
            text(area, function, HPos::Right, (LEFT - 10, row(index)?))?;
        }
        for (index, (name, compared)) in panels.iter().enumerate() {
            let left = LEFT + i32::try_from(index)? * width;
            let frame = (left, left + width);
            panel(area, name, compared, (&components, &functions), frame)?;
        }
        Ok(())
    })?;
    Ok(Some(plot))
}

/// The numbers at an axis between these ends: few enough to be readable, and more than the 1 that
/// is always there.
fn numbers(low: f64, high: f64) -> Vec<f64> {
    let values: &[f64] = if high / low < 5.0 {
        &[0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 4.0]
    } else {
        &[0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0]
    };
    let within = |value: &f64| (low..=high).contains(value);
    values.iter().copied().filter(within).collect()
}

/// How far below the middle of its row a component's dot is.
fn aside(ours: Kind, components: &[Kind]) -> i32 {
    match (components, ours.place()) {
        ([_], _) => 0,
        (_, Place::Pods) => -ASIDE,
        (_, Place::Pool) => ASIDE,
    }
}

fn row(index: usize) -> Result<i32> {
    Ok(TOP + ROW * i32::try_from(index)? + ROW / 2)
}

fn panel(
    area: &Area<'_>,
    name: &str,
    compared: &[Compared],
    (components, functions): (&[Kind], &[&str]),
    (left, right): (i32, i32),
) -> Result<()> {
    let (left, right) = (left + 8, right - 8);
    let bottom = TOP + ROW * i32::try_from(functions.len())?;
    text(
        area,
        name,
        HPos::Center,
        (i32::midpoint(left, right), TOP - 14),
    )?;
    // The published size is against images like today's larger ones, so a ring would be unfair.
    // The published components were in pods.
    let published = |one: &Compared| {
        let is_alike = one.series != Series::Fetched && one.ours == Kind::Wasm;
        one.published.filter(|_| is_alike)
    };
    let values = compared
        .iter()
        .flat_map(|one| [Some(one.ratio.value), published(one)])
        .flatten()
        .chain([0.7, 1.4]);
    let (low, high) = ends(values);
    let scale = Log::new(low, high, left, right);
    let line = |from: (i32, i32), to: (i32, i32), style: ShapeStyle| {
        area.draw(&PathElement::new(vec![from, to], style))
            .map_err(failed)
    };
    line((left, bottom), (right, bottom), INK.mix(0.4).into())?;
    let one = scale.at(1.0);
    line((one, TOP), (one, bottom), INK.stroke_width(1))?;
    for value in numbers(low, high) {
        let number = Text::new(
            short(value),
            (scale.at(value), bottom + 12),
            letters(HPos::Center, 12),
        );
        area.draw(&number).map_err(failed)?;
    }
    for compared in compared {
        let Some(index) = functions.iter().position(|name| *name == compared.function) else {
            continue;
        };
        let middle = row(index)?;
        line((left, middle), (right, middle), INK.mix(0.12).into())?;
        let y = middle + aside(compared.ours, components);
        let ratio = compared.ratio;
        let side = colour(match compared.ours {
            Kind::Wasm if ratio.value > 1.0 => compared.rival,
            ours => ours,
        });
        line(
            (scale.at(ratio.low), y),
            (scale.at(ratio.high), y),
            side.stroke_width(3),
        )?;
        let dot = Circle::new((scale.at(ratio.value), y), 5, side.filled());
        area.draw(&dot).map_err(failed)?;
        if let Some(published) = published(compared) {
            let ring = Circle::new((scale.at(published), y), 5, INK.mix(0.8).stroke_width(1));
            area.draw(&ring).map_err(failed)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::numbers;

    #[test]
    fn a_short_axis_has_more_than_its_middle() {
        fn check((low, high): (f64, f64), expected: &[f64]) {
            assert_eq!(numbers(low, high), expected, "{low} to {high}");
        }
        check((0.65, 1.5), &[0.7, 1.0, 1.5]);
        check((0.65, 2.2), &[0.7, 1.0, 1.5, 2.0]);
        check((0.08, 1.5), &[0.1, 0.2, 0.5, 1.0]);
    }
}
