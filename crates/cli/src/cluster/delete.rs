//! `sampan delete`: deletes functions and the objects that belong to them.
//!
//! It tries every name, and reports each result.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use kube::api::{DeleteParams, Preconditions};
use serde::Serialize;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::function::ClusterFunction;
use super::{Cluster, block_on, end};
use crate::arguments::{Delete, Output};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{pretty_json, print};

/// The interval at which remaining pods are checked.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// The result for one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Deleted {
    name: String,
    namespace: String,
    /// The outcome.
    result: DeleteResult,
    error: Option<String>,
    help: Option<String>,
    exit_code: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum DeleteResult {
    /// Its deletion has begun.
    Deleted,
    /// The function and its pods are gone.
    Gone,
    /// It did not exist, which `--ignore-not-found` permits.
    Absent,
    /// It still exists.
    Failed,
}

/// Deletes functions.
pub(crate) fn delete(arguments: &Delete) -> Result<ExitCode, Failure> {
    match block_on(run(arguments)) {
        Err(failure) => end(Err(failure), arguments.output),
        Ok(outcomes) => {
            let deleted: Vec<Deleted> = outcomes
                .iter()
                .map(|(deleted, _)| deleted.clone())
                .collect();
            match arguments.output {
                Output::Json => print(&pretty_json(&deleted)?)?,
                Output::Text => print(&text(&deleted))?,
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
            Ok(function) => {
                gone.push((outcomes.len(), function));
                deletion(&cluster, name, DeleteResult::Deleted, None)
            }
            Err(failure) if failure.exit == Exit::Absent && arguments.ignore_not_found => {
                deletion(&cluster, name, DeleteResult::Absent, None)
            }
            Err(failure) => deletion(&cluster, name, DeleteResult::Failed, Some(failure)),
        });
    }
    if arguments.wait {
        let deadline = Instant::now() + arguments.timeout;
        for (index, function) in gone {
            outcomes[index] = match wait_for(&cluster, &function, deadline, arguments.timeout).await
            {
                Ok(()) => deletion(&cluster, &function.name, DeleteResult::Gone, None),
                Err(failure) => deletion(
                    &cluster,
                    &function.name,
                    DeleteResult::Failed,
                    Some(failure),
                ),
            };
        }
    }
    Ok(outcomes)
}

fn deletion(
    cluster: &Cluster,
    name: &str,
    result: DeleteResult,
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

/// Deletes exactly the current function, not a later one with its name.
async fn delete_one(cluster: &Cluster, name: &str) -> Result<ClusterFunction, Failure> {
    let function = cluster.function(name).await?;
    let parameters = DeleteParams {
        preconditions: Some(Preconditions {
            uid: function.uid.clone(),
            resource_version: None,
        }),
        ..DeleteParams::background()
    };
    let action = format!("delete {name} in namespace {}", cluster.namespace);
    let functions = cluster.functions(&cluster.namespace);
    cluster
        .request(action, functions.delete(name, &parameters))
        .await?;
    Ok(function)
}

/// Waits until the function and its pods are gone.
async fn wait_for(
    cluster: &Cluster,
    function: &ClusterFunction,
    deadline: Instant,
    limit: Duration,
) -> Result<(), Failure> {
    let ClusterFunction {
        name,
        namespace,
        uid,
        ..
    } = function;
    let mut left = "it is still there".to_owned();
    let all_gone = async {
        loop {
            left = match still_there(cluster, name, namespace, uid.as_deref()).await? {
                None => return Ok(()),
                Some(left) => left,
            };
            sleep_until(Instant::now() + POLL_INTERVAL).await;
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

/// Describes what remains of a function.
async fn still_there(
    cluster: &Cluster,
    name: &str,
    namespace: &str,
    uid: Option<&str>,
) -> Result<Option<String>, Failure> {
    let functions = cluster.functions(namespace);
    let action = format!("read {name} in namespace {namespace}");
    let object = cluster
        .request(action, functions.get_metadata_opt(name))
        .await?;
    // A new function has the same name: its pods do not count.
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

/// One line for each result; failures go to standard error.
fn text(deleted: &[Deleted]) -> String {
    let mut text = String::new();
    for Deleted {
        name,
        namespace,
        result,
        ..
    } in deleted
    {
        let result = match result {
            DeleteResult::Deleted => "deleted in",
            DeleteResult::Gone => "gone from",
            DeleteResult::Absent => "not in",
            DeleteResult::Failed => continue,
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name} {result} namespace {namespace}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_result_is_printed_and_failures_elsewhere() {
        let one = |name: &str, result| Deleted {
            name: name.to_owned(),
            namespace: "shop".to_owned(),
            result,
            error: None,
            help: None,
            exit_code: 0,
        };
        let deleted = [
            one("a", DeleteResult::Deleted),
            one("b", DeleteResult::Failed),
            one("c", DeleteResult::Gone),
            one("d", DeleteResult::Absent),
        ];
        assert_eq!(
            text(&deleted),
            "a deleted in namespace shop\nc gone from namespace shop\nd not in namespace shop\n"
        );
        let value = serde_json::to_value(&deleted[2]).expect("JSON");
        assert_eq!(value["result"], "gone");
    }
}
