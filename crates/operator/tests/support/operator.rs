//! An operator in the test's own process, and its objects.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, ResourceRequirements, Service};
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use sampan_crd::{ConditionKind, WasmFunction};
use sampan_operator::{LeasePlan, Lost, Metrics, Plan, PoolSettings, Settings, Terms, operate};
use sampan_telemetry::{Health, Registry};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::cluster::{Cluster, User, until};
use super::fault::FaultInjector;

/// The pools of the tests' operators. No kubelet runs them.
pub(crate) fn pool() -> PoolSettings {
    PoolSettings {
        image: "registry.example/pool:1".to_owned(),
        image_pull_policy: None,
        image_pull_secrets: Vec::new(),
        runtime_class: None,
        replicas: 1,
        plain_http_registries: Vec::new(),
        resources: ResourceRequirements::default(),
        drain_delay: Duration::from_secs(3),
        ready_timeout: Duration::from_mins(15),
        state_size: Quantity("256Mi".to_owned()),
        cache_size: Quantity("10Gi".to_owned()),
    }
}

/// A running operator. Dropping it is like killing it.
pub(crate) struct Operator {
    pub(crate) metrics: Metrics,
    task: JoinHandle<Result<(), Lost>>,
    stop: Option<oneshot::Sender<()>>,
    // All tasks of the operator end with its runtime.
    runtime: Option<tokio::runtime::Runtime>,
}

impl Operator {
    /// Starts an operator for a namespace.
    pub(crate) fn start(
        user: &User,
        faults: &FaultInjector,
        namespace: &str,
        lease: Option<&str>,
    ) -> Self {
        Self::start_with_pool(user, faults, namespace, lease, Some(pool()))
    }

    /// Starts an operator with these settings of pools; `None` for one that makes none.
    pub(crate) fn start_with_pool(
        user: &User,
        faults: &FaultInjector,
        namespace: &str,
        lease: Option<&str>,
        pool: Option<PoolSettings>,
    ) -> Self {
        let plan = Plan {
            namespace: Some(namespace.to_owned()),
            resync: Duration::from_millis(300),
            concurrency: 4,
            settings: Settings {
                drain_delay: Duration::from_secs(3),
            },
            pool,
            identity: lease.unwrap_or("only").to_owned(),
            lease: lease.map(|_| LeasePlan {
                namespace: namespace.to_owned(),
                name: "sampan-operator".to_owned(),
                terms: Terms {
                    duration: Duration::from_secs(3),
                    deadline: Duration::from_secs(2),
                    retry: Duration::from_millis(200),
                },
            }),
        };
        let metrics = Metrics::new(&Registry::new());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        let runtime = runtime.expect("a runtime");
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            let _ = stopped.await;
        };
        // Its connections are its own, and end with it.
        let (user, faults, numbers) = (user.clone(), faults.clone(), metrics.clone());
        let task = runtime.spawn(async move {
            let client = faults.client(user.client());
            operate(
                client,
                plan,
                numbers,
                Health::not_ready("starting"),
                stopped,
            )
            .await
        });
        Self {
            metrics,
            task,
            stop: Some(stop),
            runtime: Some(runtime),
        }
    }

    /// Stops it, and waits until it has ended.
    pub(crate) async fn stop(mut self) -> Result<(), Lost> {
        drop(self.stop.take());
        (&mut self.task).await.expect("it does not panic")
    }

    /// Waits until it ends by itself.
    pub(crate) async fn ended(&mut self) -> Result<(), Lost> {
        (&mut self.task).await.expect("it does not panic")
    }

    /// Whether it still runs: a panic of a reconcile would have ended it.
    pub(crate) fn is_running(&self) -> bool {
        !self.task.is_finished()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A namespace and its functions.
pub(crate) struct TestNamespace {
    pub(crate) admin: User,
    pub(crate) client: Client,
    pub(crate) name: String,
}

impl TestNamespace {
    pub(crate) async fn new(cluster: &Cluster, prefix: &str) -> Self {
        Self {
            client: cluster.user("admin").client(),
            admin: cluster.user("admin"),
            name: cluster.namespace(prefix).await,
        }
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// Makes a ready pod with a label of a function or of the pool. No kubelet runs it; `address` is
    /// where the test answers in its place.
    pub(crate) async fn start_pod(
        &self,
        name: &str,
        (label, value): (&str, &str),
        address: Option<&str>,
    ) {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {
                "name": name,
                "labels": { "app.kubernetes.io/managed-by": "sampan-operator", label: value },
            },
            "spec": { "containers": [{ "name": "c", "image": "i" }] },
        }))
        .expect("a pod");
        let pods = self.api::<Pod>();
        pods.create(&PostParams::default(), &pod)
            .await
            .expect("the pod");
        let mut status = json!({
            "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }],
        });
        if let Some(address) = address {
            status["podIP"] = address.into();
            status["podIPs"] = json!([{ "ip": address }]);
        }
        let status = Patch::Merge(json!({ "status": status }));
        pods.patch_status(name, &PatchParams::default(), &status)
            .await
            .expect("its status");
    }

    /// Makes a function. Returns the API server's rejection.
    pub(crate) async fn make(&self, name: &str, spec: Value) -> Result<(), kube::Error> {
        let resource = ApiResource::of(name, &self.name, spec);
        let functions: Api<kube::core::DynamicObject> =
            Api::namespaced_with(self.client.clone(), &self.name, &ApiResource::kind());
        let parameters = PostParams {
            field_manager: Some("test".to_owned()),
            ..PostParams::default()
        };
        functions.create(&parameters, &resource).await.map(drop)
    }

    /// Changes a function's spec by a merge.
    pub(crate) async fn change(&self, name: &str, spec: Value) {
        let patch = json!({ "spec": spec });
        let functions = self.api::<WasmFunction>();
        let changed = functions
            .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await;
        changed.expect("the change is accepted");
    }

    /// Waits until the function's status refers to its current generation.
    pub(crate) async fn wait_for_status(&self, name: &str) -> WasmFunction {
        self.wait_for_status_where(name, |_| true).await
    }

    /// Waits until a status is current and as expected.
    pub(crate) async fn wait_for_status_where(
        &self,
        name: &str,
        expected: impl Fn(&WasmFunction) -> bool,
    ) -> WasmFunction {
        let functions = self.api::<WasmFunction>();
        let mut found = None;
        until(&format!("the status of {name} is current"), async || {
            let function = functions.get(name).await.expect("the function");
            let current = function
                .status
                .as_ref()
                .is_some_and(|status| status.observed_generation == function.metadata.generation);
            let holds = current && expected(&function);
            found = Some(function);
            holds
        })
        .await;
        found.expect("it was found")
    }

    /// The function's objects, without fields that differ between runs.
    pub(crate) async fn objects(&self, name: &str) -> Value {
        let deployment = self
            .api::<Deployment>()
            .get_opt(name)
            .await
            .expect("an answer");
        let service = self
            .api::<Service>()
            .get_opt(name)
            .await
            .expect("an answer");
        let ingress = self
            .api::<Ingress>()
            .get_opt(name)
            .await
            .expect("an answer");
        let function = self
            .api::<WasmFunction>()
            .get(name)
            .await
            .expect("the function");
        let mut made = json!({
            "deployment": deployment, "service": service, "ingress": ingress, "status": function.status,
        });
        remove_volatile_fields(&mut made, name);
        made
    }
}

struct ApiResource;

impl ApiResource {
    fn kind() -> kube::core::ApiResource {
        kube::core::ApiResource::erase::<WasmFunction>(&())
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers pass temporary `json!` values"
    )]
    fn of(name: &str, namespace: &str, spec: Value) -> kube::core::DynamicObject {
        let mut object = kube::core::DynamicObject::new(name, &Self::kind()).within(namespace);
        object.data = json!({ "spec": spec });
        object
    }
}

fn remove_volatile_fields(value: &mut Value, name: &str) {
    match value {
        Value::Object(map) => {
            for key in [
                "uid",
                "resourceVersion",
                "creationTimestamp",
                "managedFields",
                "generation",
                "namespace",
                "clusterIP",
                "clusterIPs",
                "lastTransitionTime",
                "observedGeneration",
                "sampan.dev/applied",
            ] {
                map.remove(key);
            }
            map.values_mut()
                .for_each(|value| remove_volatile_fields(value, name));
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|value| remove_volatile_fields(value, name)),
        Value::String(text) => *text = text.replace(name, "NAME"),
        _ => {}
    }
}

/// The reason of a condition.
pub(crate) fn reason(function: &WasmFunction, kind: ConditionKind) -> &str {
    let condition = function
        .status
        .as_ref()
        .and_then(|status| status.condition(kind));
    condition.map_or("", |condition| &condition.reason)
}

/// The message of a condition.
pub(crate) fn message(function: &WasmFunction, kind: ConditionKind) -> &str {
    let condition = function
        .status
        .as_ref()
        .and_then(|status| status.condition(kind));
    condition.map_or("", |condition| &condition.message)
}
