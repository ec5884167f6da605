//! The Deployments that are up: those of the function that is measured and no others.

use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

use super::images::Images;
use super::kind::Kind;
use super::load::Target;
use super::manifest::{self, Profile};
use super::pods::{Pods, Seen};
use crate::inside::Inside;
use crate::namespace::Namespace;

/// How long a first answer may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// What makes and removes them.
pub(super) struct Fleet {
    pub(super) namespace: Namespace,
    pub(super) inside: Inside,
    pub(super) images: Images,
    node: String,
    up: Vec<Up>,
}

/// One that is up.
#[derive(Clone, Debug, PartialEq)]
struct Up {
    function: String,
    kind: Kind,
    profile: Profile,
    replicas: u32,
}

impl Fleet {
    pub(super) fn new(namespace: Namespace, inside: Inside, images: Images, node: String) -> Self {
        Self {
            namespace,
            inside,
            images,
            node,
            up: Vec::new(),
        }
    }

    /// Has one pod of a function running that has answered, and none of another function.
    pub(super) async fn one(
        &mut self,
        function: &str,
        kind: Kind,
        profile: Profile,
    ) -> Result<(Pods, Seen)> {
        let wanted = Up {
            function: function.to_owned(),
            kind,
            profile,
            replicas: 1,
        };
        let fits = |up: &Up| up.function == function && up.profile == profile && up.replicas == 1;
        let others: Vec<Up> = self.up.iter().filter(|up| !fits(up)).cloned().collect();
        for other in others {
            self.remove(&other).await?;
        }
        let mut pods = Pods::watch(&self.namespace, &manifest::name(function, kind)).await?;
        let is_new = !self.up.contains(&wanted);
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

    /// Makes a Deployment with no others beside it, and without a pod.
    pub(super) async fn empty(&mut self, function: &str, kind: Kind) -> Result<Pods> {
        self.clear().await?;
        let pods = Pods::watch(&self.namespace, &manifest::name(function, kind)).await?;
        self.create(Up {
            function: function.to_owned(),
            kind,
            profile: Profile::Memory,
            replicas: 0,
        })
        .await?;
        Ok(pods)
    }

    /// Changes how many pods a Deployment has; does not wait for them.
    pub(super) async fn scale(&mut self, function: &str, kind: Kind, replicas: u32) -> Result<()> {
        let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
        let name = manifest::name(function, kind);
        self.deployments()
            .patch(&name, &PatchParams::default(), &patch)
            .await?;
        for up in &mut self.up {
            if up.function == function && up.kind == kind {
                up.replicas = replicas;
            }
        }
        Ok(())
    }

    /// Removes all, and waits until their pods are gone.
    pub(super) async fn clear(&mut self) -> Result<()> {
        for up in self.up.clone() {
            self.remove(&up).await?;
        }
        Ok(())
    }

    /// Where a function's pod is asked what the experiments ask it.
    pub(super) fn target(&self, function: &str, pod: &Seen) -> Result<Target> {
        pod.target(&self.images.function(function)?.path())
    }

    /// Waits until a pod answers.
    pub(super) async fn until_ok(&self, function: &str, pod: &Seen) -> Result<()> {
        let target = self.target(function, pod)?;
        let answered = self
            .inside
            .run(move || Ok(target.until_ok(PATIENCE)?))
            .await;
        answered.with_context(|| format!("{} does not answer with 200", pod.name))?;
        Ok(())
    }

    async fn create(&mut self, up: Up) -> Result<()> {
        let images = self.images.function(&up.function)?;
        let deployment = manifest::deployment(
            &up.function,
            up.kind,
            images,
            up.replicas,
            up.profile,
            &self.node,
        );
        self.deployments()
            .create(&PostParams::default(), &deployment)
            .await?;
        self.up.push(up);
        Ok(())
    }

    async fn remove(&mut self, up: &Up) -> Result<()> {
        let name = manifest::name(&up.function, up.kind);
        let mut pods = Pods::watch(&self.namespace, &name).await?;
        let background = DeleteParams::background();
        self.deployments().delete(&name, &background).await?;
        pods.until("all are gone", |seen| seen.is_empty().then_some(()))
            .await?;
        self.up.retain(|known| known != up);
        Ok(())
    }

    fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.namespace.client(), self.namespace.name())
    }
}
