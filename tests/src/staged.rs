//! Finds the staged functions, and makes copies of them that a test may change.

use std::env;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The addresses of the text and of the table of users in the functions' files.
pub const SERVICES: [&str; 2] = ["127.0.0.1:8091", "127.0.0.1:8092"];

/// The variable of `cargo xtask` with the folder of the built functions.
const VARIABLE: &str = "SAMPAN_FUNCTIONS_DIR";

/// A folder for `sampan up` with copies of functions, which is removed when this is dropped.
#[derive(Debug)]
pub struct Staged {
    folder: TempDir,
}

impl Staged {
    /// Copies these functions with other addresses of their services: first the text, then the
    /// users.
    pub fn copy(functions: &[&str], services: [SocketAddr; 2]) -> Staged {
        let staged = Staged {
            folder: tempfile::tempdir().expect("a temporary folder can be made"),
        };
        for function in functions {
            fs::create_dir(staged.folder().join(function)).expect("a folder can be made");
            let wasm = format!("{function}/{function}.wasm");
            let from = source().join(&wasm);
            fs::copy(&from, staged.folder().join(&wasm))
                .unwrap_or_else(|error| panic!("{}: {error}", from.display()));
            let from = source().join(function).join("function.yaml");
            fs::copy(&from, staged.file(function))
                .unwrap_or_else(|error| panic!("{}: {error}", from.display()));
            for (from, to) in SERVICES.iter().zip(services) {
                staged.edit(function, |file| file.replace(from, &to.to_string()));
            }
        }
        staged
    }

    /// The folder to serve.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Replaces the component of a function with other bytes.
    pub fn corrupt(&self, function: &str, bytes: &[u8]) {
        let component = self.folder().join(format!("{function}/{function}.wasm"));
        fs::write(&component, bytes).expect("a copy can be written");
    }

    /// Changes the `function.yaml` of a function.
    pub fn edit(&self, function: &str, change: impl FnOnce(&str) -> String) {
        let file = self.file(function);
        let text = fs::read_to_string(&file).expect("a copy can be read");
        fs::write(&file, change(&text)).expect("a copy can be written");
    }

    /// The native program of a function.
    pub fn native(function: &str) -> PathBuf {
        source().join("bin").join(function)
    }

    fn file(&self, function: &str) -> PathBuf {
        self.folder().join(function).join("function.yaml")
    }
}

fn source() -> PathBuf {
    let folder = env::var_os(VARIABLE);
    let folder = folder.unwrap_or_else(|| {
        panic!(
            "{VARIABLE} is not set; run `cargo xtask test end-to-end`, which builds the functions"
        )
    });
    PathBuf::from(folder)
}
