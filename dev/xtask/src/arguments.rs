//! Parses the command line of `cargo xtask`.

use clap::{Parser, Subcommand};
use sampan_build::dist::Dist;
use sampan_build::functions::Functions;
use sampan_cluster::Cluster;
use sampan_vm::Boot;

use crate::bench::Bench;
use crate::stages::Test;
use crate::up::Up;

/// Sets up, builds, serves, tests, measures and checks the project.
///
/// What is built goes to `$CARGO_TARGET_DIR`, or else to `sampan/target` in your cache folder, so that
/// the long build of the engine outlives a checkout. Export `CARGO_TARGET_DIR` yourself if you call
/// cargo directly as well.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
pub(crate) struct Arguments {
    /// Install nothing; name what is missing and how to install it
    ///
    /// Without this, root gets Debian's packages by apt-get, and rustup its components and targets.
    #[arg(long, global = true)]
    pub(crate) no_install: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the nine functions on this machine
    ///
    /// Sets up what is missing, and builds the functions and `sampan` in the release profile.
    /// Starts the services behind `fuzzysearch` and `user-manager`, and serves all nine until
    /// Ctrl-C. A service that cannot be started takes its function along and nothing else. The
    /// first time takes a quarter of an hour on two cores; afterwards it takes seconds.
    Up(Up),
    /// Run every test, in stages
    ///
    /// Each stage gets a line with its time, and its whole output goes to a file. The last line
    /// counts the tests, and counts a stage without tests as one. A stage that this machine cannot
    /// run is skipped, and its line names what it needs; with CI=true that is a failure.
    Test(Test),
    /// Build the functions as components and as native programs
    ///
    /// They are staged in `functions` of the target folder: NAME/NAME.wasm and NAME/function.yaml for
    /// `sampan up`, and bin/NAME, the native programs. With `--images`, container images of the native
    /// programs are in `images` of the target folder, made without a container engine.
    Functions(Functions),
    /// Start, use and end a real Kubernetes on this machine
    ///
    /// Its programs are built once, from Go modules; no container engine is needed, but root is.
    /// All of it carries a name made of the checkout's path: clusters of two checkouts don't meet.
    Cluster(Cluster),
    /// Make the release artifacts: programs, images, the chart
    ///
    /// They go to `dist` of the target folder. bin/ has the programs without symbols. oci/NAME has
    /// image layouts of the operator, the node installer and the command line, each also packed
    /// into a file for `ctr images import`. The chart is packaged by helm. SHA256SUMS has the
    /// hashes. No container engine is needed.
    Dist(Dist),
    /// Check the rules that no compiler checks
    ///
    /// Compares the arrows between the crates and the list of unsafe code with ARCHITECTURE.md.
    /// Checks that every Rust file opens with its purpose and stays short, that no files import each
    /// other in a circle, that manifests inherit the lints, and that tests build what programs build. Checks licences and sources of all
    /// dependencies against deny.toml. Checks links between documents, and that no file names paths
    /// of one machine.
    Tidy,
    /// Boot an emulated machine with cgroup version 2 and systemd, to try things by hand
    ///
    /// It prints how to log in, and runs until it is switched off from inside or Ctrl-C is pressed.
    /// Nothing that changes in it is kept. The programs that were built are there, under the same
    /// paths.
    Vm(Boot),
    /// Run one of the benchmarks
    ///
    /// Builds the functions first, and the programs in the profile of a release; then everything
    /// after NAME goes to `sampan-bench`. A benchmark of a cluster gets one of its own, which is
    /// taken down however the benchmark ends. Every function is in its registry and on its nodes,
    /// as a component and as container images. If `SAMPAN_CLUSTER` names another (`eval "$(cargo
    /// xtask cluster env)"`), that one is measured, and stays.
    Bench(Bench),
}
