//! What `sampan deploy` tells in the end.
//!
//! Pure: from what happened to text, to fields, and to the failure that ends the program.

use std::fmt::Write as _;
use std::time::Duration;

use sampan_crd::Reason;
use serde::Serialize;

use super::diagnosis::Diagnosis;
use super::wait::Outcome;
use crate::cluster::seen::Seen;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::shown::one_line;

/// What applying did to the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Change {
    /// It was not there.
    Created,
    /// It was different.
    Changed,
    /// It was the same.
    Unchanged,
}

/// One function, as it is told of.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Deployed {
    name: String,
    namespace: String,
    change: Change,
    generation: i64,
    /// `None` when it was not waited for.
    ready: Option<bool>,
    reason: Option<String>,
    message: Option<String>,
    image: String,
    digest: Option<String>,
    pods: Option<String>,
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
    /// A function that was applied.
    pub(super) fn new(seen: &Seen, change: Change, example: Option<String>, after: Duration) -> Self {
        Self {
            name: seen.name.clone(),
            namespace: seen.namespace.clone(),
            change,
            generation: seen.generation,
            ready: None,
            reason: None,
            message: None,
            image: seen.image.clone(),
            digest: None,
            pods: None,
            url: None,
            milliseconds: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
            diagnosis: None,
            exit_code: Exit::Success.code(),
            help: None,
            example,
            exit: Exit::Success,
        }
    }

    /// Tells how waiting for it ended.
    pub(super) fn set_outcome(&mut self, outcome: Outcome, timeout: Duration) {
        let (seen, exit, told) = match outcome {
            Outcome::Ready(seen) => (Some(seen), Exit::Success, None),
            Outcome::Failed { seen, reason, message } => {
                let help = advice(&reason).to_owned();
                (seen, Exit::NotReady, Some((reason, message, help)))
            }
            Outcome::Late { seen, message, observed } => {
                let help = if observed {
                    "it goes on becoming ready: `sampan list` shows how it stands; or wait longer with --timeout"
                } else {
                    "check that Sampan's operator runs: kubectl get pods -A -l app.kubernetes.io/name=sampan-operator"
                };
                let message = format!("not within {timeout:?}: {message}");
                (seen, Exit::Timeout, Some(("Timeout".to_owned(), message, help.to_owned())))
            }
        };
        if let Some(seen) = seen {
            self.image = seen.image;
            self.digest = seen.status.digest;
            self.pods = seen.status.pods;
            self.url = seen.status.url;
        }
        self.ready = Some(told.is_none());
        self.exit = exit;
        self.exit_code = exit.code();
        if let Some((reason, message, help)) = told {
            self.reason = Some(reason);
            self.message = Some(message);
            self.help = Some(help);
        }
    }
}

/// What to do about a function that cannot become ready.
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
            "lower limits.memory or limits.concurrency, or give the pod more in spec.template.resources"
        }
        Some(Reason::ConfigurationMissing | Reason::PodSetupFailed) => {
            "make the ConfigMap, Secret or volume that is named, or take it out of the resource"
        }
        Some(Reason::Invalid | Reason::Rejected) => {
            "correct the value that is named; `kubectl explain wfn.spec` says what it takes"
        }
        Some(Reason::Forbidden) => "give the operator the role that its Helm chart has",
        Some(Reason::NameTaken) => "rename the function, or delete the object that has its name",
        _ => "`kubectl describe wfn NAME` tells more",
    }
}

/// All functions as text for a person.
pub(super) fn text(functions: &[Deployed]) -> String {
    let mut text = String::new();
    for function in functions {
        let Deployed { name, namespace, .. } = function;
        let change = match function.change {
            Change::Created => "created",
            Change::Changed => "changed",
            Change::Unchanged => "unchanged",
        };
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(text, "{name} {change} in namespace {namespace}");
        match function.ready {
            None => {}
            Some(true) => {
                let url = function.url.as_deref().unwrap_or("no address");
                let pods = function.pods.as_deref().unwrap_or("?");
                let seconds = Duration::from_millis(function.milliseconds).as_secs_f64();
                let _ = writeln!(text, "{name} is ready at {} ({pods} pods, {seconds:.1} s)", one_line(url));
                let _ = writeln!(text, "call it: {}", invocation(function));
            }
            Some(false) => {
                let reason = function.reason.as_deref().unwrap_or_default();
                let message = function.message.as_deref().unwrap_or_default();
                let _ = writeln!(text, "{name} is not ready: {}: {}", one_line(reason), one_line(message));
            }
        }
        if let Some(diagnosis) = &function.diagnosis {
            text.push_str(&diagnosed(diagnosis));
        }
    }
    text
}

/// A command that calls the function, ready to be pasted.
fn invocation(function: &Deployed) -> String {
    let Deployed { name, namespace, .. } = function;
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
        let line = format!("{}: {}: {}{times}", warning.about, warning.reason, warning.message);
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

/// What ends the program: the failure of the first function that is not ready.
pub(super) fn failure(functions: &[Deployed]) -> Option<Failure> {
    let mut failed = functions.iter().filter(|function| function.exit != Exit::Success);
    let first = failed.next()?;
    let name = &first.name;
    let mut message = format!(
        "{name} is not ready: {}: {}",
        first.reason.as_deref().unwrap_or_default(),
        first.message.as_deref().unwrap_or_default()
    );
    match failed.count() {
        0 => {}
        1 => message.push_str("; another one is not ready either"),
        more => {
            let _ = write!(message, "; {more} more are not ready either");
        }
    }
    let help = first.help.as_deref().unwrap_or_default().replace("NAME", name);
    Some(Failure::new(first.exit, message, help))
}

#[cfg(test)]
mod tests {
    use super::super::diagnosis::{Printed, Warning};
    use super::*;
    use crate::cluster::seen::tests::seen;

    fn deployed(outcome: Option<Outcome>) -> Deployed {
        let after = Duration::from_millis(2_140);
        let example = Some("/?n='1'".to_owned());
        let mut deployed = Deployed::new(&seen(1, &[]), Change::Created, example, after);
        if let Some(outcome) = outcome {
            deployed.set_outcome(outcome, Duration::from_secs(120));
        }
        deployed
    }

    fn failed(reason: &str) -> Outcome {
        Outcome::Failed {
            seen: None,
            reason: reason.to_owned(),
            message: "m\u{1b}".to_owned(),
        }
    }

    #[test]
    fn what_went_well_is_told_with_a_way_to_call_it() {
        let check = |deployed: Deployed, expected: &str| {
            assert_eq!(failure(std::slice::from_ref(&deployed)), None);
            assert_eq!(text(&[deployed]), expected);
        };
        check(deployed(None), "hello created in namespace shop\n");
        check(
            deployed(Some(Outcome::Ready(Box::new(seen(1, &[]))))),
            "hello created in namespace shop
hello is ready at http://hello.shop.svc (1/1 pods, 2.1 s)
call it: sampan invoke hello -n shop '/?n=%271%27'
",
        );
    }

    #[test]
    fn what_failed_is_told_with_all_that_is_known() {
        let mut function = deployed(Some(failed("CrashLoop")));
        function.diagnosis = Some(Diagnosis {
            warnings: vec![Warning {
                about: "pod hello-1".to_owned(),
                reason: "BackOff".to_owned(),
                message: "restarting".to_owned(),
                count: 3,
            }],
            logs: vec![Printed {
                pod: "hello-1".to_owned(),
                lines: vec!["panicked".to_owned(), "\u{1b}[2J".to_owned()],
            }],
            notes: vec!["cannot list events".to_owned()],
        });
        assert_eq!(
            text(&[function.clone()]),
            "hello created in namespace shop
hello is not ready: CrashLoop: m\\u{1b}
  pod hello-1: BackOff: restarting (3 times)
  pod hello-1 printed last:
    panicked
    \\u{1b}[2J
  not known: cannot list events
"
        );
        let value = serde_json::to_value(&function).expect("JSON");
        assert_eq!(value["change"], "created");
        assert_eq!(value["ready"], false);
        assert_eq!(value["exit_code"], 46);
        assert_eq!(value["diagnosis"]["warnings"][0]["count"], 3);
    }

    #[test]
    fn the_first_failure_ends_it_and_counts_the_others() {
        let check = |functions: &[Deployed], exit, message: &str, help: &str| {
            let failure = failure(functions).expect("a failure");
            assert_eq!(failure.exit, exit, "{failure:?}");
            assert!(failure.message.contains(message), "{failure:?}");
            assert!(failure.help.contains(help), "{failure:?}");
        };
        let ready = deployed(Some(Outcome::Ready(Box::new(seen(1, &[])))));
        let crash = deployed(Some(failed("CrashLoop")));
        let late = |observed| {
            deployed(Some(Outcome::Late {
                seen: None,
                message: "Unschedulable: 0 nodes".to_owned(),
                observed,
            }))
        };
        check(&[ready.clone(), crash.clone()], Exit::NotReady, "CrashLoop: m", "sampan logs hello --previous");
        check(&[late(true), crash.clone()], Exit::Timeout, "within 120s: Unsched", "--timeout");
        check(&[late(false)], Exit::Timeout, "not ready", "operator");
        check(&[crash.clone(), crash.clone()], Exit::NotReady, "another one", "");
        check(&[crash.clone(), crash.clone(), ready, crash], Exit::NotReady, "2 more", "");
    }

    #[test]
    fn every_reason_that_ends_a_wait_has_advice_of_its_own() {
        let general = advice("FromTheFuture");
        for reason in [
            Reason::Invalid,
            Reason::Rejected,
            Reason::InvalidImageName,
            Reason::ImagePullFailed,
            Reason::StartFailed,
            Reason::ConfigurationMissing,
            Reason::CrashLoop,
            Reason::OutOfMemory,
            Reason::Forbidden,
            Reason::NameTaken,
        ] {
            assert_ne!(advice(reason.as_str()), general, "{reason}");
        }
    }
}
