//! Caches of the objects without which the operator works as well: `WasmPools` and
//! autoscalers.
//!
//! A definition or a permission that is missing, as during an upgrade, is reported and stops nothing:
//! new pools have the settings of all pools, and no autoscaler is made. Only a missing definition says
//! that there is no `WasmPool`. After another failure that is unknown, and a pool stays as it is.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

use futures_util::StreamExt as _;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Resource};
use sampan_crd::{DEFAULT_POOL, MANAGED_BY, POOL};
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

use crate::caches::{Caches, WatchFailures, api, by_name, slim};
use crate::grouped::{Grouped, Key};
use crate::refusal::Refusal;
use crate::touched::Touched;
use crate::watched_pool::WatchedPool;

const POOLS: &str = "wasmpools.sampan.dev";
const AUTOSCALERS: &str = "horizontalpodautoscalers.autoscaling";

/// The watches that the operator can do without.
pub(crate) const OPTIONAL: [&str; 2] = [POOLS, AUTOSCALERS];

/// The caches.
pub(crate) struct OptionalCaches {
    pools: Grouped<WatchedPool>,
    autoscalers: Grouped<HorizontalPodAutoscaler>,
    failures: WatchFailures,
    caches: Arc<Caches>,
    touched: Touched,
}

impl OptionalCaches {
    /// Starts the watches, which end with the set.
    pub(crate) fn start(
        client: &Client,
        namespace: Option<&str>,
        caches: &Arc<Caches>,
        touched: Touched,
        tasks: &mut JoinSet<()>,
    ) -> Arc<Self> {
        let optional = Arc::new(Self {
            pools: Grouped::new(by_name),
            autoscalers: Grouped::new(by_name),
            failures: WatchFailures::default(),
            caches: Arc::clone(caches),
            touched,
        });
        let (managed_by, operator) = MANAGED_BY;
        let ours = watcher::Config::default().labels(&format!("{managed_by}={operator}"));
        let all = watcher::Config::default();
        let pools = api::<WatchedPool>(client, namespace);
        let autoscalers = api::<HorizontalPodAutoscaler>(client, namespace);
        let of = Arc::clone(&optional);
        tasks.spawn(of.watch(POOLS, pools, all, |it| &it.pools, is_same_pool));
        let of = Arc::clone(&optional);
        tasks.spawn(of.watch(
            AUTOSCALERS,
            autoscalers,
            ours,
            |it| &it.autoscalers,
            is_same_autoscaler,
        ));
        optional
    }

    /// Whether each list was read, or its watch fails.
    pub(crate) fn ready(&self) -> bool {
        (self.pools.is_ready() || self.failures.is_failing(POOLS))
            && self.has_asked_for_autoscalers()
    }

    /// Whether the list of autoscalers was read, or its watch fails.
    pub(crate) fn has_asked_for_autoscalers(&self) -> bool {
        self.autoscalers.is_ready() || self.failures.is_failing(AUTOSCALERS)
    }

    /// Whether it is known which namespaces have settings of their own. Without the definition, none
    /// has.
    pub(crate) fn knows_pools(&self) -> bool {
        self.pools.is_ready() || self.failures.is_missing(POOLS)
    }

    /// The settings of a namespace's pool; `None` also while they are unknown.
    pub(crate) fn pool(&self, namespace: &str) -> Option<Arc<WatchedPool>> {
        let key = (namespace.to_owned(), DEFAULT_POOL.to_owned());
        self.pools.get(&key)
    }

    /// The autoscaler of a Deployment with this name.
    pub(crate) fn autoscaler(
        &self,
        namespace: &str,
        name: &str,
    ) -> Option<Arc<HorizontalPodAutoscaler>> {
        self.autoscalers
            .get(&(namespace.to_owned(), name.to_owned()))
    }

    /// Why no autoscaler can be made: those that exist are not known.
    pub(crate) fn no_autoscalers(&self, namespace: &str) -> Option<Refusal> {
        (self.failures.is_refused(AUTOSCALERS)).then(|| Refusal::Forbidden {
            verb: "list and watch",
            resource: AUTOSCALERS.to_owned(),
            namespace: namespace.to_owned(),
        })
    }

    /// Whether the API server refuses a watch.
    pub(crate) fn is_refused(&self, resource: &str) -> bool {
        self.failures.is_refused(resource)
    }

    /// Follows a watch. An object is looked at unless `is_same` finds what the operator reads of it
    /// unchanged.
    fn watch<K>(
        self: Arc<Self>,
        resource: &'static str,
        api: Api<K>,
        config: watcher::Config,
        index: fn(&Self) -> &Grouped<K>,
        is_same: fn(&K, &K) -> bool,
    ) -> impl Future<Output = ()> + Send + use<K>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let events = watcher(api, config).default_backoff();
        async move {
            let mut events = std::pin::pin!(events);
            while let Some(event) = events.next().await {
                match event {
                    Ok(event) => {
                        let event = event.modify(slim);
                        let changed = match &event {
                            Event::Apply(object) => by_name(object).filter(|key| {
                                let before = index(&self).get(key);
                                before.is_none_or(|before| !is_same(&before, object))
                            }),
                            Event::Delete(object) => by_name(object),
                            Event::Init | Event::InitApply(_) | Event::InitDone => None,
                        };
                        let is_listed = matches!(event, Event::InitDone);
                        let is_begun = !matches!(event, Event::Init | Event::InitApply(_));
                        index(&self).apply(event);
                        let recovered = is_begun && self.failures.clear(resource);
                        if is_listed || recovered {
                            self.touch_all().await;
                        } else if let Some(changed) = changed {
                            self.touch(changed).await;
                        }
                    }
                    Err(error) => {
                        if self.failures.note(resource, &error) {
                            self.touch_all().await;
                        }
                    }
                }
            }
        }
    }

    /// Looks at the pool or the function with this object.
    async fn touch(&self, (namespace, name): Key) {
        if name == POOL || name == DEFAULT_POOL {
            self.caches.pool_changes.mark(namespace.clone());
        }
        if name != POOL {
            self.touched.functions(&namespace, [name]).await;
        }
    }

    /// Looks at everything that an object of these caches may be about.
    async fn touch_all(&self) {
        let mut namespaces = self.caches.with_pools();
        namespaces.extend(self.pools.namespaces_with(DEFAULT_POOL));
        namespaces.extend(self.autoscalers.namespaces_with(POOL));
        for namespace in namespaces {
            self.caches.pool_changes.mark(namespace);
        }
        let state = self.caches.functions.state();
        let scaled = state.iter().filter(|function| function.is_scaled());
        let mut functions: BTreeSet<Key> =
            scaled.filter_map(|function| by_name(&**function)).collect();
        let autoscalers = self.autoscalers.all();
        functions.extend(autoscalers.iter().filter_map(|object| by_name(&**object)));
        for (namespace, name) in functions {
            if name != POOL {
                self.touched.functions(&namespace, [name]).await;
            }
        }
    }
}

/// Whether an autoscaler differs in nothing but its status, which its controller writes all the time.
fn is_same_autoscaler(before: &HorizontalPodAutoscaler, after: &HorizontalPodAutoscaler) -> bool {
    let read = |object: &HorizontalPodAutoscaler| {
        let metadata = object.metadata.clone();
        (
            object.spec.clone(),
            metadata.uid,
            metadata.labels,
            metadata.annotations,
            metadata.owner_references,
            metadata.deletion_timestamp,
        )
    };
    read(before) == read(after)
}

/// Whether a pool's settings differ in nothing but the status, which this operator writes.
fn is_same_pool(before: &WatchedPool, after: &WatchedPool) -> bool {
    let read = |object: &WatchedPool| {
        let metadata = object.meta();
        (
            metadata.uid.clone(),
            metadata.generation,
            metadata.deletion_timestamp.clone(),
        )
    };
    read(before) == read(after)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{is_same_autoscaler, is_same_pool};

    /// The object after a merge of a change.
    fn changed(object: &Value, pointer: &str, value: Value) -> Value {
        let mut changed = object.clone();
        *changed.pointer_mut(pointer).expect("the field is there") = value;
        changed
    }

    #[test]
    fn a_status_is_no_change_of_an_autoscaler() {
        let object = json!({
            "metadata": {
                "name": "f", "uid": "u", "resourceVersion": "1", "labels": {}, "annotations": {},
                "ownerReferences": [], "deletionTimestamp": null,
            },
            "spec": { "maxReplicas": 2, "scaleTargetRef": { "kind": "Deployment", "name": "f" } },
            "status": { "desiredReplicas": 1 },
        });
        let check = |pointer: &str, value: Value, expected| {
            let after = changed(&object, pointer, value);
            let read = |value: &Value| serde_json::from_value(value.clone()).expect("it is one");
            assert_eq!(
                is_same_autoscaler(&read(&object), &read(&after)),
                expected,
                "{pointer}"
            );
        };
        check("/status/desiredReplicas", json!(2), true);
        check("/metadata/resourceVersion", json!("2"), true);
        check("/spec/maxReplicas", json!(3), false);
        check("/metadata/uid", json!("v"), false);
        check("/metadata/labels", json!({ "a": "b" }), false);
        check("/metadata/annotations", json!({ "a": "b" }), false);
        let owner = json!([{ "apiVersion": "v1", "kind": "K", "name": "n", "uid": "o" }]);
        check("/metadata/ownerReferences", owner, false);
        check(
            "/metadata/deletionTimestamp",
            json!("2026-01-01T00:00:00Z"),
            false,
        );
    }

    #[test]
    fn a_status_is_no_change_of_a_pool() {
        let object = json!({
            "apiVersion": "sampan.dev/v1alpha1", "kind": "WasmPool",
            "metadata": { "name": "default", "uid": "u", "generation": 1, "deletionTimestamp": null },
            "spec": {}, "status": { "functions": 1 },
        });
        let check = |pointer: &str, value: Value, expected| {
            let after = changed(&object, pointer, value);
            let read = |value: &Value| serde_json::from_value(value.clone()).expect("it is one");
            assert_eq!(
                is_same_pool(&read(&object), &read(&after)),
                expected,
                "{pointer}"
            );
        };
        check("/status/functions", json!(2), true);
        check("/metadata/generation", json!(2), false);
        check("/metadata/uid", json!("v"), false);
        check(
            "/metadata/deletionTimestamp",
            json!("2026-01-01T00:00:00Z"),
            false,
        );
    }
}
