//! Made-up samples of every experiment, in the format of a run.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

/// The series of the experiments without a load, with a container's usual value and the component's
/// ratio to it.
const SERIES: [(&str, &str, u64, f64); 14] = [
    ("serial", "response", 1_000, 2.0),
    ("first", "response", 2_000, 0.9),
    ("concurrent", "response", 1_100, 1.0),
    ("instantiation", "created-to-started", 800_000, 0.5),
    ("instantiation", "created-to-answer", 900_000, 0.5),
    ("instantiation", "runtime-calls", 300_000, 0.4),
    ("size", "fetched", 600_000, 0.25),
    ("size", "stored", 1_200_000, 0.25),
    ("resources", "processor", 90_000, 1.5),
    ("resources", "idle-memory", 2 << 20, 1.5),
    ("resources", "peak-memory", 3 << 20, 1.5),
    ("density", "pod-memory", 9_000, 0.4),
    ("density", "further-pod-memory", 8_000, 0.4),
    ("burst", "burst-answer", 5_000_000, 0.5),
];

/// The kinds of a run without options.
pub(crate) const KINDS: [&str; 3] = ["wasm", "scratch", "distro"];

/// Writes `samples.jsonl.gz` of these kinds into a folder.
pub(crate) fn write(folder: &Path, functions: &[&str], kinds: &[&str]) {
    let mut lines = vec![header(), check()];
    for function in functions {
        for &kind in kinds {
            for (experiment, series, usual, factor) in SERIES {
                let is_measured = match kind {
                    "distro" => experiment == "size",
                    "pooled" => {
                        !["size", "resources"].contains(&experiment)
                            && !["created-to-started", "runtime-calls"].contains(&series)
                    }
                    _ => true,
                };
                if !is_measured {
                    continue;
                }
                let factor = match kind {
                    "wasm" => factor,
                    "scratch" => 1.0,
                    "pooled" => factor / 10.0,
                    _ => 20.0,
                };
                for turn in 0..6 {
                    lines.push(record(
                        function, kind, experiment, series, turn, usual, factor,
                    ));
                    if experiment == "burst" {
                        let all =
                            record(function, kind, experiment, "burst-all", turn, usual, factor);
                        lines.push(all);
                    }
                }
            }
            if kind != "distro" {
                lines.extend(loads(function, kind));
            }
        }
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    for line in lines {
        writeln!(encoder, "{line}").unwrap();
    }
    fs::write(folder.join("samples.jsonl.gz"), encoder.finish().unwrap()).unwrap();
}

fn record(
    function: &str,
    kind: &str,
    experiment: &str,
    series: &str,
    turn: u64,
    usual: u64,
    factor: f64,
) -> Value {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "made-up values of few digits"
    )]
    let values: Vec<u64> = (0..20)
        .map(|step| {
            let noise = 1.0 + ((turn * 20 + step) * 37 % 101) as f64 / 1000.0;
            (usual as f64 * factor * noise) as u64
        })
        .collect();
    json!({ "record": {
        "experiment": experiment, "function": function, "turn": turn, "kind": kind,
        "series": series, "values": values, "failed": 0,
    }})
}

fn loads(function: &str, kind: &str) -> Vec<Value> {
    let most = if kind == "wasm" { 3000.0 } else { 4000.0 };
    (5_u32..13)
        .map(|power| {
            let offered = f64::from(1 << power);
            let achieved = offered.min(most);
            let values: Vec<u64> = (0..50).map(|step| 300 + step * u64::from(power)).collect();
            json!({ "record": {
                "experiment": "saturation", "function": function, "turn": 0, "kind": kind,
                "series": "response", "values": values,
                "load": { "offered": offered, "achieved": achieved },
            }})
        })
        .collect()
}

fn check() -> Value {
    json!({ "check": { "function": "aes", "ours": [1000, 1010], "hey": [1000, 1040] } })
}

fn header() -> Value {
    json!({ "header": {
        "format": 1,
        "date": "2026-01-02T03:04:05Z",
        "scale": 0.2,
        "versions": {
            "revision": "0123456789ab", "kubernetes": "v1.36.3", "containerd": "2.4.2",
            "runc": "1.4.3", "wasmtime": "48.0.8",
        },
        "machine": {
            "kernel": "6.18", "system": "Debian", "processor": "A processor", "processors": 2,
            "memory_kibibytes": 25_000_000,
        },
        "limits": { "memory": "128Mi", "saturation_processor": "500m" },
    }})
}
