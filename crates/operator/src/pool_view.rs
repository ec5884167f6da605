//! The pool of one namespace as one function sees it: its pods, and what each says of the function.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, Pod};
use sampan_crd::pool_report::Serving;

use crate::pool_reports::{FunctionReport, Reach};

/// A pool.
#[derive(Clone, Debug, Default)]
pub(crate) struct PoolView {
    /// Its pods that are not ending.
    pub(crate) pods: Vec<PoolPod>,
    /// Its Deployment, if it exists.
    pub(crate) deployment: Option<Arc<Deployment>>,
    /// All of its pods, as the cluster has them.
    pub(crate) objects: Vec<Arc<Pod>>,
    /// Events about pods that cannot be set up.
    pub(crate) warnings: Vec<Arc<Event>>,
}

/// A pod of the pool.
#[derive(Clone, Debug)]
pub(crate) struct PoolPod {
    /// Its name.
    pub(crate) name: String,
    /// Whether Services send it requests.
    pub(crate) ready: bool,
    /// What it says of the function.
    pub(crate) report: FunctionReport,
}

impl PoolPod {
    /// What the pod serves at this port, by its last report. A ready pod goes on serving when the
    /// operator cannot reach it.
    pub(crate) fn serving(&self, port: Option<u16>) -> Option<&Serving> {
        let serving = self.report.function.as_ref()?.serving.as_ref()?;
        (Some(serving.port) == port).then_some(serving)
    }
}

impl PoolView {
    /// The pods that get requests.
    pub(crate) fn ready(&self) -> impl Iterator<Item = &PoolPod> {
        self.pods.iter().filter(|pod| pod.ready)
    }

    /// Whether a pod that gets requests has not been asked long enough.
    pub(crate) fn is_unknown(&self) -> bool {
        self.ready().any(|pod| pod.report.reach == Reach::Unknown)
    }

    /// Whether every pod that gets requests, and at least one, serves this version at this port. A
    /// Service moves only on what is known now.
    pub(crate) fn serves(&self, generation: Option<i64>, port: Option<u16>) -> bool {
        let current = |pod: &PoolPod| {
            let answers = pod.report.reach == Reach::Answers;
            let serving = pod.serving(port).filter(|_| answers);
            serving.is_some_and(|serving| Some(serving.generation) >= generation)
        };
        self.ready().next().is_some() && self.ready().all(current)
    }
}
