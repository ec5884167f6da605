//! The published figures, for comparison with the measured ones.
//!
//! Source: V. Kjorveziroski and S. Filiposka, WebAssembly Orchestration in the Context of
//! Serverless Computing, Journal of Network and Systems Management 31, 62, 2023: means of Wasm and
//! of a container of `OpenFaaS`.

use crate::experiment::Experiment;
use crate::sample::Series;

/// About how much of each serial response was the network, in milliseconds.
const NETWORK: f64 = 38.0;

/// A function's means, the component first.
struct Row {
    function: &'static str,
    /// Milliseconds.
    serial: [f64; 2],
    concurrent: [f64; 2],
    first: [f64; 2],
    /// Seconds.
    instantiation: [f64; 2],
    /// Kilobytes.
    size: [f64; 2],
}

const fn row(
    function: &'static str,
    serial: [f64; 2],
    concurrent: [f64; 2],
    first: [f64; 2],
    instantiation: [f64; 2],
    size: [f64; 2],
) -> Row {
    Row {
        function,
        serial,
        concurrent,
        first,
        instantiation,
        size,
    }
}

const ROWS: [Row; 9] = [
    row(
        "aes",
        [60.3, 51.7],
        [89.6, 75.4],
        [65.4, 58.0],
        [0.82, 1.72],
        [132.0, 8780.0],
    ),
    row(
        "float-operation",
        [39.7, 40.4],
        [57.6, 59.7],
        [43.9, 45.6],
        [0.82, 1.72],
        [122.0, 8790.0],
    ),
    row(
        "fuzzysearch",
        [133.1, 140.4],
        [173.2, 150.4],
        [139.2, 158.5],
        [0.82, 1.74],
        [712.0, 52620.0],
    ),
    row(
        "linear-equations",
        [49.7, 43.1],
        [75.8, 63.0],
        [53.7, 47.5],
        [0.83, 1.71],
        [161.0, 8920.0],
    ),
    row(
        "matmul",
        [57.4, 45.0],
        [84.6, 65.0],
        [60.3, 50.0],
        [0.83, 1.70],
        [134.0, 8850.0],
    ),
    row(
        "n-body",
        [40.3, 39.6],
        [59.8, 60.6],
        [44.9, 46.1],
        [0.84, 1.73],
        [562.0, 50970.0],
    ),
    row(
        "prime-numbers",
        [39.7, 39.6],
        [59.0, 60.3],
        [44.5, 45.0],
        [0.84, 1.72],
        [675.0, 50950.0],
    ),
    row(
        "user-manager",
        [79.8, 81.1],
        [109.8, 98.6],
        [86.1, 103.0],
        [0.81, 1.72],
        [733.0, 52500.0],
    ),
    row(
        "whatlang",
        [40.5, 39.8],
        [60.6, 61.2],
        [45.0, 46.8],
        [0.81, 1.73],
        [753.0, 51040.0],
    ),
];

/// The published ratio of an experiment, if it measured this series.
pub(super) fn ratio(experiment: Experiment, series: Series, function: &str) -> Option<f64> {
    let row = ROWS.iter().find(|row| row.function == function)?;
    let [ours, theirs] = match (experiment, series) {
        (Experiment::Serial, Series::Response) => row.serial,
        (Experiment::Concurrent, Series::Response) => row.concurrent,
        (Experiment::First, Series::Response) => row.first,
        (Experiment::Instantiation, Series::CreatedToStarted) => row.instantiation,
        (Experiment::Size, Series::Fetched) => row.size,
        _ => return None,
    };
    Some(ours / theirs)
}

/// The serial ratio without the time of the network, if both have more than two milliseconds left.
/// With less, the rounding of the means would dominate.
pub(super) fn without_network(function: &str) -> Option<f64> {
    let row = ROWS.iter().find(|row| row.function == function)?;
    let [ours, theirs] = row.serial.map(|mean| mean - NETWORK);
    (ours > 2.0 && theirs > 2.0).then(|| ours / theirs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_those_of_the_published_means() {
        fn check(found: Option<f64>, expected: Option<f64>) {
            let round = |value: f64| (value * 100.0).round() / 100.0;
            assert_eq!(found.map(round), expected);
        }
        check(
            ratio(Experiment::Serial, Series::Response, "matmul"),
            Some(1.28),
        );
        check(
            ratio(Experiment::Instantiation, Series::CreatedToStarted, "aes"),
            Some(0.48),
        );
        check(
            ratio(Experiment::Instantiation, Series::RuntimeCalls, "aes"),
            None,
        );
        check(ratio(Experiment::Serial, Series::Response, "hello"), None);
        check(without_network("aes"), Some(1.63));
        check(without_network("matmul"), Some(2.77));
        check(without_network("n-body"), None);
    }
}
