//! One poller for each pod of each pool, while the pod exists.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use tokio::task::{AbortHandle, JoinSet};

use crate::pool_poll::poll;
use crate::pool_reports::{PodKey, PoolReports};
use crate::pool_view::{address, is_ending};
use crate::touched::Touched;

/// The pollers of all pools. They end with this.
pub(crate) struct PoolPollers {
    reports: Arc<PoolReports>,
    touched: Touched,
    tasks: JoinSet<()>,
    polled: HashMap<PodKey, (IpAddr, AbortHandle)>,
}

impl PoolPollers {
    pub(crate) fn new(reports: Arc<PoolReports>, touched: Touched) -> Self {
        Self {
            reports,
            touched,
            tasks: JoinSet::new(),
            polled: HashMap::new(),
        }
    }

    /// Polls each pod of a namespace's pool that has an address and is not ending, and no other.
    pub(crate) fn follow(&mut self, namespace: &str, pods: &[Arc<Pod>]) {
        let living: HashMap<PodKey, IpAddr> = pods
            .iter()
            .filter(|pod| !is_ending(pod))
            .filter_map(|pod| {
                let key = PodKey {
                    namespace: namespace.to_owned(),
                    uid: pod.metadata.uid.clone()?,
                };
                Some((key, address(pod)?))
            })
            .collect();
        let reports = &self.reports;
        self.polled.retain(|pod, (address, task)| {
            let stays = pod.namespace != namespace || living.get(pod) == Some(address);
            if !stays {
                task.abort();
                reports.forget(pod);
            }
            stays
        });
        for (pod, address) in living {
            if !self.polled.contains_key(&pod) {
                let poller = poll(
                    pod.clone(),
                    address,
                    Arc::clone(&self.reports),
                    self.touched.clone(),
                );
                let task = self.tasks.spawn(poller);
                self.polled.insert(pod, (address, task));
            }
        }
        // Ended tasks hold nothing any more.
        while self.tasks.try_join_next().is_some() {}
    }
}
