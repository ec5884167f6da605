//! Shared parts of all plots: a canvas, text, a legend, an axis of values.

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{INK, colour, inlined};
use crate::kind::Kind;
use crate::report::unit::shown;

/// The width of a plot, in pixels.
pub(super) const WIDTH: u32 = 960;
/// The height of the legend above the plot.
pub(super) const LEGEND: u32 = 30;
/// The size of letters.
const LETTERS: u32 = 15;

/// The drawing area of a plot.
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws a plot.
pub(super) fn draw(
    title: &str,
    height: u32,
    paint: impl FnOnce(&Area<'_>) -> Result<()>,
) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        paint(&area)?;
        area.present().map_err(failed)?;
    }
    Ok(inlined(&svg, title))
}

/// Drawing into a string fails only by a mistake in the plot.
pub(super) fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("a plot cannot be drawn: {error}")
}

/// A style of letters with a horizontal anchor.
pub(super) fn letters(horizontal: HPos, size: u32) -> TextStyle<'static> {
    ("sans-serif", size)
        .into_font()
        .color(&INK)
        .pos(Pos::new(horizontal, VPos::Center))
}

/// Draws ordinary text.
pub(super) fn text(area: &Area<'_>, words: &str, horizontal: HPos, at: (i32, i32)) -> Result<()> {
    area.draw(&Text::new(
        words.to_owned(),
        at,
        letters(horizontal, LETTERS),
    ))
    .map_err(failed)
}

/// Draws the kinds with their colours, at the top beside the title: with their short names where
/// the others leave no room for it.
pub(super) fn legend(area: &Area<'_>, title: &str, kinds: &[Kind]) -> Result<()> {
    text(area, title, HPos::Left, (10, 14))?;
    let right = i32::try_from(WIDTH)? - 10;
    let titles: Vec<&str> = kinds.iter().map(|kind| kind.title()).collect();
    let has_room = 20 + width(title)? + legend_width(&titles)? <= right;
    let names = if has_room {
        titles
    } else {
        kinds.iter().map(|kind| kind.name()).collect()
    };
    let mut left = right - legend_width(&names)?;
    for (kind, name) in kinds.iter().zip(names) {
        let mark = Circle::new((left, 14), 6, colour(*kind).filled());
        area.draw(&mark).map_err(failed)?;
        text(area, name, HPos::Left, (left + 12, 14))?;
        left += legend_width(&[name])?;
    }
    Ok(())
}

/// The width of names with their marks.
fn legend_width(names: &[&str]) -> Result<i32> {
    names.iter().map(|name| Ok(width(name)? + 36)).sum()
}

/// An estimate of the width of a text; the reader's font is unknown here.
fn width(words: &str) -> Result<i32> {
    Ok(i32::try_from(words.len() * 7)?)
}

/// Draws lines across at the values of an axis, with their numbers at the left. `at` gives the
/// height of a value.
pub(super) fn grid(
    area: &Area<'_>,
    left: i32,
    right: i32,
    values: &[f64],
    at: impl Fn(f64) -> i32,
) -> Result<()> {
    for value in values {
        let height = at(*value);
        let line = PathElement::new(vec![(left, height), (right, height)], INK.mix(0.15));
        area.draw(&line).map_err(failed)?;
        text(area, &short(*value), HPos::Right, (left - 6, height))?;
    }
    Ok(())
}

/// The least and the greatest value of an axis without negative values.
pub(super) fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::MAX, 0.0_f64), |(low, high), value| {
        (low.min(value), high.max(value))
    })
}

/// A value of an axis without trailing zeros.
pub(super) fn short(value: f64) -> String {
    let text = shown(value);
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A logarithmic scale from values to pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Log {
    low: f64,
    high: f64,
    from: i32,
    to: i32,
}

impl Log {
    /// A scale from `low` at the pixel `from` to `high` at the pixel `to`, a little wider at both
    /// ends.
    pub(super) fn new(low: f64, high: f64, from: i32, to: i32) -> Self {
        let low = low.max(1e-9);
        let high = high.max(low);
        Self {
            low: low / 1.1,
            high: high * 1.1,
            from,
            to,
        }
    }

    /// The pixel of a value; a value beyond an end is drawn at the end.
    #[expect(clippy::cast_possible_truncation, reason = "pixels")]
    pub(super) fn at(self, value: f64) -> i32 {
        let value = value.clamp(self.low, self.high);
        let part = (value / self.low).ln() / (self.high / self.low).ln();
        self.from + (f64::from(self.to - self.from) * part).round() as i32
    }

    /// Round values on the scale: 1, 2 and 5 of each power of ten, or fewer of them if there are
    /// many.
    pub(super) fn round_values(self) -> Vec<f64> {
        let within = |steps: &[f64]| -> Vec<f64> {
            (-9..13)
                .flat_map(|power| steps.iter().map(move |step| step * 10_f64.powi(power)))
                .filter(|value| *value >= self.low && *value <= self.high)
                .collect()
        };
        let many = within(&[1.0, 2.0, 5.0]);
        match many.len() {
            0..=2 => within(&[1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0]),
            3..=9 => many,
            _ => within(&[1.0]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logarithmic_scale_goes_from_end_to_end() {
        let scale = Log::new(1.0, 100.0, 400, 0);
        assert_eq!(scale.at(10.0), 200);
        assert!(scale.at(1.0) > 370 && scale.at(100.0) < 30);
        assert_eq!((scale.at(0.0), scale.at(1e9)), (400, 0));
        assert_eq!(
            scale.round_values(),
            [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]
        );
        assert_eq!(Log::new(1.0, 1e6, 0, 9).round_values().len(), 7);
        assert!(Log::new(3.0, 3.0, 0, 9).round_values().contains(&3.0));
    }

    #[test]
    fn numbers_of_an_axis_are_short() {
        fn check(value: f64, expected: &str) {
            assert_eq!(short(value), expected);
        }
        check(0.5, "0.5");
        check(20.0, "20");
        check(100.0, "100");
        check(1.25, "1.25");
    }
}
