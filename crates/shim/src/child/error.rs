//! Why a container is not made or does not start. Each shows itself as one line, which ends up in the
//! pod's events.

use std::error::Error;
use std::fmt;
use std::io;
use std::num::NonZeroU16;
use std::path::PathBuf;

use libcontainer::error::LibcontainerError;
use sampan_engine::{CallError, EngineError, LoadError};
use sampan_spec::annotations::AnnotationError;

use super::guards::error::GuardError;
use crate::error::ShimError;
use crate::pod::namespaces::Unshareable;

/// Why a container is not made or does not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChildError {
    #[error("{doing}: {source}")]
    System { doing: String, source: io::Error },
    #[error("{0}")]
    Shim(#[source] ShimError),
    #[error("mounting the root file system: {0}")]
    Mount(#[source] containerd_shim::Error),
    #[error("the bundle's config.json: {0}")]
    Spec(#[source] oci_spec::OciSpecError),
    #[error("the bundle's config.json has no {0}")]
    Missing(&'static str),
    #[error("the control group could not be made")]
    Group,
    #[error("the process to be added: {0}")]
    Process(#[source] serde_json::Error),
    #[error("{}", Line(.0))]
    Guard(#[source] GuardError),
    #[error("{0}")]
    Pod(#[source] Unshareable),
    #[error("{0}")]
    Annotation(#[source] AnnotationError),
    #[error("{0}")]
    Image(String),
    #[error(
        "the volume at {} is {kind}, and a WASI command can be given folders and files only; leave it out",
        path.display()
    )]
    Volume { path: PathBuf, kind: &'static str },
    #[error(
        "the volume at {} lies inside the one at {}, which this runtime does not support beside a volume with \
         mountPropagation: Bidirectional; mount them apart, or use another runtime class",
        inner.display(), outer.display()
    )]
    NestedMount { outer: PathBuf, inner: PathBuf },
    #[error("{}", Line(.0))]
    Cache(#[source] EngineError),
    #[error("{name} cannot be loaded: {}", Line(.source))]
    Load { name: String, source: LoadError },
    #[error("{name} cannot be instantiated: {}", Line(.source))]
    Instance { name: String, source: CallError },
    #[error("{}", Line(.0))]
    Container(#[source] LibcontainerError),
    #[error("the environment variable PORT is \"{0}\", which is no port from 1 to 65535")]
    Port(String),
    #[error("{}", Line(.0))]
    Listen(#[source] sampan_runner::BindError),
    #[error(
        "port {0} for metrics is taken by another process of the pod; give each container a port of its own with the \
         annotation sampan.dev/metrics.NAME"
    )]
    MetricsPort(NonZeroU16),
}

impl ChildError {
    /// What the operating system refused while doing something.
    pub(super) fn system(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::System { doing, source }
    }
}

/// An error and its causes, as one line.
struct Line<'a, E>(&'a E);

impl<E: Error + 'static> fmt::Display for Line<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.0.to_string();
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let next = error.to_string();
            // Some errors repeat their cause, or are only its wrapper.
            if !text.ends_with(&next) {
                text = format!("{text}: {next}");
            }
            cause = error.source();
        }
        let one = text.chars().map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        });
        f.write_str(&one.collect::<String>())
    }
}
