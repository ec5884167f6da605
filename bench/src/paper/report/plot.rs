//! Plots as SVG, drawn by `plotters`: they take their ink from the page around them, and so are readable on light
//! and on dark.
//!
//! Colours are of the palette of Okabe and Ito, which the colour-blind can tell apart, chosen for three parts of
//! contrast on white and on black alike.

mod bars;
mod curves;
mod distributions;
mod frame;
mod ratios;

use plotters::prelude::RGBColor;

pub(super) use bars::bars;
pub(super) use curves::curves;
pub(super) use distributions::distributions;
pub(super) use ratios::ratios;

use crate::paper::kind::Kind;

/// What stands for the ink of the page while a plot is drawn.
const INK: RGBColor = RGBColor(1, 2, 3);
/// The same as it is written.
const INK_WRITTEN: &str = "#010203";

/// A kind's colour.
fn colour(kind: Kind) -> RGBColor {
    match kind {
        Kind::Wasm => RGBColor(0, 114, 178),
        Kind::Scratch => RGBColor(213, 94, 0),
        Kind::Distro => RGBColor(0, 158, 115),
    }
}

/// Makes what was drawn part of a page.
fn inlined(svg: &str, title: &str) -> String {
    let title = super::html::escaped(title);
    let svg = svg.replace(INK_WRITTEN, "currentColor").replacen(
        "<svg ",
        &format!("<svg role=\"img\" aria-label=\"{title}\" "),
        1,
    );
    svg.trim().to_owned()
}

/// Makes a plot a file of its own, which has its own ink and ground.
pub(super) fn standalone(svg: &str) -> String {
    // With a ground of its own: a page in dark may be shown by a browser in light.
    let style = "<style>svg { color: #1b1b1b; background: #ffffff } \
                 @media (prefers-color-scheme: dark) { svg { color: #e6e6e6; background: #161616 } }</style>";
    match svg.find('>') {
        Some(end) => format!("{}{style}{}\n", &svg[..=end], &svg[end + 1..]),
        None => svg.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_takes_its_ink_from_the_page_or_brings_its_own() {
        let drawn = "<svg width=\"1\"><text fill=\"#010203\">a</text></svg>\n";
        let inline = inlined(drawn, "a <plot>");
        assert_eq!(
            inline,
            "<svg role=\"img\" aria-label=\"a &lt;plot&gt;\" width=\"1\"><text fill=\"currentColor\">a</text></svg>"
        );
        let alone = standalone(&inline);
        assert!(alone.contains("prefers-color-scheme: dark"), "{alone}");
        assert!(alone.starts_with("<svg role"), "{alone}");
    }
}
