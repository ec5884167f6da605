//! Runs tests in an emulated machine with cgroup version 2 and systemd.
//!
//! - The short form: a part of the shim's own tests, and its limits beside runc's.
//! - The long form: all of the shim's tests, the node installer, and pods of a kubelet with systemd's
//!   driver.

mod programs;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use sampan_build::functions::FUNCTIONS_FOLDER;
use sampan_build::guests;
use sampan_checkout::cache::cache;
use sampan_checkout::machine::Need;
use sampan_checkout::repository::Repository;
use sampan_checkout::shell::shell_quoted;
use sampan_cluster::{TOOLS_FOLDER, all_programs, programs_of};
use sampan_vm::{Image, Vm};

use super::recorder::Recorder;
use programs::TestProgram;

/// The selection of tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Short,
    Long,
}

/// The variable that selects the form of the cgroup path in the bundles of the shim's tests.
const CGROUP_FORM: &str = "SAMPAN_TEST_CGROUP_FORM";
const CGROUP_FORMS: [&str; 2] = ["path", "systemd"];

/// The variable that makes the suite of limits write its table into the document; here, that makes
/// the checkout take it over.
const WRITE_TABLE: &str = "SAMPAN_WRITE_TABLE";
const DOCUMENT: &str = "docs/shim.md";

/// Lets tests change the machine: its mounts, units and files.
const OWN_NODE: &str = "SAMPAN_TEST_NODE";

/// How long one command may take under emulation.
const TIMEOUT: Duration = Duration::from_mins(40);

const fn of_shim(name: &'static str) -> TestProgram {
    TestProgram {
        package: "crates/shim",
        name,
    }
}

const LIMITS: TestProgram = of_shim("limits");

/// The shim's tests, and whether the short form includes them.
const SHIM: &[(TestProgram, bool)] = &[
    (of_shim("functions"), false),
    (of_shim("guards"), false),
    (of_shim("lifecycle"), true),
    (LIMITS, true),
    (of_shim("modules"), false),
    (of_shim("commands"), false),
    (of_shim("mounts"), false),
    (of_shim("pods"), false),
    (of_shim("nodes"), false),
    (of_shim("processes"), false),
    (of_shim("signals"), false),
];

const INSTALLER: TestProgram = TestProgram {
    package: "crates/installer",
    name: "systemd",
};

const fn of_cluster(name: &'static str) -> TestProgram {
    TestProgram {
        package: super::cluster::FOLDER,
        name,
    }
}

/// Tests of pods.
const PODS: [TestProgram; 3] = [
    of_cluster("systemd_pods"),
    of_cluster("cluster_pods"),
    of_cluster("cluster_commands"),
];

pub(super) fn needs(form: Form) -> Vec<Need> {
    let build = [Need::Linker, Need::Seccomp, Need::Protoc, Need::Go];
    let pods: &[Need] = match form {
        Form::Short => &[],
        Form::Long => &[Need::Components],
    };
    [sampan_vm::NEEDS, &build, pods].concat()
}

pub(super) fn run(
    repository: &Repository,
    form: Form,
    image: Image,
    recorder: &mut Recorder,
) -> Result<()> {
    let of_shim = SHIM
        .iter()
        .filter(|(_, short)| *short || form == Form::Long);
    let mut wanted: Vec<_> = of_shim.map(|(program, _)| *program).collect();
    if form == Form::Long {
        wanted.push(INSTALLER);
        wanted.extend(PODS);
        super::build_functions(repository, recorder)?;
        super::build_own_guests(repository, recorder)?;
        let mut programs = sampan_checkout::cargo::main_workspace(repository, "build");
        recorder.run(programs.args(["--release", "--workspace", "--bins"]))?;
    }
    let built = programs::build(repository, &wanted, recorder)?;
    let tools = match form {
        Form::Short => programs_of(repository, &["runc"])?,
        Form::Long => all_programs(repository)?,
    };
    let vm = Vm::boot(image, &sampan_vm::shares(repository)?, &repository.logs())?;
    recorder.log_line(&vm.summary()?)?;
    let mut suite = Suite {
        repository,
        vm: &vm,
        built: &built,
        tools: &tools,
        recorder,
        failed: Vec::new(),
    };
    let tested = suite.run(form);
    if tested.is_err() {
        recorder.log_line("the journal of the machine:")?;
        recorder.log_line(&vm.journal()?)?;
    }
    let ended = vm.power_off();
    tested.and(ended)
}

/// The commands to run in a machine, and the names of those that have failed.
struct Suite<'a> {
    repository: &'a Repository,
    vm: &'a Vm,
    built: &'a BTreeMap<TestProgram, PathBuf>,
    tools: &'a Path,
    recorder: &'a mut Recorder,
    failed: Vec<String>,
}

impl Suite<'_> {
    /// Runs everything, and fails if a part failed.
    fn run(&mut self, form: Form) -> Result<()> {
        for cgroup_form in CGROUP_FORMS {
            for (program, short) in SHIM {
                if *short || form == Form::Long {
                    self.shim(*program, cgroup_form)?;
                }
            }
        }
        if form == Form::Long {
            self.test(INSTALLER, &[])?;
            let critest = self.xtask("test critest --built")?;
            self.run_and_record("critest", &critest)?;
            self.pods()?;
        }
        if !self.failed.is_empty() {
            bail!("failed in the machine: {}", self.failed.join(", "));
        }
        Ok(())
    }

    fn shim(&mut self, program: TestProgram, cgroup_form: &str) -> Result<()> {
        let form = (CGROUP_FORM, cgroup_form);
        if program != LIMITS || env::var_os(WRITE_TABLE).is_none() {
            return self.test(program, &[form]);
        }
        // The machine's overlay takes the written document, so it is copied to the checkout. The
        // next form adds its column to that.
        let document = self.repository.root().join(DOCUMENT);
        let path = document.to_string_lossy().into_owned();
        self.test(program, &[form, (WRITE_TABLE, &path)])?;
        let text = self.vm.run(&format!("cat {}", shell_quoted(&path)))?;
        fs::write(&document, text).with_context(|| format!("failed to write {path}"))
    }

    /// Runs a test program. A failure is recorded, and the others still run.
    fn test(&mut self, program: TestProgram, variables: &[(&str, &str)]) -> Result<()> {
        let file = &self.built[&program];
        let folder = self.repository.root().join(program.package);
        let tools = self.tools.to_string_lossy();
        let functions = self.repository.staged();
        let guests_folder = self.repository.staged_guests();
        let paths = [
            // A container's root must not be on a file system without devices, which /tmp is on Debian 13.
            ("TMPDIR", "/var/tmp".into()),
            ("CI", "true".into()),
            (OWN_NODE, "1".into()),
            ("RUST_BACKTRACE", "0".into()),
            (TOOLS_FOLDER, tools),
            (FUNCTIONS_FOLDER, functions.to_string_lossy()),
            (guests::FOLDER, guests_folder.to_string_lossy()),
        ];
        let all = paths
            .iter()
            .map(|(name, value)| (*name, &**value))
            .chain(variables.iter().copied());
        let exports = all.fold(String::new(), |exports, (name, value)| {
            exports + &format!("export {name}={}; ", shell_quoted(value))
        });
        let line = format!(
            "{exports}{}cd {} && {}",
            self.cluster_environment(program),
            shell_quoted(&folder.to_string_lossy()),
            shell_quoted(&file.to_string_lossy())
        );
        let shown: Vec<_> = variables.iter().map(|(_, value)| *value).collect();
        self.run_and_record(&format!("{} ({})", program.name, shown.join(" ")), &line)
    }

    /// Runs a shell line, and records its failure.
    fn run_and_record(&mut self, name: &str, line: &str) -> Result<()> {
        let begun = std::time::Instant::now();
        let ran = self.recorder.run(&mut self.vm.command(line, TIMEOUT));
        self.recorder
            .log_line(&format!("{name}: {:.0} s", begun.elapsed().as_secs_f64()))?;
        if let Err(error) = ran {
            self.recorder
                .log_line(&format!("error: {name}: {error:#}"))?;
            self.failed.push(name.to_owned());
        }
        Ok(())
    }

    /// A cluster of one node in the machine, with everything that was built here.
    fn pods(&mut self) -> Result<()> {
        let up = self
            .xtask("cluster up --built --no-functions --metrics-server --cgroup-driver systemd")?;
        let before = self.failed.len();
        self.run_and_record("the cluster", &up)?;
        if self.failed.len() == before {
            for program in PODS {
                self.test(program, &[])?;
            }
            let down = self.xtask("cluster down")?;
            self.run_and_record("the end of the cluster", &down)?;
        }
        Ok(())
    }

    /// A line that calls `xtask` in the machine.
    fn xtask(&self, words: &str) -> Result<String> {
        let quoted = |path: &Path| shell_quoted(&path.to_string_lossy());
        // The parent of `sampan/tools`, which is the value of `XDG_CACHE_HOME`.
        let tools = cache()?;
        let caches = tools
            .ancestors()
            .nth(2)
            .context("the cache folder has no parent")?;
        Ok(format!(
            "export CI=true XDG_CACHE_HOME={} CARGO_TARGET_DIR={}; cd {} && {} {words}",
            quoted(caches),
            quoted(self.repository.target()),
            quoted(self.repository.root()),
            quoted(&self.repository.program("xtask")),
        ))
    }

    /// A shell line that sets the variables of the cluster for its tests.
    fn cluster_environment(&self, program: TestProgram) -> String {
        if !PODS.contains(&program) {
            return String::new();
        }
        let quoted = |path: &Path| shell_quoted(&path.to_string_lossy());
        format!(
            "cd {} && eval \"$(CARGO_TARGET_DIR={} {} cluster env)\" && ",
            quoted(self.repository.root()),
            quoted(self.repository.target()),
            quoted(&self.repository.program("xtask")),
        )
    }
}
