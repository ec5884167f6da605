//! Makes folders of functions for one test: guests that misbehave, with the test's own limits.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The variable of `cargo xtask` with the folder of the guests.
const VARIABLE: &str = "SAMPAN_GUESTS_DIR";

/// The guests that are handlers: one for each version of `wasi:http`, with the same paths.
pub const HANDLERS: [&str; 2] = ["probe", "probe-03"];

/// A folder for `sampan up`, which is removed when this is dropped.
#[derive(Debug)]
pub struct Guests {
    folder: TempDir,
}

impl Guests {
    /// An empty folder.
    pub fn none() -> Guests {
        Guests {
            folder: tempfile::tempdir().expect("a temporary folder can be made"),
        }
    }

    /// A folder with one function: the guest of this name, with these lines in its `function.yaml`.
    pub fn one(guest: &str, lines: &str) -> Guests {
        Guests::none().and(guest, guest, lines)
    }

    /// A folder with both handlers, with these lines in each `function.yaml`.
    pub fn handlers(lines: &str) -> Guests {
        HANDLERS
            .iter()
            .fold(Guests::none(), |guests, name| guests.and(name, name, lines))
    }

    /// Adds another function.
    #[must_use]
    pub fn and(self, function: &str, guest: &str, lines: &str) -> Guests {
        let bytes = fs::read(component(guest)).expect("a built guest can be read");
        self.with(function, &bytes, lines)
    }

    /// Adds a function with these bytes.
    #[must_use]
    pub fn with(self, function: &str, wasm: &[u8], lines: &str) -> Guests {
        let folder = self.folder().join(function);
        fs::create_dir(&folder).expect("a folder can be made");
        fs::write(folder.join(format!("{function}.wasm")), wasm).expect("a file can be written");
        let file = format!("name: {function}\n{lines}");
        fs::write(folder.join("function.yaml"), file).expect("a file can be written");
        self
    }

    /// The folder to serve.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// The file of a built guest.
pub fn component(guest: &str) -> PathBuf {
    let folder = env::var_os(VARIABLE).unwrap_or_else(|| {
        panic!("{VARIABLE} is not set; run `cargo xtask test end-to-end`, which builds the guests")
    });
    Path::new(&folder).join(format!("{guest}.wasm"))
}
