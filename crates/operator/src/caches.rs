//! Caches of the cluster's objects, kept up to date by watches.
//!
//! A reconcile reads only these caches. Each watch reports the functions that it touched. After a
//! relist it reports every function, since objects that were deleted meanwhile have no event.

mod grouping;
mod watch_failures;

use std::fmt::Debug;
use std::sync::Arc;

use futures_util::{Stream, StreamExt as _, stream};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event as Warning, Pod, Service};
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::Api;
use kube::core::{DeserializeGuard, NamespaceResourceScope};
use kube::runtime::reflector::{ObjectRef, Store, store::Writer};
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{WatchStreamExt as _, reflector};
use kube::{Client, Resource};
use sampan_crd::{MANAGED_BY, WasmFunction};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::build::Identity;
use crate::grouped::{Grouped, Key};
use crate::refusal::Refusal;
pub(crate) use watch_failures::WatchFailures;

/// A resource that this operator may be unable to parse; its metadata is always available.
pub(crate) type Guarded = DeserializeGuard<WasmFunction>;

/// The cached objects of one function.
pub(crate) struct Observed {
    pub(crate) deployment: Option<Arc<Deployment>>,
    pub(crate) service: Option<Arc<Service>>,
    pub(crate) ingress: Option<Arc<Ingress>>,
    pub(crate) pods: Vec<Arc<Pod>>,
    pub(crate) warnings: Vec<Arc<Warning>>,
}

/// The caches of all functions.
pub(crate) struct Caches {
    pub(crate) functions: Store<Guarded>,
    deployments: Grouped<Deployment>,
    services: Grouped<Service>,
    ingresses: Grouped<Ingress>,
    pods: Grouped<Pod>,
    warnings: Grouped<Warning>,
    watch_failures: WatchFailures,
}

impl Caches {
    /// Starts the watches, which end with the set. Touched functions go to `touched`.
    pub(crate) fn start(
        client: &Client,
        namespace: Option<&str>,
        touched: &mpsc::Sender<ObjectRef<Guarded>>,
        tasks: &mut JoinSet<()>,
    ) -> Arc<Self> {
        let (functions, writer) = reflector::store();
        let caches = Arc::new(Self {
            functions,
            deployments: Grouped::new(grouping::by_name),
            services: Grouped::new(grouping::by_name),
            ingresses: Grouped::new(grouping::by_name),
            pods: Grouped::new(grouping::by_label),
            warnings: Grouped::new(grouping::by_regarding),
            watch_failures: WatchFailures::default(),
        });
        let (managed_by, operator) = MANAGED_BY;
        let ours = || watcher::Config::default().labels(&format!("{managed_by}={operator}"));
        let watch = Watch {
            client,
            namespace,
            caches: &caches,
            touched,
        };
        tasks.spawn(watch.functions(writer));
        tasks.spawn(watch.children("deployments.apps", ours(), |caches| &caches.deployments));
        tasks.spawn(watch.children("services", ours(), |caches| &caches.services));
        tasks.spawn(
            watch.children("ingresses.networking.k8s.io", ours(), |caches| {
                &caches.ingresses
            }),
        );
        tasks.spawn(watch.children("pods", ours(), |caches| &caches.pods));
        // A kubelet's warnings about pods that have no container yet.
        let setup = watcher::Config::default().fields(grouping::POD_WARNINGS);
        tasks.spawn(watch.children("events", setup, |caches| &caches.warnings));
        caches
    }

    /// Whether all lists have been read, or the refusal that prevents it.
    pub(crate) fn ready(&self, namespace: &str) -> Result<bool, Refusal> {
        if let Some(resource) = self.watch_failures.forbidden() {
            return Err(Refusal::Forbidden {
                verb: "list and watch",
                resource: resource.to_owned(),
                namespace: namespace.to_owned(),
            });
        }
        Ok(self.deployments.is_ready()
            && self.services.is_ready()
            && self.ingresses.is_ready()
            && self.pods.is_ready()
            && self.warnings.is_ready())
    }

    /// The cached objects of a function.
    pub(crate) fn observe(&self, identity: &Identity) -> Observed {
        let key = (identity.namespace.clone(), identity.name.clone());
        let pods = self.pods.group(&key);
        let warnings = pods.iter().flat_map(|pod| {
            let name = pod.metadata.name.clone().unwrap_or_default();
            self.warnings.group(&(identity.namespace.clone(), name))
        });
        Observed {
            deployment: self.deployments.get(&key),
            service: self.services.get(&key),
            ingress: self.ingresses.get(&key),
            warnings: warnings.collect(),
            pods,
        }
    }

    fn all(&self) -> Vec<ObjectRef<Guarded>> {
        let state = self.functions.state();
        state
            .iter()
            .map(|function| ObjectRef::from_obj(&**function))
            .collect()
    }

    /// The function of a group of pods, or of a pod's event.
    fn function_of(&self, kind: &str, key: &Key) -> Option<ObjectRef<Guarded>> {
        let (namespace, name) = key;
        match kind {
            // The group of an event is its pod.
            "events" => {
                let (namespace, function) = self.pods.group_with(namespace, name)?;
                Some(ObjectRef::new(&function).within(&namespace))
            }
            _ => Some(ObjectRef::new(name).within(namespace)),
        }
    }
}

/// Parameters of every watch.
struct Watch<'a> {
    client: &'a Client,
    namespace: Option<&'a str>,
    caches: &'a Arc<Caches>,
    touched: &'a mpsc::Sender<ObjectRef<Guarded>>,
}

impl Watch<'_> {
    fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        match self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    fn functions(&self, mut writer: Writer<Guarded>) -> impl Future<Output = ()> + Send + use<> {
        let events = watcher(self.api::<Guarded>(), watcher::Config::default()).default_backoff();
        let (caches, touched) = (Arc::clone(self.caches), self.touched.clone());
        async move {
            let events = events.map(move |event| {
                let event = event.map(|event| event.modify(slim));
                if let Ok(event) = &event {
                    writer.apply_watcher_event(event);
                }
                event
            });
            follow(
                "wasmfunctions.sampan.dev",
                events,
                &caches,
                &touched,
                |event| match event {
                    Event::Apply(function) => vec![ObjectRef::from_obj(function)],
                    // A deletion needs no action: the function owns its objects.
                    _ => Vec::new(),
                },
            )
            .await;
        }
    }

    fn children<K>(
        &self,
        resource: &'static str,
        config: watcher::Config,
        index: fn(&Caches) -> &Grouped<K>,
    ) -> impl Future<Output = ()> + Send + use<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + DeserializeOwned
            + Send
            + Sync
            + 'static,
    {
        let events = watcher(self.api::<K>(), config).default_backoff();
        let (caches, touched) = (Arc::clone(self.caches), self.touched.clone());
        async move {
            let inner = Arc::clone(&caches);
            let events = events.map(move |event| {
                event.map(|event| {
                    let event = event.modify(slim);
                    let key = match &event {
                        Event::Apply(object) | Event::Delete(object) => {
                            index(&inner).group_of(object)
                        }
                        Event::Init | Event::InitApply(_) | Event::InitDone => None,
                    };
                    let touched = match &event {
                        Event::InitDone => Event::InitDone,
                        Event::Init | Event::InitApply(_) => Event::Init,
                        Event::Apply(_) | Event::Delete(_) => Event::Apply(key),
                    };
                    index(&inner).apply(event);
                    touched
                })
            });
            follow(resource, events, &caches, &touched, |event| match event {
                Event::Apply(Some(key)) => caches.function_of(resource, key).into_iter().collect(),
                _ => Vec::new(),
            })
            .await;
        }
    }
}

/// Forwards touched functions while the receiver exists.
async fn follow<T>(
    resource: &'static str,
    events: impl Stream<Item = Result<Event<T>, watcher::Error>>,
    caches: &Caches,
    touched: &mpsc::Sender<ObjectRef<Guarded>>,
    one: impl Fn(&Event<T>) -> Vec<ObjectRef<Guarded>>,
) {
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        let all = match &event {
            Ok(Event::Init | Event::InitApply(_)) => false,
            Ok(event) => caches.watch_failures.clear(resource) || matches!(event, Event::InitDone),
            Err(error) => caches.watch_failures.note(resource, error),
        };
        let references = match &event {
            _ if all => caches.all(),
            Ok(event) => one(event),
            Err(_) => Vec::new(),
        };
        let mut references = stream::iter(references);
        while let Some(reference) = references.next().await {
            if touched.send(reference).await.is_err() {
                return;
            }
        }
    }
}

/// Removes the managed fields, which are unused here and half of an object.
fn slim<K: Resource>(object: &mut K) {
    object.meta_mut().managed_fields = None;
}
