//! Draws answers a second against their time at rising loads, with a panel for each function.
//!
//! Medians are thick lines, 99th percentiles thin ones.

use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::frame::{Area, LEGEND, Log, draw, ends, failed, grid, legend, letters, short, text};
use super::{INK, colour};
use crate::kind::Kind;
use crate::report::figures::{Figures, Point};

/// The count of panels beside each other.
const COLUMNS: usize = 3;
const WIDTH: i32 = 320;
const HEIGHT: i32 = 230;

pub(in crate::report) fn curves(figures: &Figures) -> Result<String> {
    let functions = figures.loaded();
    let rows = i32::try_from(functions.len().div_ceil(COLUMNS))?;
    let legend_height = i32::try_from(LEGEND)?;
    let height = u32::try_from(legend_height + rows * HEIGHT)?;
    let kinds = figures.loaded_kinds();
    let title = "Answers a second (across) and ms until answered (up): median thick, p99 thin";
    draw(title, height, |area| {
        legend(area, title, &kinds)?;
        for (index, function) in functions.iter().enumerate() {
            let column = i32::try_from(index % COLUMNS)?;
            let row = i32::try_from(index / COLUMNS)?;
            let corner = (column * WIDTH, legend_height + row * HEIGHT);
            panel(area, figures, function, &kinds, corner)?;
        }
        Ok(())
    })
}

fn panel(
    area: &Area<'_>,
    figures: &Figures,
    function: &str,
    kinds: &[Kind],
    (x, y): (i32, i32),
) -> Result<()> {
    let (left, right) = (x + 52, x + WIDTH - 8);
    let (top, bottom) = (y + 24, y + HEIGHT - 28);
    text(
        area,
        function,
        HPos::Center,
        (i32::midpoint(left, right), y + 10),
    )?;
    let of = |kind: &Kind| figures.loads.get(&(function.to_owned(), *kind));
    let points: Vec<&Point> = kinds.iter().filter_map(of).flatten().collect();
    let (low, high) = ends(points.iter().map(|point| point.achieved));
    let across = Log::new(low, high, left, right);
    let (low, high) = ends(points.iter().flat_map(|point| [point.median, point.p99]));
    let up = Log::new(low, high, bottom, top);
    grid(area, left, right, &up.round_values(), |value| up.at(value))?;
    for value in across.round_values() {
        let at = across.at(value);
        let line = PathElement::new(vec![(at, top), (at, bottom)], INK.mix(0.15));
        area.draw(&line).map_err(failed)?;
        let number = Text::new(short(value), (at, bottom + 10), letters(HPos::Center, 12));
        area.draw(&number).map_err(failed)?;
    }
    for kind in kinds {
        let Some(points) = of(kind) else { continue };
        let line = |value: fn(&Point) -> f64, width: u32| {
            let path: Vec<_> = points
                .iter()
                .map(|point| (across.at(point.achieved), up.at(value(point))))
                .collect();
            let path = PathElement::new(path, colour(*kind).stroke_width(width));
            area.draw(&path).map_err(failed)
        };
        line(|point| point.p99, 1)?;
        line(|point| point.median, 3)?;
        for point in points {
            let at = (across.at(point.achieved), up.at(point.median));
            area.draw(&Circle::new(at, 3, colour(*kind).filled()))
                .map_err(failed)?;
        }
    }
    Ok(())
}
