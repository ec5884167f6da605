//! `sampan pull`: pulls a function from a registry into a file.

use std::path::PathBuf;
use std::process::ExitCode;

use sampan_artifact::{StoreError, Stored, store};
use serde::Serialize;

use crate::arguments::Pull;
use crate::exit::Exit;
use crate::failure::{Failure, advice_on_folder, chain};
use crate::inspect;
use crate::registry::{Bar, block_on, connect, print_outcome};
use crate::sanitize::one_line;

/// The output.
#[derive(Debug, Serialize)]
struct Report {
    reference: String,
    digest: String,
    wasm_digest: String,
    file: String,
    size: u64,
    layout: &'static str,
    written: bool,
}

/// Pulls a function, writes its file and prints the path.
pub(crate) fn pull(arguments: &Pull) -> Result<ExitCode, Failure> {
    let reference = &arguments.reference;
    print_outcome(run(arguments), arguments.output, reference, |report| {
        let was = if report.written { "" } else { " (unchanged)" };
        format!("{}{was}\n{}\n", one_line(&report.file), report.digest)
    })
}

fn run(arguments: &Pull) -> Result<Report, Failure> {
    let reference = &arguments.reference;
    let file = arguments
        .file
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("{}.wasm", reference.short_name())));
    let most = arguments.most.unwrap_or_else(inspect::most_bytes);
    let pulled = block_on(async {
        let registry = connect(reference, &arguments.access).await?;
        let bar = Bar::new("pulling", reference);
        let pulled = sampan_artifact::pull(&registry, most, &bar.observer()).await;
        pulled.map_err(|error| Failure::registry(&error))
    })?;
    let stored = store(&file, &pulled.wasm, arguments.force).map_err(|error| not_stored(&error))?;
    Ok(Report {
        reference: reference.to_string(),
        digest: pulled.digest.to_string(),
        wasm_digest: pulled.wasm_digest.to_string(),
        file: file.display().to_string(),
        size: pulled.wasm.len() as u64,
        layout: pulled.layout.as_str(),
        written: stored == Stored::Written,
    })
}

fn not_stored(error: &StoreError) -> Failure {
    match error {
        StoreError::Exists { .. } => Failure::new(
            Exit::Exists,
            error.to_string(),
            "write another file with -o FILE, or replace it with --force",
        ),
        StoreError::Write { source, .. } => Failure::new(
            Exit::Unexpected,
            chain(error),
            advice_on_folder(Some(source.kind()), "-o FILE"),
        ),
    }
}
