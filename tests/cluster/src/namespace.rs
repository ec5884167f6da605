//! A namespace of a test's own.

use std::process::Stdio;
use std::thread;
use std::time::Duration;

use k8s_openapi::api::core::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, PostParams};
use kube::core::{ApiResource, DynamicObject, NamespaceResourceScope};
use kube::runtime::wait::{Condition, await_condition, conditions};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

use crate::{Cluster, Kubectl, Pending};

/// How long a test waits for anything. The timeout decides no test; it only ends one that would
/// wait for ever.
pub const TEST_TIMEOUT: Duration = Duration::from_mins(10);

/// A condition of an object; `None` stands for an absent one.
type Matches<'a> = Box<dyn Fn(Option<&DynamicObject>) -> bool + Send + Sync + 'a>;

/// A namespace with a unique name. It is deleted when it is dropped. If its test fails, it prints
/// its content before.
pub struct Namespace {
    name: String,
    client: Client,
    cluster: Cluster,
    deleted: bool,
}

impl Namespace {
    /// Makes a namespace with a name of this prefix, in the cluster that the environment names.
    pub fn create(prefix: &str) -> Pending<'_, Namespace> {
        Box::pin(Namespace::make(Cluster::find(), prefix))
    }

    /// Makes a namespace in another cluster.
    pub fn within(cluster: Cluster, prefix: &str) -> Pending<'_, Namespace> {
        Box::pin(Namespace::make(cluster, prefix))
    }

    async fn make(cluster: Cluster, prefix: &str) -> Namespace {
        let client = cluster.client().await;
        let namespace = v1::Namespace {
            metadata: ObjectMeta {
                generate_name: Some(format!("{prefix}-")),
                ..ObjectMeta::default()
            },
            ..v1::Namespace::default()
        };
        let namespaces: Api<v1::Namespace> = Api::all(client.clone());
        let made = namespaces.create(&PostParams::default(), &namespace).await;
        let made = made.expect("failed to make a namespace");
        let namespace = Namespace {
            name: made.metadata.name.expect("a namespace has a name"),
            client,
            cluster,
            deleted: false,
        };
        // The API server rejects pods before their service account exists.
        let account = conditions::is_created::<v1::ServiceAccount>();
        namespace.wait_for("default", "be made", account).await;
        namespace
    }

    /// The name of the namespace.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The cluster of the namespace.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// A client with all rights.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The resources of a kind in it.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// `kubectl` in it.
    pub fn kubectl(&self) -> Kubectl {
        self.cluster.kubectl().within(&self.name)
    }

    /// Applies the YAML.
    pub fn apply(&self, yaml: &str) {
        self.kubectl().apply(yaml);
    }

    /// Waits until a resource meets a condition, and returns it; `None` if its absence met the
    /// condition.
    pub fn wait_for<'a, K>(
        &'a self,
        name: &'a str,
        what: &'a str,
        condition: impl Condition<K> + Send + Sync + 'a,
    ) -> Pending<'a, Option<K>>
    where
        K: Resource<Scope = NamespaceResourceScope> + DeserializeOwned + 'static,
        K::DynamicType: Default,
    {
        // This part is compiled for every kind; the watch is compiled once.
        let kind = ApiResource::erase::<K>(&K::DynamicType::default());
        let typed = |object: DynamicObject| {
            let parsed = object.try_parse::<K>();
            parsed.unwrap_or_else(|error| panic!("the API server sent an invalid object: {error}"))
        };
        let matches = move |object: Option<&DynamicObject>| {
            condition.matches_object(object.cloned().map(typed).as_ref())
        };
        let watched = self.watch(kind, name, what, Box::new(matches));
        Box::pin(async move { watched.await.map(typed) })
    }

    fn watch<'a>(
        &'a self,
        kind: ApiResource,
        name: &'a str,
        what: &'a str,
        matches: Matches<'a>,
    ) -> Pending<'a, Option<DynamicObject>> {
        Box::pin(async move {
            let api = Api::namespaced_with(self.client.clone(), &self.name, &kind);
            let kind = kind.kind;
            let met = tokio::time::timeout(TEST_TIMEOUT, await_condition(api, name, matches)).await;
            let met =
                met.unwrap_or_else(|_| panic!("{kind} {name} did not {what} in {TEST_TIMEOUT:?}"));
            met.unwrap_or_else(|error| panic!("failed to watch {kind} {name}: {error}"))
        })
    }

    /// Waits until the status of a pod says that one of its containers was started again, once.
    pub async fn wait_for_restart(&self, pod: &str) {
        let restarted = self.wait_for(pod, "report its restart", |pod: Option<&v1::Pod>| {
            let status = pod.and_then(|pod| pod.status.as_ref());
            let containers = status.and_then(|status| status.container_statuses.as_ref());
            let mut containers = containers.into_iter().flatten();
            containers.any(|container| container.restart_count == 1)
        });
        assert!(restarted.await.is_some());
    }

    /// Deletes the namespace and waits until its content is gone.
    pub fn delete(self) -> Pending<'static, ()> {
        Box::pin(self.end())
    }

    async fn end(mut self) {
        let namespaces: Api<v1::Namespace> = Api::all(self.client.clone());
        let found = namespaces.get(&self.name).await;
        let found = found.expect("the namespace exists");
        let uid = found.metadata.uid.expect("a namespace has an identifier");
        let deleted = namespaces
            .delete(&self.name, &DeleteParams::default())
            .await;
        deleted.expect("failed to delete a namespace");
        self.deleted = true;
        let gone = await_condition(namespaces, &self.name, conditions::is_deleted(&uid));
        let gone = tokio::time::timeout(TEST_TIMEOUT, gone).await;
        gone.expect("a namespace was not deleted in time")
            .expect("failed to watch a namespace");
    }

    fn dump(&self) {
        let kubectl = self.kubectl();
        let show = |words: &[&str]| {
            let output = kubectl.run(words);
            eprintln!(
                "--- kubectl {}\n{}{}",
                words.join(" "),
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        show(&["get", "all,ingress", "-o", "wide"]);
        show(&["get", "events", "--sort-by=.lastTimestamp"]);
        show(&["describe", "pods"]);
        let pods = kubectl.run(&["get", "pods", "-o", "name"]);
        for pod in String::from_utf8_lossy(&pods.stdout).lines() {
            show(&["logs", pod, "--all-containers", "--prefix", "--tail=100"]);
        }
        eprintln!(
            "--- the cluster's own logs are in {}",
            self.cluster.logs.display()
        );
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if thread::panicking() {
            self.dump();
        }
        if !self.deleted {
            // The client cannot be used here: no runtime polls its future any more.
            let kubectl = self.cluster.kubectl();
            let mut delete = kubectl.command(&["delete", "namespace", &self.name, "--wait=false"]);
            let status = delete.stdout(Stdio::null()).status();
            if !status.is_ok_and(|status| status.success()) {
                eprintln!("failed to delete the namespace {}", self.name);
            }
        }
    }
}
