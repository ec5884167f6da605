//! Parses the command line of `cargo xtask`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::cluster::Cluster;
use crate::stages::Stage;
use crate::toolchain::Choice;
use crate::vm::Image;

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
    /// first time takes about ten minutes on two cores; afterwards it takes seconds.
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
    /// Checks that every Rust file opens with its purpose and stays short, that manifests inherit
    /// the lints, and that tests build what programs build. Checks licences and sources of all
    /// dependencies against deny.toml. Checks links between documents, and that no file names paths
    /// of one machine.
    Tidy,
    /// Boot an emulated machine with cgroup version 2 and systemd, to try things by hand
    ///
    /// It prints how to log in, and runs until it is switched off from inside or Ctrl-C is pressed.
    /// Nothing that changes in it is kept. The programs that were built are there, under the same
    /// paths.
    Vm(Vm),
    /// Run one of the benchmarks
    ///
    /// Builds the functions first, and the programs in the profile of a release; then everything
    /// after NAME goes to `sampan-bench`. A benchmark of a cluster gets one of its own, which is
    /// taken down however the benchmark ends. Every function is in its registry and on its nodes,
    /// as a component and as container images. If `SAMPAN_CLUSTER` names another (`eval "$(cargo
    /// xtask cluster env)"`), that one is measured, and stays.
    Bench(Bench),
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Where the functions are served, instead of 127.0.0.1:8080
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,

    #[command(flatten)]
    pub(crate) toolchain: Toolchain,

    /// Further arguments of `sampan up`
    #[arg(last = true, value_name = "ARGUMENTS")]
    pub(crate) arguments: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Test {
    /// The stages to run, in their usual order; when none is named, all but those of `critest` and `vm`
    #[arg(value_enum, value_name = "STAGE")]
    pub(crate) stages: Vec<Stage>,

    /// Leave the tests' cluster up for inspection: the log of the stage says how to reach it
    #[arg(long)]
    pub(crate) keep_cluster: bool,

    /// The emulated machine of the stages `vm` and `vm-short`
    #[arg(long, value_enum, default_value_t, value_name = "IMAGE")]
    pub(crate) image: Image,

    /// Build and install nothing: everything was built, on a machine that shares its folders with this one
    #[arg(long, hide = true)]
    pub(crate) built: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Vm {
    /// The image to boot
    #[arg(long, value_enum, default_value_t, value_name = "IMAGE")]
    pub(crate) image: Image,
}

#[derive(Debug, Args)]
pub(crate) struct Functions {
    /// The functions to build; all when none is named
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,

    #[command(flatten)]
    pub(crate) toolchain: Toolchain,

    /// Make container images of the native programs as well
    ///
    /// Two of each: `scratch`, a static program alone, and `distro`, the program on a small Debian that is
    /// assembled from packages. Both are in NAME, an image layout, and in NAME.oci.tar, an archive for
    /// `ctr images import`.
    #[arg(long)]
    pub(crate) images: bool,

    /// The prefix of the images' names: a registry and a folder in it
    #[arg(
        long,
        value_name = "PREFIX",
        default_value = FUNCTIONS_PREFIX,
        requires = "images"
    )]
    pub(crate) prefix: String,
}

/// The default prefix of the names of functions' images.
const FUNCTIONS_PREFIX: &str = "localhost/functions";

impl Functions {
    /// All functions, without images.
    pub(crate) fn all(toolchain: Toolchain) -> Functions {
        Functions {
            names: Vec::new(),
            toolchain,
            images: false,
            prefix: FUNCTIONS_PREFIX.to_owned(),
        }
    }
}

#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct Toolchain {
    /// The compiler of the components
    #[arg(long = "toolchain", value_enum, default_value_t, value_name = "WHICH")]
    pub(crate) choice: Choice,
}

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Leave the benchmark's cluster up: the next benchmark takes it as it is
    #[arg(long)]
    pub(crate) keep_cluster: bool,

    /// The benchmark; `cargo xtask bench help` lists them
    pub(crate) name: String,

    /// Arguments of the benchmark
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGUMENTS"
    )]
    pub(crate) arguments: Vec<String>,
}

/// The options of `cargo xtask dist`.
#[derive(Debug, Args)]
pub(crate) struct Dist {
    /// The prefix of the images' names: a registry and a folder in it
    #[arg(long, value_name = "PREFIX", default_value = "localhost/sampan")]
    pub(crate) prefix: String,
    /// Leave the chart out, which needs helm: in the folder that `SAMPAN_TOOLS` names, or in PATH
    #[arg(long)]
    pub(crate) without_chart: bool,
    /// Take the programs of a checkout as they are built, instead of building optimised ones
    #[arg(long)]
    pub(crate) no_build: bool,
    /// The folder to write to; default: `dist` in the target folder
    #[arg(long, value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,
}
