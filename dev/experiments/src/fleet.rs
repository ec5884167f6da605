//! Manages the running Deployments: those of the measured function and no others.

use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use sampan_measure::namespace::Namespace;
use sampan_measure::netns_thread::NetnsThread;
use serde_json::json;

use super::images::Images;
use super::kind::Kind;
use super::load::Target;
use super::manifest::{self, Profile};
use super::pods::{PodState, Pods};

/// How long a first answer may take.
const FIRST_ANSWER_TIMEOUT: Duration = Duration::from_mins(2);

/// Creates and removes the Deployments.
pub(super) struct Fleet {
    pub(super) namespace: Namespace,
    pub(super) netns_thread: NetnsThread,
    pub(super) images: Images,
    node: String,
    active: Vec<ActiveDeployment>,
}

/// A running Deployment.
#[derive(Clone, Debug, PartialEq)]
struct ActiveDeployment {
    function: String,
    kind: Kind,
    profile: Profile,
    replicas: u32,
}

impl Fleet {
    pub(super) fn new(
        namespace: Namespace,
        netns_thread: NetnsThread,
        images: Images,
        node: String,
    ) -> Self {
        Self {
            namespace,
            netns_thread,
            images,
            node,
            active: Vec::new(),
        }
    }

    /// Makes one pod of a function run, and waits until it has answered. Deployments of other
    /// functions are removed.
    pub(super) async fn one(
        &mut self,
        function: &str,
        kind: Kind,
        profile: Profile,
    ) -> Result<(Pods, PodState)> {
        let wanted = ActiveDeployment {
            function: function.to_owned(),
            kind,
            profile,
            replicas: 1,
        };
        let fits = |active: &ActiveDeployment| {
            active.function == function && active.profile == profile && active.replicas == 1
        };
        let others: Vec<ActiveDeployment> = self
            .active
            .iter()
            .filter(|active| !fits(active))
            .cloned()
            .collect();
        for other in others {
            self.remove(&other).await?;
        }
        let mut pods = Pods::watch(&self.namespace, &manifest::name(function, kind)).await?;
        let is_new = !self.active.contains(&wanted);
        if is_new {
            self.create(wanted).await?;
        }
        let mut running = pods.running(1).await?;
        let seen = running.remove(0);
        if is_new {
            self.until_ok(function, &seen).await?;
        }
        Ok((pods, seen))
    }

    /// Makes a Deployment without pods, after removing all others.
    pub(super) async fn empty(&mut self, function: &str, kind: Kind) -> Result<Pods> {
        self.clear().await?;
        let pods = Pods::watch(&self.namespace, &manifest::name(function, kind)).await?;
        self.create(ActiveDeployment {
            function: function.to_owned(),
            kind,
            profile: Profile::Memory,
            replicas: 0,
        })
        .await?;
        Ok(pods)
    }

    /// Scales a Deployment; does not wait for its pods.
    pub(super) async fn scale(&mut self, function: &str, kind: Kind, replicas: u32) -> Result<()> {
        let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
        let name = manifest::name(function, kind);
        self.deployments()
            .patch(&name, &PatchParams::default(), &patch)
            .await?;
        for active in &mut self.active {
            if active.function == function && active.kind == kind {
                active.replicas = replicas;
            }
        }
        Ok(())
    }

    /// Removes all Deployments, and waits until their pods are gone.
    pub(super) async fn clear(&mut self) -> Result<()> {
        for active in self.active.clone() {
            self.remove(&active).await?;
        }
        Ok(())
    }

    /// The request of the experiments to a function's pod.
    pub(super) fn target(&self, function: &str, pod: &PodState) -> Result<Target> {
        pod.target(&self.images.function(function)?.path())
    }

    /// Waits until a pod answers.
    pub(super) async fn until_ok(&self, function: &str, pod: &PodState) -> Result<()> {
        let target = self.target(function, pod)?;
        let answered = self
            .netns_thread
            .run(move || Ok(target.until_ok(FIRST_ANSWER_TIMEOUT)?))
            .await;
        answered.with_context(|| format!("{} does not answer with 200", pod.name))?;
        Ok(())
    }

    async fn create(&mut self, active: ActiveDeployment) -> Result<()> {
        let images = self.images.function(&active.function)?;
        let deployment = manifest::deployment(
            &active.function,
            active.kind,
            images,
            active.replicas,
            active.profile,
            &self.node,
        );
        self.deployments()
            .create(&PostParams::default(), &deployment)
            .await?;
        self.active.push(active);
        Ok(())
    }

    async fn remove(&mut self, active: &ActiveDeployment) -> Result<()> {
        let name = manifest::name(&active.function, active.kind);
        let mut pods = Pods::watch(&self.namespace, &name).await?;
        let background = DeleteParams::background();
        self.deployments().delete(&name, &background).await?;
        pods.until("all are gone", |seen| seen.is_empty().then_some(()))
            .await?;
        self.active.retain(|known| known != active);
        Ok(())
    }

    fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.namespace.client(), self.namespace.name())
    }
}
