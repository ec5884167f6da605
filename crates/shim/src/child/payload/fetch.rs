//! Reading an image's module in a process of its own. Talking to containerd takes an asynchronous
//! runtime, which opens descriptors for as long as its process lives; a process that becomes a container
//! has none.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use rustix::fs::MemfdFlags;

use super::image::{Image, module};
use crate::child::error::ChildError;
use crate::this_program::{FETCH, SELF};

/// The exit code for an image that has no module.
const NONE: u8 = 66;

/// Reads the module in a child; `None` when the image has none.
pub(super) fn fetch(image: &Image<'_>, limit: u64) -> Result<Option<Vec<u8>>, ChildError> {
    let failed = || ChildError::system("reading the image's module");
    let memory = |name: &str| -> io::Result<File> {
        Ok(rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC)?.into())
    };
    let (mut out, mut err) = (
        memory("module").map_err(failed())?,
        memory("message").map_err(failed())?,
    );
    let status = Command::new(SELF)
        .arg(FETCH)
        .arg(image.address)
        .args([
            image.namespace,
            image.name.unwrap_or_default(),
            image.container,
        ])
        .arg(limit.to_string())
        .stdin(Stdio::null())
        .stdout(out.try_clone().map_err(failed())?)
        .stderr(err.try_clone().map_err(failed())?)
        .status()
        .map_err(failed())?;
    let read = |file: &mut File| {
        let mut bytes = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut bytes)?;
        io::Result::Ok(bytes)
    };
    match status.code() {
        Some(0) => read(&mut out).map(Some).map_err(failed()),
        Some(code) if code == i32::from(NONE) => Ok(None),
        _ => {
            let message = read(&mut err).map_err(failed())?;
            let message = String::from_utf8_lossy(&message).trim().to_owned();
            Err(ChildError::Image(if message.is_empty() {
                format!("the reader of the image's module ended with {status}")
            } else {
                message
            }))
        }
    }
}

/// Runs as that child.
pub(in crate::child) fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let texts: Option<Vec<String>> = arguments
        .map(|argument| argument.into_string().ok())
        .collect();
    let texts = texts.unwrap_or_default();
    let [address, namespace, name, container, limit] = texts.as_slice() else {
        return ExitCode::FAILURE;
    };
    let Ok(limit) = limit.parse() else {
        return ExitCode::FAILURE;
    };
    let image = Image {
        address: Path::new(address),
        namespace,
        name: Some(name.as_str()).filter(|name| !name.is_empty()),
        container,
    };
    let found = match module(&image, limit) {
        Ok(Some(bytes)) => io::stdout()
            .write_all(&bytes)
            .and_then(|()| io::stdout().flush())
            .map(|()| ExitCode::SUCCESS)
            .map_err(|error| error.to_string()),
        Ok(None) => Ok(ExitCode::from(NONE)),
        Err(error) => Err(error.to_string()),
    };
    found.unwrap_or_else(|message| {
        eprintln!("{message}");
        ExitCode::FAILURE
    })
}
