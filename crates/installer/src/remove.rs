//! Removes the runtime from all nodes before the chart is removed.
//!
//! The DaemonSet's pods are replaced by pods that uninstall and become ready when done. The removal
//! of the chart fails while a node still has the runtime.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::DaemonSet;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::time::sleep;

use crate::arguments::RemoveEverywhere;
use crate::error::Error;
use crate::install::report;

/// The interval at which the DaemonSet is polled.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The number of nodes without the runtime, and of all nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count {
    done: i32,
    of: i32,
}

/// Makes every installer uninstall, and waits for all of them.
pub(crate) async fn remove(arguments: RemoveEverywhere) -> Result<(), Error> {
    let client = Client::try_default()
        .await
        .map_err(|error| Error::NoKubernetes(Box::new(error)))?;
    let sets: Api<DaemonSet> = Api::namespaced(client, &arguments.namespace);
    let name = &arguments.daemon_set;
    let failed = |what, error| Error::DaemonSet {
        what,
        name: name.clone(),
        source: Box::new(error),
    };
    let patch = json!({"spec": {
        "updateStrategy": {"rollingUpdate": {"maxUnavailable": "100%"}},
        "template": {"spec": {"containers": [{"name": "installer", "args": ["uninstall"]}]}},
    }});
    let patched = sets
        .patch(name, &PatchParams::default(), &Patch::Strategic(patch))
        .await;
    let generation = match patched {
        Ok(set) => set.metadata.generation,
        // The DaemonSet was deleted: there are no pods to wait for.
        Err(kube::Error::Api(status)) if status.code == 404 => {
            report("the DaemonSet is already gone; the runtime stays on its nodes");
            return Ok(());
        }
        Err(error) => return Err(failed("changed", error)),
    };
    let begun = Instant::now();
    let mut reported = None;
    loop {
        let set = sets
            .get(name)
            .await
            .map_err(|error| failed("read", error))?;
        let count = count(&set, generation);
        if reported != Some(count) {
            report(&format!(
                "{} of {} nodes are restored",
                count.done, count.of
            ));
            reported = Some(count);
        }
        if count.done >= count.of {
            return Ok(());
        }
        if begun.elapsed() > arguments.timeout {
            return Err(Error::NodesRemaining {
                done: count.done,
                of: count.of,
            });
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// Counts finished nodes. The count is zero until the controller has seen the change.
fn count(set: &DaemonSet, generation: Option<i64>) -> Count {
    let Some(status) = &set.status else {
        return Count { done: 0, of: 1 };
    };
    let of = status.desired_number_scheduled;
    if status.observed_generation < generation {
        return Count {
            done: 0,
            of: of.max(1),
        };
    }
    let updated = status.updated_number_scheduled.unwrap_or_default();
    // Once every pod is replaced, a ready pod is one that has uninstalled.
    let done = if updated < of {
        updated.min(status.number_ready)
    } else {
        status.number_ready
    };
    Count {
        done: if updated < of { done.min(of - 1) } else { done },
        of,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::DaemonSetStatus;

    use super::*;

    #[test]
    fn only_replaced_and_ready_pods_are_done() {
        let check = |observed: i64, desired, updated, ready, expected: (i32, i32)| {
            let set = DaemonSet {
                status: Some(DaemonSetStatus {
                    observed_generation: Some(observed),
                    desired_number_scheduled: desired,
                    updated_number_scheduled: Some(updated),
                    number_ready: ready,
                    ..DaemonSetStatus::default()
                }),
                ..DaemonSet::default()
            };
            let (done, of) = expected;
            assert_eq!(
                count(&set, Some(2)),
                Count { done, of },
                "{observed} {desired} {updated} {ready}"
            );
        };
        check(1, 3, 3, 3, (0, 3));
        check(2, 3, 0, 3, (0, 3));
        check(2, 3, 2, 3, (2, 3));
        check(2, 3, 3, 1, (1, 3));
        check(2, 3, 3, 3, (3, 3));
        check(2, 0, 0, 0, (0, 0));
        check(1, 0, 0, 0, (0, 1));
        assert_eq!(
            count(&DaemonSet::default(), Some(1)),
            Count { done: 0, of: 1 }
        );
    }
}
