//! Manages the replicas that exist: those of the measured function and no others, in pods of
//! Deployments or in the pool.

use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use sampan_measure::cluster::Cluster;
use sampan_measure::namespace::Namespace;
use sampan_measure::netns_thread::NetnsThread;
use serde_json::json;

use super::images::Images;
use super::kind::{Kind, Place};
use super::load::Target;
use super::manifest::{self, Profile};
use super::pool::Pool;
use super::replicas::{Replica, Replicas};

/// How long a first answer may take.
const FIRST_ANSWER_TIMEOUT: Duration = Duration::from_mins(2);

/// Creates and removes replicas.
pub(super) struct Fleet {
    pub(super) namespace: Namespace,
    pub(super) netns_thread: NetnsThread,
    pub(super) images: Images,
    pub(super) pool: Pool,
    node: String,
    active: Vec<Active>,
}

/// A function that has replicas in a kind, or may get some.
#[derive(Clone, Debug, PartialEq)]
struct Active {
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
        cluster: &Cluster,
    ) -> Result<Self> {
        Ok(Self {
            pool: Pool::new(&namespace, cluster)?,
            node: cluster.node()?.name.clone(),
            namespace,
            netns_thread,
            images,
            active: Vec::new(),
        })
    }

    /// Makes one replica of a function run, and waits until it has answered. Those of other
    /// functions are removed.
    pub(super) async fn one(
        &mut self,
        function: &str,
        kind: Kind,
        profile: Profile,
    ) -> Result<(Replicas, Replica)> {
        let wanted = Active {
            function: function.to_owned(),
            kind,
            profile,
            replicas: 1,
        };
        let fits = |active: &Active| {
            active.function == function && active.profile == profile && active.replicas == 1
        };
        let others: Vec<Active> = self
            .active
            .iter()
            .filter(|active| !fits(active))
            .cloned()
            .collect();
        for other in others {
            self.remove(&other).await?;
        }
        let mut replicas = self.prepare(function, kind, profile).await?;
        let is_new = !self.active.contains(&wanted);
        if is_new {
            self.create(wanted).await?;
        }
        let mut running = replicas.running(1).await?;
        let seen = running.remove(0);
        if is_new {
            self.until_ok(function, &seen).await?;
        }
        Ok((replicas, seen))
    }

    /// Makes a Deployment without pods, or a pool without the function, after removing all others.
    pub(super) async fn empty(&mut self, function: &str, kind: Kind) -> Result<Replicas> {
        self.clear().await?;
        let replicas = self.prepare(function, kind, Profile::Memory).await?;
        self.create(Active {
            function: function.to_owned(),
            kind,
            profile: Profile::Memory,
            replicas: 0,
        })
        .await?;
        Ok(replicas)
    }

    /// Raises the count of replicas; does not wait for them.
    pub(super) async fn grow(&mut self, function: &str, kind: Kind, replicas: u32) -> Result<()> {
        let name = manifest::name(function, kind);
        let is_it = |active: &&mut Active| active.function == function && active.kind == kind;
        let active = self.active.iter_mut().find(is_it);
        let active = active.with_context(|| format!("there is no {name}"))?;
        let more = replicas.checked_sub(active.replicas);
        let more = more.with_context(|| format!("{name} has more than {replicas} replicas"))?;
        active.replicas = replicas;
        match kind.place() {
            Place::Pods => {
                let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
                self.deployments()
                    .patch(&name, &PatchParams::default(), &patch)
                    .await?;
                Ok(())
            }
            Place::Pool => {
                let images = self.images.function(function)?;
                self.pool.create(&name, images, more).await
            }
        }
    }

    /// Deletes the only replica, and has another one made in its place; waits for neither.
    pub(super) async fn renew(&self, function: &str, kind: Kind, old: &str) -> Result<()> {
        match kind.place() {
            Place::Pods => {
                let api = self.namespace.pods();
                api.delete(old, &DeleteParams::default()).await?;
                Ok(())
            }
            Place::Pool => {
                let images = self.images.function(function)?;
                let label = manifest::name(function, kind);
                self.pool.create(&label, images, 1).await?;
                self.pool.delete(old).await
            }
        }
    }

    /// Removes all replicas, and waits until they are gone.
    pub(super) async fn clear(&mut self) -> Result<()> {
        for active in self.active.clone() {
            self.remove(&active).await?;
        }
        Ok(())
    }

    /// The request of the experiments to a function's replica.
    pub(super) fn target(&self, function: &str, replica: &Replica) -> Result<Target> {
        replica.target(&self.images.function(function)?.path())
    }

    /// Waits until a replica answers.
    pub(super) async fn until_ok(&self, function: &str, replica: &Replica) -> Result<()> {
        let target = self.target(function, replica)?;
        let answered = self
            .netns_thread
            .run(move || Ok(target.until_ok(FIRST_ANSWER_TIMEOUT)?))
            .await;
        answered.with_context(|| format!("{} does not answer with 200", replica.name))?;
        Ok(())
    }

    /// Watches the replicas of a function in a kind. The pool exists before its functions do.
    async fn prepare(&mut self, function: &str, kind: Kind, profile: Profile) -> Result<Replicas> {
        let name = manifest::name(function, kind);
        match kind.place() {
            Place::Pods => Replicas::of_pods(&self.namespace, &name).await,
            Place::Pool => {
                self.pool.hold(&self.images, function, profile).await?;
                self.pool.watch(&name).await
            }
        }
    }

    async fn create(&mut self, active: Active) -> Result<()> {
        let images = self.images.function(&active.function)?;
        match active.kind.place() {
            Place::Pods => {
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
            }
            Place::Pool => {
                let label = manifest::name(&active.function, active.kind);
                self.pool.create(&label, images, active.replicas).await?;
            }
        }
        self.active.push(active);
        Ok(())
    }

    async fn remove(&mut self, active: &Active) -> Result<()> {
        let name = manifest::name(&active.function, active.kind);
        match active.kind.place() {
            Place::Pods => {
                let mut pods = Replicas::of_pods(&self.namespace, &name).await?;
                let background = DeleteParams::background();
                self.deployments().delete(&name, &background).await?;
                pods.gone().await?;
            }
            Place::Pool => self.pool.remove(&name).await?,
        }
        self.active.retain(|known| known != active);
        Ok(())
    }

    fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.namespace.client(), self.namespace.name())
    }
}
