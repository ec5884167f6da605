//! Draws plots as SVG with `plotters`. Their ink is the page's text colour, so they are readable on
//! light and on dark.
//!
//! The colours are those of Okabe and Ito's palette, which colour-blind readers can distinguish.
//! They have a contrast of at least three on white and on black.

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

use super::escape::escaped;
use crate::kind::Kind;

/// The placeholder of the page's text colour while a plot is drawn.
const INK: RGBColor = RGBColor(1, 2, 3);
/// The same in SVG.
const INK_WRITTEN: &str = "#010203";

/// The colour of a kind.
fn colour(kind: Kind) -> RGBColor {
    match kind {
        Kind::Wasm => RGBColor(0, 114, 178),
        Kind::Scratch => RGBColor(213, 94, 0),
        Kind::Distro => RGBColor(0, 158, 115),
        Kind::Pooled => RGBColor(204, 121, 167),
    }
}

/// Makes a drawn plot a part of a page.
fn inlined(svg: &str, title: &str) -> String {
    let title = escaped(title);
    let svg = svg.replace(INK_WRITTEN, "currentColor").replacen(
        "<svg ",
        &format!("<svg role=\"img\" aria-label=\"{title}\" "),
        1,
    );
    svg.trim().to_owned()
}

/// Makes a plot a file of its own, with its own ink and background.
pub(super) fn standalone(svg: &str) -> String {
    // It needs its own background, because a browser with a light theme may show a page with a dark
    // one.
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
