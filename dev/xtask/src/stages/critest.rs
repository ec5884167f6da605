//! Runs critest, the validation tests of CRI: all of it, or a short part.

use anyhow::{Result, bail};
use sampan_checkout::cargo;
use sampan_checkout::machine::Need;
use sampan_checkout::repository::Repository;
use sampan_cluster::critest::{NEEDS, Part, run};

use super::recorder::Recorder;

pub(super) fn needs() -> Vec<Need> {
    [NEEDS, &[Need::Protoc]].concat()
}

/// Builds the shim unless it was built, runs the specs of a part, and records the comparison.
pub(super) fn run_part(
    repository: &Repository,
    recorder: &mut Recorder,
    part: Part,
    built: bool,
) -> Result<()> {
    if !built {
        let mut programs = cargo::main_workspace(repository, "build");
        recorder.run(programs.args(["--release", "--workspace", "--bins"]))?;
    }
    let comparison = run(repository, part)?;
    let table = comparison.to_string();
    for line in table.lines() {
        recorder.log_line(line)?;
    }
    let (same, wrong) = (comparison.same, comparison.failures());
    recorder.log_line(&format!(
        "test result: critest. {same} passed; {wrong} failed; 0 ignored"
    ))?;
    eprint!("{table}");
    if !comparison.is_success() {
        bail!("{wrong} specs of critest differ from runc without a reason in docs/shim.md");
    }
    Ok(())
}
