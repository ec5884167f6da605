//! Finds the files to measure, and makes many distinct components from one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The functions with the queries of the published experiments, and the beginnings of their
/// answers.
pub const FUNCTIONS: [(&str, &str, &str); 9] = [
    ("aes", "/?length=1000&iterations=100", "CLEAR TEXT MESSAGE:"),
    (
        "float-operation",
        "/?n=10000000",
        "Number: 10000000.000000\nSin: 0.420548\n",
    ),
    ("fuzzysearch", "/?search=Hamlet", "["),
    ("linear-equations", "/?unknowns=128", ""),
    ("matmul", "/?dimensions=50", ""),
    ("n-body", "/?n=1000", "-0.169075164\n-0.169087605"),
    (
        "prime-numbers",
        "/?n=100",
        "The value is: [2, 3, 5, 7, 11, 13,",
    ),
    ("user-manager", "/?entries=1", "Iterated 1 times"),
    (
        "whatlang",
        "/?text=The%20quick%20brown%20fox%20jumps%20over%20the%20lazy%20dog",
        "<i>The quick brown fox jumps over the lazy dog</i> = <b>eng</b>",
    ),
];

/// The built functions and programs.
#[derive(Clone, Debug)]
pub struct Files {
    functions: PathBuf,
    programs: PathBuf,
}

impl Files {
    /// The files in the folder that `cargo xtask` sets.
    pub fn find() -> Result<Self> {
        let functions = std::env::var_os("SAMPAN_FUNCTIONS_DIR")
            .context("SAMPAN_FUNCTIONS_DIR is not set; start this with `cargo xtask bench`")?;
        Ok(Self {
            functions: functions.into(),
            programs: programs()?,
        })
    }

    /// A program that was built with this one.
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// The native program of a function.
    pub fn native(&self, function: &str) -> PathBuf {
        self.functions.join("bin").join(function)
    }

    /// The folder of a function's component and `function.yaml`.
    pub fn function(&self, function: &str) -> PathBuf {
        self.functions.join(function)
    }

    /// The folder of a function that is only measured.
    pub fn bench_function(&self, function: &str) -> PathBuf {
        self.functions.join("bench").join(function)
    }

    /// The component of a function that is only measured.
    pub fn component(&self, function: &str) -> Result<Vec<u8>> {
        let path = self
            .bench_function(function)
            .join(format!("{function}.wasm"));
        fs::read(&path).with_context(|| format!("failed to read {}", path.display()))
    }
}

/// A program that was built with this one.
pub fn program(name: &str) -> Result<PathBuf> {
    Ok(programs()?.join(name))
}

/// The folder of the programs that were built with this one.
fn programs() -> Result<PathBuf> {
    let own = std::env::current_exe().context("failed to find this program")?;
    let programs = own.parent().context("this program has no folder")?;
    Ok(programs.to_owned())
}

/// A component like `component` with unique bytes: a custom section at its end holds `number`.
/// Source: the component model's binary format, where custom sections are as in core WebAssembly.
pub fn distinct(component: &[u8], number: u64) -> Vec<u8> {
    const NAME: &[u8] = b"sampan-bench";
    let mut section = vec![u8::try_from(NAME.len()).unwrap_or(u8::MAX)];
    section.extend_from_slice(NAME);
    section.extend_from_slice(&number.to_le_bytes());
    let mut bytes = component.to_vec();
    bytes.push(0);
    bytes.push(u8::try_from(section.len()).unwrap_or(u8::MAX));
    bytes.extend(section);
    bytes
}

/// Writes a file under another name in the folder and renames it, so that it appears whole.
pub fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    let name = path.file_name().context("a path has no name")?;
    let draft = path.with_file_name(format!(".{}", name.to_string_lossy()));
    let written = fs::write(&draft, bytes).and_then(|()| fs::rename(&draft, path));
    written.with_context(|| format!("failed to write {}", path.display()))
}
