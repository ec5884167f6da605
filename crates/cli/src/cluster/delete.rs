//! `sampan delete`: functions and all that belongs to them.
//!
//! Refuses to stop at the first name that cannot be deleted: each is tried, and each is told of.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use kube::api::{DeleteParams, Preconditions};
use serde::Serialize;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::seen::Seen;
use super::{Cluster, block_on, end};
use crate::arguments::{Delete, Output};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{pretty_json, print};

/// How often it is looked whether the pods are gone.
const LOOK: Duration = Duration::from_millis(500);

/// What became of one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Deleted {
    name: String,
    namespace: String,
    /// What happened.
    result: Fate,
    error: Option<String>,
    help: Option<String>,
    exit_code: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Fate {
    /// It is on its way out.
    Deleted,
    /// It is gone, and so are its pods.
    Gone,
    /// It was not there, which was allowed for.
    Absent,
    /// It is still there.
    Failed,
}

/// Deletes functions.
pub(crate) fn delete(arguments: &Delete) -> Result<ExitCode, Failure> {
    match block_on(run(arguments)) {
        Err(failure) => end(Err(failure), arguments.output),
        Ok(outcomes) => {
            let told: Vec<Deleted> = outcomes
                .iter()
                .map(|(deleted, _)| deleted.clone())
                .collect();
            match arguments.output {
                Output::Json => print(&pretty_json(&told)?)?,
                Output::Text => print(&text(&told))?,
            }
            let failures: Vec<Failure> = outcomes
                .into_iter()
                .filter_map(|(_, failure)| failure)
                .collect();
            match failures.split_first() {
                None => end(Ok(()), Output::Text),
                Some((first, others)) => {
                    for failure in others {
                        failure.show();
                    }
                    Err(first.clone())
                }
            }
        }
    }
}

async fn run(arguments: &Delete) -> Result<Vec<(Deleted, Option<Failure>)>, Failure> {
    let cluster = Cluster::find(&arguments.cluster).await?;
    let mut outcomes = Vec::new();
    let mut gone = Vec::new();
    for name in &arguments.names {
        let outcome = delete_one(&cluster, name).await;
        outcomes.push(match outcome {
            Ok(seen) => {
                gone.push((outcomes.len(), seen));
                told(&cluster, name, Fate::Deleted, None)
            }
            Err(failure) if failure.exit == Exit::Absent && arguments.ignore_not_found => {
                told(&cluster, name, Fate::Absent, None)
            }
            Err(failure) => told(&cluster, name, Fate::Failed, Some(failure)),
        });
    }
    if arguments.wait {
        let deadline = Instant::now() + arguments.timeout;
        for (index, seen) in gone {
            outcomes[index] = match wait_for(&cluster, &seen, deadline, arguments.timeout).await {
                Ok(()) => told(&cluster, &seen.name, Fate::Gone, None),
                Err(failure) => told(&cluster, &seen.name, Fate::Failed, Some(failure)),
            };
        }
    }
    Ok(outcomes)
}

fn told(
    cluster: &Cluster,
    name: &str,
    result: Fate,
    failure: Option<Failure>,
) -> (Deleted, Option<Failure>) {
    let deleted = Deleted {
        name: name.to_owned(),
        namespace: cluster.namespace.clone(),
        result,
        error: failure.as_ref().map(|failure| failure.message.clone()),
        help: failure.as_ref().map(|failure| failure.help.clone()),
        exit_code: failure
            .as_ref()
            .map_or(Exit::Success, |failure| failure.exit)
            .code(),
    };
    (deleted, failure)
}

/// Deletes the function that is there now, and no later one of its name.
async fn delete_one(cluster: &Cluster, name: &str) -> Result<Seen, Failure> {
    let seen = cluster.function(name).await?;
    let parameters = DeleteParams {
        preconditions: Some(Preconditions {
            uid: seen.uid.clone(),
            resource_version: None,
        }),
        ..DeleteParams::background()
    };
    let action = format!("delete {name} in namespace {}", cluster.namespace);
    let functions = cluster.functions(&cluster.namespace);
    cluster
        .ask(action, functions.delete(name, &parameters))
        .await?;
    Ok(seen)
}

/// Waits until the function and its pods are gone.
async fn wait_for(
    cluster: &Cluster,
    seen: &Seen,
    deadline: Instant,
    limit: Duration,
) -> Result<(), Failure> {
    let Seen {
        name,
        namespace,
        uid,
        ..
    } = seen;
    let mut left = "it is still there".to_owned();
    let all_gone = async {
        loop {
            left = match still_there(cluster, name, namespace, uid.as_deref()).await? {
                None => return Ok(()),
                Some(left) => left,
            };
            sleep_until(Instant::now() + LOOK).await;
        }
    };
    match timeout_at(deadline, all_gone).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Failure::new(
            Exit::Timeout,
            format!("{name} is not gone within {limit:?}: {left}"),
            "it goes on by itself; or wait longer with --timeout",
        )),
    }
}

/// What is left of a function, in words.
async fn still_there(
    cluster: &Cluster,
    name: &str,
    namespace: &str,
    uid: Option<&str>,
) -> Result<Option<String>, Failure> {
    let functions = cluster.functions(namespace);
    let action = format!("read {name} in namespace {namespace}");
    let object = cluster
        .ask(action, functions.get_metadata_opt(name))
        .await?;
    // Another one of the same name has come since: then its pods are not to be waited for.
    if object
        .as_ref()
        .is_some_and(|object| object.metadata.uid.as_deref() != uid)
    {
        return Ok(None);
    }
    if let Some(object) = object {
        let finalizers = object.metadata.finalizers.unwrap_or_default();
        return Ok(Some(match finalizers.as_slice() {
            [] => "it is still there".to_owned(),
            finalizers => format!("these have yet to let it go: {}", finalizers.join(", ")),
        }));
    }
    Ok(match cluster.pods_of(namespace, name).await?.len() {
        0 => None,
        1 => Some("one pod is still there".to_owned()),
        pods => Some(format!("{pods} pods are still there")),
    })
}

/// What happened, a line each; failures are told on standard error.
fn text(deleted: &[Deleted]) -> String {
    let mut text = String::new();
    for Deleted {
        name,
        namespace,
        result,
        ..
    } in deleted
    {
        let fate = match result {
            Fate::Deleted => "deleted in",
            Fate::Gone => "gone from",
            Fate::Absent => "not in",
            Fate::Failed => continue,
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name} {fate} namespace {namespace}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fate_is_told_and_failures_elsewhere() {
        let one = |name: &str, result| Deleted {
            name: name.to_owned(),
            namespace: "shop".to_owned(),
            result,
            error: None,
            help: None,
            exit_code: 0,
        };
        let deleted = [
            one("a", Fate::Deleted),
            one("b", Fate::Failed),
            one("c", Fate::Gone),
            one("d", Fate::Absent),
        ];
        assert_eq!(
            text(&deleted),
            "a deleted in namespace shop\nc gone from namespace shop\nd not in namespace shop\n"
        );
        let value = serde_json::to_value(&deleted[2]).expect("JSON");
        assert_eq!(value["result"], "gone");
    }
}
