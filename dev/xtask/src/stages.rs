//! `cargo xtask test`: runs every test of the project, in stages.
//!
//! This is the list of the stages, with the needs and the commands of each. [`recorder`] runs
//! commands, [`report`] prints the results.

mod cluster;
mod critest;
mod new_function;
mod recorder;
mod report;
mod vm;

use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use sampan_build::functions::{self, FUNCTIONS_FOLDER, Function};
use sampan_build::guests;
use sampan_checkout::cargo;
use sampan_checkout::machine::{Machine, Missing, Need};
use sampan_checkout::repository::Repository;
use sampan_checkout::toolchain::{self, Choice};
use sampan_cluster::critest::Part;
use sampan_cluster::{KubernetesVersion, TOOLS_FOLDER};
use sampan_vm::Image;

use recorder::{Recorder, Tally};
use report::{Outcome, Report};
use vm::Form;

/// A stage. Those that fail soonest come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Stage {
    /// The rules of `cargo xtask tidy`
    Tidy,
    /// The format of all Rust files
    Format,
    /// Lints, none of which may report anything
    Clippy,
    /// Tests inside the crates, and examples in their documents
    Unit,
    /// The functions: their tests, and both builds of each
    Functions,
    /// Whole programs over real sockets, with the real services
    EndToEnd,
    /// A real Kubernetes, started for the tests and taken down after them, and a dozen specs of
    /// critest
    Cluster,
    /// The shim beside runc in an emulated machine with cgroup version 2 and systemd: a part of
    /// `vm`, of five minutes
    VmShort,
    /// The dozen specs of critest of the stage `cluster`, with runc and with Sampan; only when it is
    /// named
    CritestShort,
    /// All of critest with runc and with Sampan; only when it is named
    Critest,
    /// The shim beside runc in an emulated machine, all of it: forty minutes; only when it is named
    Vm,
}

/// The options of `cargo xtask test`.
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// The stages to run, in their usual order; when none is named, all but those of `critest` and `vm`
    #[arg(value_enum, value_name = "STAGE")]
    pub(crate) stages: Vec<Stage>,

    /// Leave the tests' cluster up for inspection: the log of the stage says how to reach it
    #[arg(long)]
    pub(crate) keep_cluster: bool,

    /// The version of Kubernetes of the stage `cluster`, instead of the newest one
    #[arg(long, value_enum, value_name = "VERSION")]
    pub(crate) kubernetes: Option<KubernetesVersion>,

    /// The emulated machine of the stages `vm` and `vm-short`
    #[arg(long, value_enum, default_value_t, value_name = "IMAGE")]
    pub(crate) image: Image,

    /// Build and install nothing: everything was built, on a machine that shares its folders with this one
    #[arg(long, hide = true)]
    pub(crate) built: bool,
}

impl Stage {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Stage::Tidy => "tidy",
            Stage::Format => "format",
            Stage::Clippy => "clippy",
            Stage::Unit => "unit",
            Stage::Functions => "functions",
            Stage::EndToEnd => "end-to-end",
            Stage::Cluster => "cluster",
            Stage::CritestShort => "critest-short",
            Stage::Critest => "critest",
            Stage::VmShort => "vm-short",
            Stage::Vm => "vm",
        }
    }

    /// Whether the stage runs only when it is named.
    fn runs_only_when_named(self) -> bool {
        matches!(self, Stage::CritestShort | Stage::Critest | Stage::Vm)
    }

    fn needs(self) -> Vec<Need> {
        match self {
            Stage::Tidy => vec![Need::Git],
            Stage::Format => vec![Need::Rustfmt],
            Stage::Clippy => vec![Need::Clippy, Need::Linker, Need::Seccomp, Need::Protoc],
            Stage::Unit => vec![Need::Linker, Need::Seccomp, Need::Protoc],
            Stage::Functions => vec![Need::Linker, Need::Components],
            Stage::EndToEnd => vec![
                Need::Linker,
                Need::Seccomp,
                Need::Protoc,
                Need::Root,
                Need::Go,
                Need::Busybox,
                Need::Components,
                Need::Postgres,
                Need::Pip,
                Need::Networks,
                Need::Node,
                Need::Venv,
                Need::Browser,
            ],
            Stage::Cluster => [cluster::needs(), critest::needs()].concat(),
            Stage::CritestShort | Stage::Critest => critest::needs(),
            Stage::VmShort => vm::needs(Form::Short),
            Stage::Vm => vm::needs(Form::Long),
        }
    }

    fn run(self, repository: &Repository, test: &Test, recorder: &mut Recorder) -> Result<()> {
        match self {
            Stage::Tidy => check_tidy(repository, recorder),
            Stage::Format => recorder.run_all(formats(repository)),
            Stage::Clippy => recorder.run_all(lints(repository)),
            Stage::Unit => recorder.run_all(unit_tests(repository)),
            Stage::Functions => {
                let mut tests = cargo::functions_workspace(repository, "test");
                recorder.run(tests.args(["--workspace", "--no-fail-fast"]))?;
                build_functions(repository, recorder)
            }
            Stage::EndToEnd => run_whole(repository, recorder),
            Stage::Cluster => {
                let tested = cluster::run(repository, test.kubernetes, test.keep_cluster, recorder);
                let compared = critest::run_part(repository, recorder, Part::Short, true);
                tested.and(compared)
            }
            Stage::CritestShort => critest::run_part(repository, recorder, Part::Short, test.built),
            Stage::Critest => critest::run_part(repository, recorder, Part::Whole, test.built),
            Stage::VmShort => vm::run(repository, Form::Short, test.image, recorder),
            Stage::Vm => vm::run(repository, Form::Long, test.image, recorder),
        }
    }
}

/// Runs the named stages, or by default all but those that run only when named.
pub(crate) fn run(repository: &Repository, machine: &Machine, test: &Test) -> Result<ExitCode> {
    let mut report = Report::default();
    for stage in Stage::value_variants() {
        let is_usual = test.stages.is_empty() && !stage.runs_only_when_named();
        if is_usual || test.stages.contains(stage) {
            let begun = Instant::now();
            let (outcome, tests, note) = run_stage(*stage, repository, machine, test)?;
            report.add(stage.name(), outcome, begun.elapsed(), tests, note);
        }
    }
    print!("{report}");
    Ok(report.exit_code())
}

/// Runs a stage if this machine meets its needs.
fn run_stage(
    stage: Stage,
    repository: &Repository,
    machine: &Machine,
    test: &Test,
) -> Result<(Outcome, Tally, String)> {
    eprintln!("==> {}", stage.name());
    let missing = if test.built {
        Vec::new()
    } else {
        machine.provide(&stage.needs())
    };
    if !missing.is_empty() {
        // In an unattended run, a skipped stage would look like a passed one.
        let outcome = if cargo::is_ci() {
            Outcome::Failed
        } else {
            Outcome::Skipped
        };
        return Ok((outcome, Tally::default(), lacks(&missing)));
    }
    let mut recorder = Recorder::create(&repository.logs(), stage.name())?;
    let ran = stage.run(repository, test, &mut recorder);
    recorder.finish();
    let tests = recorder.tests();
    match ran {
        Ok(()) => Ok((Outcome::Passed, tests, String::new())),
        Err(error) => {
            recorder.show_failure()?;
            eprintln!("error: {error:#}");
            eprintln!("       its whole output is in {}", recorder.log().display());
            Ok((Outcome::Failed, tests, format!("{error:#}")))
        }
    }
}

fn lacks(missing: &[Missing]) -> String {
    let needs = missing
        .iter()
        .map(|missing| format!("needs {}: {}", missing.what, missing.remedy));
    needs.collect::<Vec<_>>().join("; ")
}

fn check_tidy(repository: &Repository, recorder: &mut Recorder) -> Result<()> {
    let problems = sampan_tidy::check(repository)?;
    for problem in &problems {
        recorder.log_line(&problem.to_string())?;
    }
    match problems.len() {
        0 => Ok(()),
        count => bail!("{count} problems"),
    }
}

fn formats(repository: &Repository) -> Vec<Command> {
    let folders = [
        repository.root().to_owned(),
        repository.functions(),
        repository.guests(),
    ];
    let format = |folder| {
        let mut command = cargo::cargo();
        command
            .current_dir(folder)
            .args(["fmt", "--all", "--check"]);
        command
    };
    folders.into_iter().map(format).collect()
}

fn lints(repository: &Repository) -> Vec<Command> {
    let mut main = cargo::main_workspace(repository, "clippy");
    main.arg("--release");
    let mut commands = vec![main, cargo::functions_workspace(repository, "clippy")];
    for command in &mut commands {
        command.args(["--workspace", "--all-targets", "--", "-D", "warnings"]);
    }
    commands
}

fn unit_tests(repository: &Repository) -> Vec<Command> {
    let test = |selection: &[&str]| {
        let mut command = cargo::main_workspace(repository, "test");
        command
            .args(["--release", "--workspace", "--no-fail-fast"])
            .args(selection);
        command
    };
    vec![test(&["--lib", "--bins"]), test(&["--doc"])]
}

/// Runs the tests of built programs, after everything is built. Tests of one package start programs
/// of another, which a build of their own package does not cover.
fn run_whole(repository: &Repository, recorder: &mut Recorder) -> Result<()> {
    build_functions(repository, recorder)?;
    build_guests(repository, recorder)?;
    let mut programs = cargo::main_workspace(repository, "build");
    recorder.run(programs.args(["--release", "--workspace", "--bins"]))?;
    let tools = sampan_cluster::programs(repository)?;
    let toolchain = toolchain::provide(Choice::Any, false)?;
    let new_function = new_function::build(repository, toolchain, recorder)?;
    let mut tests = cargo::main_workspace(repository, "test");
    tests
        .args(["--release", "--workspace", "--no-fail-fast", "--test", "*"])
        // The cluster's tests are a stage of their own.
        .args(["--exclude", cluster::PACKAGE])
        .env(FUNCTIONS_FOLDER, repository.staged())
        .env(guests::FOLDER, repository.staged_guests())
        .env(new_function::FOLDER, new_function)
        .env(TOOLS_FOLDER, tools);
    recorder.run(&mut tests)
}

/// The guests in Rust alone.
fn build_own_guests(repository: &Repository, recorder: &mut Recorder) -> Result<()> {
    let toolchain = toolchain::provide(Choice::Any, false)?;
    guests::build_own(repository, toolchain, |command| recorder.run(command))
}

fn build_guests(repository: &Repository, recorder: &mut Recorder) -> Result<()> {
    let toolchain = toolchain::provide(Choice::Any, false)?;
    guests::build(repository, toolchain, |command| recorder.run(command))
}

fn build_functions(repository: &Repository, recorder: &mut Recorder) -> Result<()> {
    let toolchain = toolchain::provide(Choice::Any, false)?;
    let functions = Function::select(repository, &[])?;
    for mut command in functions::commands(repository, toolchain, &functions) {
        recorder.run(&mut command)?;
    }
    functions::stage(repository, &functions)
}
