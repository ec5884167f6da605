//! Tests the report as its reader sees it.
//!
//! The built program writes it from samples alone, and a real browser shows it in light and in
//! dark.
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::browser::{Picture, Theme, screenshot};
use support::samples::{self, KINDS};

const FUNCTIONS: [&str; 2] = ["aes", "n-body"];
const BLUE: [u8; 3] = [0, 114, 178];
const VERMILION: [u8; 3] = [213, 94, 0];
/// The kinds of a run with `--pooled`.
const WITH_POOL: [&str; 4] = ["wasm", "scratch", "distro", "pooled"];

/// Writes samples of these kinds into a folder, and makes their report.
fn report(folder: &Path, kinds: &[&str]) {
    samples::write(folder, &FUNCTIONS, kinds);
    let output = Command::new(env!("CARGO_BIN_EXE_sampan-bench"))
        .arg("report")
        .arg(folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
fn a_report_names_everything_that_was_measured_and_loads_nothing() {
    let folder = tempfile::tempdir().unwrap();
    report(folder.path(), &KINDS);
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let (page, text) = (read("report.html"), read("report.md"));
    for document in [&page, &text] {
        for expected in [
            "1. Serial execution",
            "2. First execution after instantiation",
            "3. Concurrent execution",
            "4. Instantiation",
            "5. Artifact size",
            "6. Processor time and memory",
            "7. Density",
            "8. Burst",
            "9. Saturation",
            "Where the container wins",
            "MISSED",
            "reached",
            "aes",
            "n-body",
            "0123456789ab",
            "within 5 %",
        ] {
            assert!(
                document.contains(expected),
                "{expected} is missing in {document}"
            );
        }
    }
    for svg in [page.as_str(), &read("PLOT.svg")] {
        // The name of an XML namespace is no address.
        let rest = svg.replace("http://www.w3.org/2000/svg", "");
        for reaching in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!rest.contains(reaching), "{reaching} is in {svg}");
        }
    }
    // The container's samples are smaller in the first experiment, and larger in the fourth.
    let won = text.split("## Where the container wins").nth(1).unwrap();
    let (won, lost) = won.split_once("## Where the component wins").unwrap();
    assert!(
        won.contains("response time of one client (experiment 1): aes 2.0"),
        "{won}"
    );
    assert!(!won.contains("creation to its start"), "{won}");
    assert!(
        lost.contains("creation to its start (experiment 4): aes 0.5"),
        "{lost}"
    );
    assert_eq!(
        page.matches("<svg ").count(),
        page.matches("</svg>").count()
    );
    assert!(page.matches("<svg ").count() >= 10);
}

#[test]
fn a_pool_is_a_series_of_its_own_where_it_was_measured() {
    let texts = [&KINDS[..], &WITH_POOL].map(|kinds| {
        let folder = tempfile::tempdir().unwrap();
        report(folder.path(), kinds);
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        (read("report.md"), read("report.html"), read("PLOT.svg"))
    });
    let [
        (text, page, plot),
        (with_pool, page_with_pool, plot_with_pool),
    ] = texts;
    for without in [&text, &page, &plot] {
        assert!(!without.contains("pool"), "{without}");
    }
    for expected in [
        "| 1 | pooled, median response: geometric mean at most 1.05 |",
        "response time of one client, pooled (experiment 1): aes 0.2",
        "| function | wasm median |",
        "| pooled: ratio to scratch [95\u{a0}%] |",
        "| pooled: ratio to scratch (more is better) |",
        "The memory of a pooled function is that of the pool's pod divided by its functions",
        "No pod of a pooled function starts",
        "- **pooled functions**: ",
    ] {
        assert!(with_pool.contains(expected), "{expected}: {with_pool}");
    }
    // Each line without a pool is still there, but for tables, which are wider.
    for line in text.lines().filter(|line| line.starts_with('#')) {
        assert!(with_pool.contains(line), "{line}: {with_pool}");
    }
    for (without, with) in [(&page, &page_with_pool), (&plot, &plot_with_pool)] {
        let purple = |svg: &str| svg.matches("#CC79A7").count();
        assert_eq!(purple(without), 0);
        assert!(purple(with) > 0, "{with}");
    }
}

#[test]
fn the_same_samples_make_the_same_report() {
    let pages = [(), ()].map(|()| {
        let folder = tempfile::tempdir().unwrap();
        report(folder.path(), &KINDS);
        fs::read_to_string(folder.path().join("report.html")).unwrap()
    });
    assert!(pages[0] == pages[1]);
}

#[test]
fn a_browser_shows_plots_on_light_and_on_dark() {
    let folder = tempfile::tempdir().unwrap();
    report(folder.path(), &KINDS);
    for (theme, is_paper, is_ink) in [
        (
            Theme::Light,
            Picture::is_light as fn([u8; 3]) -> bool,
            Picture::is_dark as fn([u8; 3]) -> bool,
        ),
        (Theme::Dark, Picture::is_dark, Picture::is_light),
    ] {
        for name in ["report.html", "PLOT.svg"] {
            let picture = screenshot(&folder.path().join(name), theme);
            let about = format!("{name} in {theme:?}");
            for colour in [BLUE, VERMILION] {
                let count = picture.count(|pixel| pixel == colour);
                assert!(count > 50, "{about}: {count} pixels are {colour:?}");
            }
            let (paper, ink) = (picture.count(is_paper), picture.count(is_ink));
            assert!(ink > 500, "{about}: {ink} pixels are ink");
            let share = if name == "report.html" { 2 } else { 20 };
            assert!(
                paper > picture.len() / share,
                "{about}: {paper} pixels are paper"
            );
        }
    }
}
