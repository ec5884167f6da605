//! Draws strips of samples with boxes over them, by function, with the kinds beside each other.

use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::frame::{LEGEND, Log, WIDTH, draw, ends, failed, grid, legend, text};
use super::{INK, colour};
use crate::experiment::Experiment;
use crate::kind::Kind;
use crate::report::figures::Figures;
use crate::report::unit::Unit;
use crate::sample::Series;
use crate::summary::{Summary, Turns, float, seeded};

const HEIGHT: u32 = 400;
/// The most dots of a strip, from a reproducible random choice.
const MAX_DOTS: usize = 80;
/// The position of the values' axis.
const LEFT: i32 = 64;
/// The distance between the boxes of one function, as a part of a function's width.
const BOX_DISTANCE: f64 = 0.3;

/// A strip with its box.
struct Strip {
    kind: Kind,
    dots: Vec<f64>,
    summary: Summary,
}

pub(in crate::report) fn distributions(
    figures: &Figures,
    experiment: Experiment,
    series: Series,
    title: &str,
) -> Result<String> {
    let functions = figures.functions(experiment, series);
    let kinds = figures.kinds(experiment, series);
    let strips = |function: &str| -> Vec<Strip> {
        let kinds = kinds.iter();
        kinds
            .filter_map(|kind| {
                let turns = figures.turns(experiment, series, function, *kind)?;
                strip(*kind, series, turns)
            })
            .collect()
    };
    let all: Vec<(&str, Vec<Strip>)> = functions
        .iter()
        .map(|function| (*function, strips(function)))
        .collect();
    let whiskers = all.iter().flat_map(|(_, strips)| strips).flat_map(|strip| {
        let Summary { p5, p95, .. } = strip.summary;
        [p5, p95]
    });
    let (low, high) = ends(whiskers);
    let unit = Unit::of(series).name();
    let title = format!("{title}, {unit} (logarithmic)");
    draw(&title, HEIGHT, |area| {
        legend(area, &title, &kinds)?;
        let bottom = i32::try_from(HEIGHT)? - 28;
        let right = i32::try_from(WIDTH)? - 8;
        // Strips go beyond their boxes; the farthest dots are drawn at the edge.
        let scale = Log::new(low / 1.1, high * 1.4, bottom, i32::try_from(LEGEND)?);
        grid(area, LEFT, right, &scale.round_values(), |value| {
            scale.at(value)
        })?;
        let width = f64::from(right - LEFT) / float(all.len() as u64);
        for (index, (function, strips)) in all.iter().enumerate() {
            let middle = f64::from(LEFT) + width * (float(index as u64) + 0.5);
            text(area, function, HPos::Center, (pixel(middle), bottom + 14))?;
            for (place, strip) in strips.iter().enumerate() {
                let aside = float(place as u64) - float(strips.len() as u64 - 1) / 2.0;
                let apart = (width * BOX_DISTANCE).min(90.0);
                paint(area, strip, middle + aside * apart, apart, scale)?;
            }
        }
        Ok(())
    })
}

fn strip(kind: Kind, series: Series, turns: &Turns) -> Option<Strip> {
    let of = |value: f64| Unit::scaled(series, value);
    let summary = Summary::of(turns)?;
    let all = turns.sorted();
    let mut random = seeded();
    let dots = if all.len() <= MAX_DOTS {
        all
    } else {
        (0..MAX_DOTS)
            .map(|_| all[random.usize(..all.len())])
            .collect()
    };
    Some(Strip {
        kind,
        dots: dots.into_iter().map(|value| of(float(value))).collect(),
        summary: Summary {
            p5: of(summary.p5),
            p25: of(summary.p25),
            median: of(summary.median),
            p75: of(summary.p75),
            p95: of(summary.p95),
            ..summary
        },
    })
}

fn paint(
    area: &super::frame::Area<'_>,
    strip: &Strip,
    middle: f64,
    width: f64,
    scale: Log,
) -> Result<()> {
    let mut random = seeded();
    let colour = colour(strip.kind);
    for value in &strip.dots {
        let aside = (random.f64() - 0.5) * width * 0.8;
        let at = (pixel(middle + aside), scale.at(*value));
        area.draw(&Circle::new(at, 2, colour.mix(0.45).filled()))
            .map_err(failed)?;
    }
    let half = (width * 0.3).min(18.0);
    let (left, right) = (pixel(middle - half), pixel(middle + half));
    let Summary {
        p5,
        p25,
        median,
        p75,
        p95,
        ..
    } = strip.summary;
    let [p5, p25, median, p75, p95] = [p5, p25, median, p75, p95].map(|value| scale.at(value));
    let middle = pixel(middle);
    let line = |points: Vec<(i32, i32)>, wide: u32| {
        area.draw(&PathElement::new(points, INK.stroke_width(wide)))
            .map_err(failed)
    };
    line(vec![(middle, p5), (middle, p25)], 1)?;
    line(vec![(middle, p75), (middle, p95)], 1)?;
    let body = Rectangle::new([(left, p75), (right, p25)], colour.mix(0.35).filled());
    area.draw(&body).map_err(failed)?;
    let edge = Rectangle::new([(left, p75), (right, p25)], INK.stroke_width(1));
    area.draw(&edge).map_err(failed)?;
    line(vec![(left, median), (right, median)], 3)
}

#[expect(clippy::cast_possible_truncation, reason = "pixels")]
fn pixel(value: f64) -> i32 {
    value.round() as i32
}
