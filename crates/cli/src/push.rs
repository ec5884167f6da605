//! `sampan push`: pushes a function to a registry.

use std::path::Path;
use std::process::ExitCode;

use sampan_artifact::{Artifact, Layout, Reference, Source};
use sampan_engine::Inspection;
use serde::Serialize;

use crate::arguments::Push;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::inspect;
use crate::registry::{Bar, block_on, connect, print_outcome};
use crate::source::Origin;

/// The first bytes of a component: magic number, version and layer.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
/// The first bytes of every WebAssembly file.
const MAGIC: &[u8] = b"\0asm";

/// The output.
#[derive(Debug, Serialize)]
struct Report {
    reference: String,
    digest: String,
    wasm_digest: String,
    /// The layout, as in `sampan pull`.
    layout: &'static str,
    name: String,
    /// The kind, as in `sampan inspect`.
    kind: Option<&'static str>,
    size: u64,
    sent: u64,
    known: u64,
    #[serde(skip)]
    pinned: String,
}

/// Pushes a function and prints its digest.
pub(crate) fn push(arguments: &Push) -> Result<ExitCode, Failure> {
    let reference = &arguments.reference;
    print_outcome(run(arguments), arguments.output, reference, |report| {
        format!("{}\n", report.pinned)
    })
}

/// Pushes a function and returns its immutable name: `REPOSITORY@sha256:...`.
pub(crate) fn pinned_name(arguments: &Push) -> Result<String, Failure> {
    run(arguments).map(|report| report.pinned)
}

fn run(arguments: &Push) -> Result<Report, Failure> {
    let source = Origin::of_file(arguments.file.clone()).read()?;
    let bytes = inspect::read(&source.wasm)?;
    let inspection = checked(&source.wasm, &bytes, arguments.force)?;
    let size = bytes.len() as u64;
    let kind = inspection
        .as_ref()
        .and_then(|inspection| inspection.kind.as_ref().ok());
    let kind = kind.map(|kind| kind.as_str());
    let component = bytes.starts_with(COMPONENT);
    let (imports, exports) = inspection
        .map(|inspection| (inspection.imports, inspection.exports))
        .unwrap_or_default();
    let name = source.function.name.clone();
    let source = Source {
        name: name.clone(),
        wasm: bytes.into(),
        component,
        imports,
        exports,
        annotations: arguments.annotations.iter().cloned().collect(),
    };
    let layout = if arguments.image {
        Layout::Image
    } else {
        Layout::Artifact
    };
    let artifact =
        Artifact::build(&source, layout).map_err(|error| Failure::registry(&error.into()))?;
    let pushed = block_on(async {
        let registry = connect(&arguments.reference, &arguments.access).await?;
        let bar = Bar::new("pushing", &arguments.reference);
        let pushed = sampan_artifact::push(&registry, &artifact, &bar.observer()).await;
        pushed.map_err(|error| Failure::registry(&error))
    })?;
    Ok(Report {
        reference: arguments.reference.to_string(),
        digest: pushed.digest.to_string(),
        wasm_digest: artifact.wasm.to_string(),
        layout: layout.as_str(),
        name: name.as_str().to_owned(),
        kind,
        size,
        sent: pushed.sent,
        known: pushed.known,
        pinned: pinned(&arguments.reference, &pushed.digest),
    })
}

/// The immutable name of the pushed function.
fn pinned(reference: &Reference, digest: &sampan_artifact::Digest) -> String {
    reference.at(digest).to_string()
}

/// Rejects files that `sampan up` and `sampan run` reject, unless forced. Files without
/// WebAssembly's first bytes are never pushed.
fn checked(file: &Path, bytes: &[u8], force: bool) -> Result<Option<Inspection>, Failure> {
    match sampan_engine::inspect(bytes) {
        Ok(inspection) if force || inspection.runs() => Ok(Some(inspection)),
        Ok(inspection) => Err(match &inspection.kind {
            Err(error) => Failure::load(file, error),
            Ok(_) => Failure::new(
                Exit::NotRunnable,
                format!(
                    "{}: this host lacks what it imports: {}",
                    file.display(),
                    inspection.missing.join(", ")
                ),
                "build it with WASI and wasi:http only, or push it as it is with --force",
            ),
        }),
        Err(_) if force && bytes.starts_with(MAGIC) => Ok(None),
        Err(error) => Err(Failure::inspect(file, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_runnable_files_are_pushed_unless_forced() {
        fn check(bytes: &[u8], exit: Exit, forced: bool) {
            let file = Path::new("x.wasm");
            let failure = checked(file, bytes, false).map(|_| Exit::Success);
            assert_eq!(failure.unwrap_or_else(|failure| failure.exit), exit);
            assert_eq!(checked(file, bytes, true).is_ok(), forced);
        }
        let wat = |text| wat::parse_str(text).expect("valid text");
        check(
            &wat(r#"(module (func (export "_start")))"#),
            Exit::Success,
            true,
        );
        check(&wat("(module)"), Exit::NotRunnable, true);
        let lacking = r#"(module (import "acme" "x" (func)) (func (export "_start")))"#;
        check(&wat(lacking), Exit::NotRunnable, true);
        let memory64 = r#"(module (memory i64 1) (func (export "_start")))"#;
        check(&wat(memory64), Exit::NotRunnable, true);
        check(b"\0asm\x01\0\0\0\xff", Exit::Wasm, true);
        check(b"#!/bin/sh", Exit::Wasm, false);
        check(b"", Exit::Wasm, false);
    }

    #[test]
    fn the_pinned_name_has_no_tag() {
        let reference: Reference = "r.example/a/b:1".parse().expect("a reference");
        let digest = sampan_artifact::Digest::of(b"");
        assert_eq!(
            pinned(&reference, &digest),
            format!("r.example/a/b@{digest}")
        );
    }
}
