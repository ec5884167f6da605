//! Result of `sampan deploy`, as text, as JSON and as a failure.
//!
//! Pure functions.

use std::fmt::Write as _;
use std::time::Duration;

use sampan_crd::{Placement, Reason};
use serde::Serialize;

use super::diagnosis::Diagnosis;
use super::wait::Outcome;
use crate::cluster::function::ClusterFunction;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::sanitize::one_line;

/// The effect of applying the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Change {
    /// It did not exist.
    Created,
    /// It differed.
    Changed,
    /// It was the same.
    Unchanged,
}

/// The result for one function.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Deployed {
    name: String,
    namespace: String,
    change: Change,
    generation: i64,
    /// `None` without a wait.
    ready: Option<bool>,
    reason: Option<String>,
    message: Option<String>,
    image: String,
    digest: Option<String>,
    pods: Option<String>,
    placement: Option<&'static str>,
    url: Option<String>,
    milliseconds: u64,
    pub(super) diagnosis: Option<Diagnosis>,
    exit_code: u8,
    help: Option<String>,
    #[serde(skip)]
    example: Option<String>,
    #[serde(skip)]
    exit: Exit,
}

impl Deployed {
    /// Makes the result for an applied function.
    pub(super) fn new(
        function: &ClusterFunction,
        change: Change,
        example: Option<String>,
        after: Duration,
    ) -> Self {
        Self {
            name: function.name.clone(),
            namespace: function.namespace.clone(),
            change,
            generation: function.generation,
            ready: None,
            reason: None,
            message: None,
            image: function.image.clone(),
            digest: None,
            pods: None,
            placement: None,
            url: None,
            milliseconds: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
            diagnosis: None,
            exit_code: Exit::Success.code(),
            help: None,
            example,
            exit: Exit::Success,
        }
    }

    /// Adds the outcome of the wait.
    pub(super) fn set_outcome(&mut self, outcome: Outcome, timeout: Duration) {
        let (function, exit, failed) = match outcome {
            Outcome::Ready(function) => (Some(function), Exit::Success, None),
            Outcome::Failed {
                function,
                reason,
                message,
            } => {
                let help = advice(&reason).to_owned();
                (function, Exit::NotReady, Some((reason, message, help)))
            }
            Outcome::Late {
                function,
                message,
                observed,
            } => {
                let help = if observed {
                    "the function is still starting: `sampan list` shows its state; or wait longer with --timeout"
                } else {
                    "check that Sampan's operator runs: kubectl get pods -A -l app.kubernetes.io/component=operator"
                };
                let message = format!("not within {timeout:?}: {message}");
                (
                    function,
                    Exit::Timeout,
                    Some(("Timeout".to_owned(), message, help.to_owned())),
                )
            }
        };
        if let Some(function) = function {
            self.image = function.image;
            self.digest = function.status.digest;
            self.pods = function.status.pods;
            self.placement = function.status.placement.map(Placement::as_str);
            self.url = function.status.url;
        }
        self.ready = Some(failed.is_none());
        self.exit = exit;
        self.exit_code = exit.code();
        if let Some((reason, message, help)) = failed {
            self.reason = Some(reason);
            self.message = Some(message);
            self.help = Some(help);
        }
    }
}

/// Advice for a function that cannot become ready.
fn advice(reason: &str) -> &'static str {
    let known = Reason::ALL.iter().find(|known| known.as_str() == reason);
    match known {
        Some(Reason::ImagePullFailed | Reason::InvalidImageName) => {
            "check the image's name, and that the nodes may pull it (spec.imagePullSecrets); `sampan push` pushes one"
        }
        Some(Reason::StartFailed) => {
            "check the .wasm with `sampan inspect`, and try it with `sampan up` on this machine"
        }
        Some(Reason::CrashLoop) => "read what it printed: sampan logs NAME --previous",
        Some(Reason::OutOfMemory) => {
            "give the pod more in spec.template.resources, or lower limits.memory, limits.concurrency or limits.compileMemory"
        }
        Some(Reason::NotAdmitted) => {
            "change what the quota or policy counts; the message says which limits set the memory of a pod"
        }
        Some(Reason::ConfigurationMissing | Reason::PodSetupFailed) => {
            "make the ConfigMap, Secret or volume that is named, or take it out of the resource"
        }
        Some(Reason::Invalid | Reason::Rejected) => {
            "correct the value that is named; `kubectl explain wfn.spec` says what it takes"
        }
        Some(Reason::Forbidden) => "give the operator the role that its Helm chart has",
        Some(Reason::PoolFull | Reason::PoolDisabled | Reason::PoolInvalid) => {
            "deploy it with --placement pod, or change what the message names"
        }
        Some(Reason::NameTaken) => "rename the function, or delete the object that has its name",
        _ => "`kubectl describe wfn NAME` shows more",
    }
}

/// The results as text.
pub(super) fn text(functions: &[Deployed]) -> String {
    let mut text = String::new();
    for function in functions {
        let Deployed {
            name, namespace, ..
        } = function;
        let change = match function.change {
            Change::Created => "created",
            Change::Changed => "changed",
            Change::Unchanged => "unchanged",
        };
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(text, "{name} {change} in namespace {namespace}");
        if function.ready == Some(true) {
            let url = function.url.as_deref().unwrap_or("no address");
            let pods = function.pods.as_deref().unwrap_or("?");
            let seconds = Duration::from_millis(function.milliseconds).as_secs_f64();
            let pooled = function.placement == Some(Placement::Pooled.as_str());
            let whose = if pooled { "pods of the pool" } else { "pods" };
            let _ = writeln!(
                text,
                "{name} is ready at {} ({pods} {whose}, {seconds:.1} s)",
                one_line(url)
            );
            let _ = writeln!(text, "call it: {}", invocation(function));
        }
    }
    text
}

/// The causes of functions that are not ready, as text.
pub(super) fn causes(functions: &[Deployed]) -> String {
    let mut text = String::new();
    for function in functions
        .iter()
        .filter(|function| function.exit != Exit::Success)
    {
        let reason = function.reason.as_deref().unwrap_or_default();
        let message = function.message.as_deref().unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{}: {}: {}",
            function.name,
            one_line(reason),
            one_line(message)
        );
        if let Some(diagnosis) = &function.diagnosis {
            text.push_str(&diagnosed(diagnosis));
        }
    }
    text
}

/// A shell command that calls the function.
fn invocation(function: &Deployed) -> String {
    let Deployed {
        name, namespace, ..
    } = function;
    let mut command = format!("sampan invoke {name}");
    if namespace != "default" {
        let _ = write!(command, " -n {namespace}");
    }
    if let Some(example) = &function.example {
        let _ = write!(command, " '{}'", example.replace('\'', "%27"));
    }
    command
}

fn diagnosed(diagnosis: &Diagnosis) -> String {
    let mut text = String::new();
    for warning in &diagnosis.warnings {
        let times = match warning.count {
            ..=1 => String::new(),
            count => format!(" ({count} times)"),
        };
        let line = format!(
            "{}: {}: {}{times}",
            warning.about, warning.reason, warning.message
        );
        let _ = writeln!(text, "  {}", one_line(&line));
    }
    for printed in &diagnosis.logs {
        let _ = writeln!(text, "  pod {} printed last:", one_line(&printed.pod));
        for line in &printed.lines {
            let _ = writeln!(text, "    {}", one_line(line));
        }
    }
    for note in &diagnosis.notes {
        let _ = writeln!(text, "  not known: {note}");
    }
    text
}

/// The failure of the command: that of the first function that is not ready.
pub(super) fn failure(functions: &[Deployed]) -> Option<Failure> {
    let mut failed = functions
        .iter()
        .filter(|function| function.exit != Exit::Success);
    let first = failed.next()?;
    let name = &first.name;
    let reason = first.reason.as_deref().unwrap_or_default();
    let message = first.message.as_deref().unwrap_or_default();
    let mut message = format!("{name} is not ready: {reason}: {message}");
    match failed.count() {
        0 => {}
        1 => message.push_str("; another one is not ready either"),
        more => {
            let _ = write!(message, "; {more} more are not ready either");
        }
    }
    let help = first
        .help
        .as_deref()
        .unwrap_or_default()
        .replace("NAME", name);
    Some(Failure::new(first.exit, message, help))
}

#[cfg(test)]
mod tests;
