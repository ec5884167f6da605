//! A namespace of a benchmark, which is removed with its content.

use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{Namespace as Object, Pod, ServiceAccount};
use kube::api::{Api, DeleteParams, PostParams};
use kube::runtime::wait::{Condition, await_condition};
use kube::{Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::json;

/// How long a pod may take to run or to end; a hundred at once take long.
pub const POD_TIMEOUT: Duration = Duration::from_mins(5);

/// A namespace that is removed with its content.
pub struct Namespace {
    client: Client,
    name: String,
}

impl Namespace {
    /// Makes a namespace with a name of this prefix.
    pub async fn create(client: Client, prefix: &str) -> Result<Self> {
        let object: Object = serde_json::from_value(json!({
            "metadata": { "generateName": format!("{prefix}-") },
        }))?;
        let api: Api<Object> = Api::all(client.clone());
        let made = api.create(&PostParams::default(), &object).await?;
        let name = made.name_any();
        let namespace = Self { client, name };
        namespace.account().await?;
        Ok(namespace)
    }

    /// An existing namespace.
    pub fn existing(client: Client, name: &str) -> Self {
        let name = name.to_owned();
        Self { client, name }
    }

    /// Waits for the service account that every pod of the namespace uses.
    async fn account(&self) -> Result<()> {
        let api: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &self.name);
        let is_there = |account: Option<&ServiceAccount>| account.is_some();
        wait(api, "default", is_there).await
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The client that made it.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Its pods.
    pub fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// Deletes a pod and waits until it is gone.
    pub async fn delete(&self, name: &str) -> Result<()> {
        self.delete_all(&[name.to_owned()]).await
    }

    /// Deletes pods and waits until all are gone, which is after their containers have ended. With
    /// a grace period of zero the API server would forget them at once, and they would end during
    /// later measurements.
    pub async fn delete_all(&self, names: &[String]) -> Result<()> {
        let api = self.pods();
        for name in names {
            api.delete(name, &DeleteParams::default()).await?;
        }
        for name in names {
            let is_gone = |pod: Option<&Pod>| pod.is_none();
            wait(api.clone(), name, is_gone).await?;
        }
        Ok(())
    }

    /// Removes the namespace, and waits until it is gone.
    pub async fn remove(&self) -> Result<()> {
        let api: Api<Object> = Api::all(self.client.clone());
        api.delete(&self.name, &DeleteParams::default()).await?;
        let is_gone = |namespace: Option<&Object>| namespace.is_none();
        wait(api, &self.name, is_gone).await
    }
}

/// Waits until an object meets a condition.
pub async fn wait<K>(api: Api<K>, name: &str, condition: impl Condition<K>) -> Result<()>
where
    K: Clone + Debug + Resource + Send + DeserializeOwned + 'static,
{
    let reached = await_condition(api, name, condition);
    tokio::time::timeout(POD_TIMEOUT, reached)
        .await
        .with_context(|| format!("{name} does not meet a condition within {POD_TIMEOUT:?}"))??;
    Ok(())
}
