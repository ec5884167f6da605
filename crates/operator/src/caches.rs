//! Caches of the cluster's objects, kept up to date by watches.
//!
//! A reconcile reads only these caches. Each watch reports the functions that it touched. After a
//! relist it reports every function, since objects that were deleted meanwhile have no event.

mod grouping;
mod ports;
mod watch_failures;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{Stream, StreamExt as _, stream};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event as Warning, Pod, Service};
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::Api;
use kube::core::NamespaceResourceScope;
use kube::runtime::reflector::{ObjectRef, Store, store::Writer};
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{WatchStreamExt as _, reflector};
use kube::{Client, Resource};
use sampan_crd::{MANAGED_BY, POOL};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::build::Identity;
use crate::grouped::{Grouped, Key};
use crate::pool_changes::PoolChanges;
use crate::pool_ports::PoolPorts;
use crate::refusal::Refusal;
use crate::watched::WatchedFunction;
pub(crate) use grouping::by_name;
use ports::note_and_apply;
pub(crate) use watch_failures::WatchFailures;

/// The cached objects of one function.
pub(crate) struct Observed {
    pub(crate) deployment: Option<Arc<Deployment>>,
    pub(crate) service: Option<Arc<Service>>,
    pub(crate) ingress: Option<Arc<Ingress>>,
    pub(crate) pods: Vec<Arc<Pod>>,
    pub(crate) warnings: Vec<Arc<Warning>>,
}

/// The cached objects of a pool.
pub(crate) struct ObservedPool {
    pub(crate) deployment: Option<Arc<Deployment>>,
    pub(crate) pods: Vec<Arc<Pod>>,
    pub(crate) warnings: Vec<Arc<Warning>>,
}

/// The caches of all functions.
pub(crate) struct Caches {
    pub(crate) functions: Store<WatchedFunction>,
    deployments: Grouped<Deployment>,
    services: Grouped<Service>,
    ingresses: Grouped<Ingress>,
    pods: Grouped<Pod>,
    warnings: Grouped<Warning>,
    watch_failures: WatchFailures,
    /// The namespaces whose pool must be looked at.
    pub(crate) pool_changes: PoolChanges,
    /// The ports of pooled functions, which two watches keep up to date.
    ports: Arc<PoolPorts>,
    /// Whether the first list of functions was read. The store's own notice wakes one waiter only,
    /// and that is the control loop.
    has_functions: AtomicBool,
}

impl Caches {
    /// Starts the watches, which end with the set. Touched functions go to `touched`.
    pub(crate) fn start(
        client: &Client,
        namespace: Option<&str>,
        touched: &mpsc::Sender<ObjectRef<WatchedFunction>>,
        ports: Arc<PoolPorts>,
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
            pool_changes: PoolChanges::default(),
            ports,
            has_functions: AtomicBool::new(false),
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
        tasks.spawn(watch.children(
            "deployments.apps",
            ours(),
            |caches| &caches.deployments,
            |_, _| {},
        ));
        tasks.spawn(watch.children(
            "services",
            ours(),
            |caches| &caches.services,
            Self::note_service,
        ));
        tasks.spawn(watch.children(
            "ingresses.networking.k8s.io",
            ours(),
            |caches| &caches.ingresses,
            |_, _| {},
        ));
        tasks.spawn(watch.children("pods", ours(), |caches| &caches.pods, |_, _| {}));
        // A kubelet's warnings about pods that have no container yet.
        let setup = watcher::Config::default().fields(grouping::POD_WARNINGS);
        tasks.spawn(watch.children("events", setup, |caches| &caches.warnings, |_, _| {}));
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

    /// Whether the first list of functions was read.
    pub(crate) fn has_functions(&self) -> bool {
        self.has_functions.load(Ordering::Acquire)
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

    /// The cached objects of a namespace's pool.
    pub(crate) fn observe_pool(&self, namespace: &str) -> ObservedPool {
        let identity = Identity {
            namespace: namespace.to_owned(),
            name: POOL.to_owned(),
            uid: String::new(),
        };
        let Observed {
            deployment,
            pods,
            warnings,
            ..
        } = self.observe(&identity);
        ObservedPool {
            deployment,
            pods,
            warnings,
        }
    }

    /// Namespaces that have a pool, or need one.
    pub(crate) fn with_pools(&self) -> BTreeSet<String> {
        let mut namespaces = self.needing_pools();
        namespaces.extend(self.deployments.namespaces_with(POOL));
        namespaces
    }

    /// Namespaces with functions that need a pool.
    pub(crate) fn needing_pools(&self) -> BTreeSet<String> {
        self.ports.namespaces()
    }

    /// The names of a namespace's functions that need its pool.
    pub(crate) fn pooled(&self, namespace: &str) -> Vec<String> {
        self.ports.names(namespace)
    }

    /// Whether a namespace's pool has pods.
    pub(crate) fn has_pool_pods(&self, namespace: &str) -> bool {
        !self.pods.is_empty(&(namespace.to_owned(), POOL.to_owned()))
    }

    fn all(&self) -> Vec<ObjectRef<WatchedFunction>> {
        let state = self.functions.state();
        state
            .iter()
            .map(|function| ObjectRef::from_obj(&**function))
            .collect()
    }

    /// The function of a group of pods, or of a pod's event. The pool's objects have none: they
    /// are a change of the pool.
    fn function_of(&self, kind: &str, key: &Key) -> Option<ObjectRef<WatchedFunction>> {
        let (namespace, name) = key;
        let (namespace, name) = match kind {
            // The group of an event is its pod.
            "events" => self.pods.group_with(namespace, name)?,
            _ => (namespace.clone(), name.clone()),
        };
        if name == POOL {
            self.pool_changes.mark(namespace);
            return None;
        }
        Some(ObjectRef::new(&name).within(&namespace))
    }
}

/// The objects that the operator watches: those of a namespace, or of all.
pub(crate) fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// Parameters of every watch.
struct Watch<'a> {
    client: &'a Client,
    namespace: Option<&'a str>,
    caches: &'a Arc<Caches>,
    touched: &'a mpsc::Sender<ObjectRef<WatchedFunction>>,
}

impl Watch<'_> {
    fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        api(self.client, self.namespace)
    }

    fn functions(
        &self,
        mut writer: Writer<WatchedFunction>,
    ) -> impl Future<Output = ()> + Send + use<> {
        let events =
            watcher(self.api::<WatchedFunction>(), watcher::Config::default()).default_backoff();
        let (caches, touched) = (Arc::clone(self.caches), self.touched.clone());
        let inner = Arc::clone(self.caches);
        async move {
            let events = events.map(move |event| {
                let event = event.map(|event| event.modify(slim));
                if let Ok(event) = &event {
                    inner.note_function(event);
                    writer.apply_watcher_event(event);
                    if matches!(event, Event::InitDone) {
                        inner.note_functions();
                        inner.has_functions.store(true, Ordering::Release);
                    }
                    if let Event::Apply(function) | Event::Delete(function) = event
                        && let Some(namespace) = &function.meta().namespace
                    {
                        inner.pool_changes.mark(namespace.clone());
                    }
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
        note: fn(&Caches, &Event<K>),
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
                    note_and_apply(&inner, event, index, note);
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
    touched: &mpsc::Sender<ObjectRef<WatchedFunction>>,
    one: impl Fn(&Event<T>) -> Vec<ObjectRef<WatchedFunction>>,
) {
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        let all = match &event {
            Ok(Event::Init | Event::InitApply(_)) => false,
            Ok(event) => caches.watch_failures.clear(resource) || matches!(event, Event::InitDone),
            Err(error) => caches.watch_failures.note(resource, error),
        };
        if all {
            for namespace in caches.with_pools() {
                caches.pool_changes.mark(namespace);
            }
        }
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
pub(crate) fn slim<K: Resource>(object: &mut K) {
    object.meta_mut().managed_fields = None;
}
