//! Parses the command line of `cargo xtask functions`.

use clap::Args;
use sampan_checkout::toolchain::Choice;

/// The options of `cargo xtask functions`.
#[derive(Debug, Args)]
pub struct Functions {
    /// The functions to build; all when none is named
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,

    /// The compiler of the components
    #[arg(long, value_enum, default_value_t, value_name = "WHICH")]
    pub toolchain: Choice,

    /// Make container images of the native programs as well
    ///
    /// Two of each: `scratch`, a static program alone, and `distro`, the program on a small Debian that is
    /// assembled from packages. Both are in NAME, an image layout, and in NAME.oci.tar, an archive for
    /// `ctr images import`.
    #[arg(long)]
    pub images: bool,

    /// The prefix of the images' names: a registry and a folder in it
    #[arg(
        long,
        value_name = "PREFIX",
        default_value = FUNCTIONS_PREFIX,
        requires = "images"
    )]
    pub prefix: String,
}

/// The default prefix of the names of functions' images.
const FUNCTIONS_PREFIX: &str = "localhost/functions";

impl Functions {
    /// All functions, without images.
    pub fn all(toolchain: Choice) -> Functions {
        Functions {
            names: Vec::new(),
            toolchain,
            images: false,
            prefix: FUNCTIONS_PREFIX.to_owned(),
        }
    }
}
