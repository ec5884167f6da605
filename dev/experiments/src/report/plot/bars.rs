//! Draws medians as bars on a logarithmic scale, by function, with the kinds beside each other.

use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::colour;
use super::frame::{LEGEND, Log, WIDTH, draw, ends, failed, grid, legend, letters, text};
use crate::experiment::Experiment;
use crate::report::figures::Figures;
use crate::report::unit::{Unit, shown};
use crate::sample::Series;

const HEIGHT: i32 = 360;
/// The position of the values' axis.
const LEFT: i32 = 72;

pub(in crate::report) fn bars(
    figures: &Figures,
    experiment: Experiment,
    series: Series,
    title: &str,
) -> Result<String> {
    let functions = figures.functions(experiment, series);
    let kinds = figures.kinds(experiment, series);
    let value = |function: &str, kind| {
        let summary = figures.summary(experiment, series, function, kind);
        summary.map(|summary| Unit::scaled(series, summary.median))
    };
    let all = functions
        .iter()
        .flat_map(|function| kinds.iter().filter_map(|kind| value(function, *kind)));
    let (low, high) = ends(all);
    let title = format!("{title}, {} (logarithmic)", Unit::of(series).name());
    draw(&title, u32::try_from(HEIGHT)?, |area| {
        legend(area, &title, &kinds)?;
        let bottom = HEIGHT - 28;
        let right = i32::try_from(WIDTH)? - 8;
        let scale = Log::new(low / 2.0, high * 1.3, bottom, i32::try_from(LEGEND)?);
        grid(area, LEFT, right, &scale.round_values(), |value| {
            scale.at(value)
        })?;
        let width = (right - LEFT) / i32::try_from(functions.len().max(1))?;
        let bar = (width / (i32::try_from(kinds.len())? + 1)).min(60);
        for (function, left) in functions
            .iter()
            .zip((LEFT..).step_by(usize::try_from(width)?))
        {
            text(
                area,
                function,
                HPos::Center,
                (left + width / 2, bottom + 14),
            )?;
            let begin = left + (width - bar * i32::try_from(kinds.len())?) / 2;
            for (kind, left) in kinds.iter().zip((begin..).step_by(usize::try_from(bar)?)) {
                let Some(value) = value(function, *kind) else {
                    continue;
                };
                let top = scale.at(value);
                let corners = [(left + 1, top), (left + bar - 1, bottom)];
                let body = Rectangle::new(corners, colour(*kind).filled());
                area.draw(&body).map_err(failed)?;
                let number = letters(HPos::Center, 12);
                let number = Text::new(shown(value), (left + bar / 2, top - 8), number);
                area.draw(&number).map_err(failed)?;
            }
        }
        Ok(())
    })
}
