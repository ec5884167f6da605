//! Parses the command lines of `paper` and `report`.

use std::path::PathBuf;

use clap::Args;

use super::experiment::Experiment;
use super::kind::Kind;
use super::scale::Scale;

/// The options of `paper`.
#[derive(Debug, Args)]
pub struct Paper {
    /// Run only this experiment, by number or name; may be given several times
    ///
    /// 1 serial, 2 first, 3 concurrent, 4 instantiation, 5 size are the published ones. The others
    /// go beyond them: 6 resources, 7 density, 8 burst and 9 saturation.
    #[arg(long = "experiment", value_name = "EXPERIMENT")]
    pub(crate) experiments: Vec<Experiment>,

    /// Measure only this function; may be given several times
    #[arg(long = "function", value_name = "NAME")]
    pub(crate) functions: Vec<String>,

    /// The scale of the published durations and counts: a fraction, or `tiny`
    ///
    /// 1 takes about five hours, 0.2 about one; `tiny` does everything once, and its figures mean
    /// nothing.
    #[arg(long, value_name = "FRACTION", default_value = "0.2")]
    pub(crate) scale: Scale,

    #[command(flatten)]
    pub(crate) more: MoreKinds,

    /// Resume the run in the folder: finished units are not measured again
    #[arg(long)]
    pub(crate) resume: bool,

    /// Only compare the load generator with `hey`
    #[arg(long)]
    pub(crate) check_load: bool,

    /// The folder of the samples; dev/experiments/results/DATE-MACHINE when it is not given
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,

    /// The file that names the images. `cargo xtask bench` makes them and sets its path.
    #[arg(long, value_name = "FILE", env = "SAMPAN_BENCH_IMAGES")]
    pub(crate) images: PathBuf,
}

/// The kinds that are measured only when they are asked for.
#[derive(Debug, Args)]
pub(crate) struct MoreKinds {
    /// Measure containers on a small Debian base as well, not only static programs alone in theirs
    #[arg(long)]
    distro: bool,

    /// Measure components in a pool as well, not only in pods
    ///
    /// In all experiments but 5 and 6. Needs the operator on the cluster, with an image of the pool.
    #[arg(long)]
    pooled: bool,
}

impl MoreKinds {
    /// All kinds of the run.
    pub(crate) fn kinds(&self) -> Vec<Kind> {
        let mut kinds = vec![Kind::Wasm, Kind::Scratch];
        kinds.extend(self.distro.then_some(Kind::Distro));
        kinds.extend(self.pooled.then_some(Kind::Pooled));
        kinds
    }
}

/// The options of `report`.
#[derive(Debug, Args)]
pub struct ReportOf {
    /// The folder of a run's samples
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
}
