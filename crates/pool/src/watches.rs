//! Watches of the API server: the only part of the pool that has a client, and it only reads.
//!
//! A watch that fails is tried again, for ever, and says nothing to the pool meanwhile, except that
//! its account may not read.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::jiff::Timestamp;
use kube::api::Api;
use kube::core::{DeserializeGuard, NamespaceResourceScope};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Config, watcher};
use kube::{Client, Resource};
use sampan_crd::WasmFunction;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::event::Event;
use crate::lists::{FunctionList, ObjectList, Referenced, seen};
use crate::objects::{ObjectKey, ObjectKind, SeenObject};
use crate::report::Reports;
use crate::wanted_objects::WantedObjects;

/// Objects of one page of a list. An object has up to a mebibyte, and a page is in memory at once.
const PAGE: u32 = 50;

/// Releases of Helm are Secrets, which are large and which no function uses.
const SECRETS: &str = "type!=helm.sh/release.v1";

/// Requests for single objects at once.
const CONCURRENT_REQUESTS: usize = 8;

/// The first and the longest wait after a failed request for an object.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What all watches use.
#[derive(Clone)]
struct Watches {
    client: Client,
    namespace: String,
    events: mpsc::Sender<Event>,
    wanted: WantedObjects,
}

/// Starts the watches of a namespace, which end with the set. `ConfigMap`s and Secrets come after the
/// first list of functions, which says which of them are wanted.
pub(crate) fn start(
    client: Client,
    namespace: String,
    events: mpsc::Sender<Event>,
    wanted: WantedObjects,
    mut added: mpsc::UnboundedReceiver<ObjectKey>,
    reports: Reports,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let watches = Watches {
        client,
        namespace,
        events,
        wanted,
    };
    tasks.spawn(watches.clone().functions());
    let (config_maps, config_maps_listed) = watch::channel(false);
    let (secrets, secrets_listed) = watch::channel(false);
    let config = Config::default().page_size(PAGE);
    let all = watches
        .clone()
        .objects::<ConfigMap>(config.clone(), config_maps);
    tasks.spawn(after_functions(reports.clone(), all));
    let all = watches
        .clone()
        .objects::<Secret>(config.fields(SECRETS), secrets);
    tasks.spawn(after_functions(reports, all));
    tasks.spawn(async move {
        let added = stream::poll_fn(move |context| added.poll_recv(context));
        added
            .for_each_concurrent(CONCURRENT_REQUESTS, |key| {
                let listed = match key.kind {
                    ObjectKind::ConfigMap => config_maps_listed.clone(),
                    ObjectKind::Secret => secrets_listed.clone(),
                };
                watches.find(key, listed)
            })
            .await;
    });
    tasks
}

async fn after_functions(reports: Reports, watch: impl Future<Output = ()>) {
    reports.listed().await;
    watch.await;
}

impl Watches {
    fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Sends an event; returns whether the pool still receives.
    async fn send(&self, event: Event) -> bool {
        self.events.send(event).await.is_ok()
    }

    async fn functions(self) {
        let api = self.api::<DeserializeGuard<WasmFunction>>();
        let mut events = pin!(watcher(api, Config::default()).default_backoff());
        let mut list = FunctionList::default();
        while let Some(event) = events.next().await {
            let event = match event {
                Ok(event) => list.translate(event, Timestamp::now()),
                Err(error) => {
                    tracing::warn!(%error, "the watch of functions failed and is tried again");
                    None
                }
            };
            if let Some(event) = event
                && !self.send(event).await
            {
                return;
            }
        }
    }

    async fn objects<K: Referenced>(self, config: Config, listed: watch::Sender<bool>) {
        let mut events = pin!(watcher(self.api::<K>(), config).default_backoff());
        let mut list = ObjectList::new(self.wanted.clone());
        let (kind, mut forbidden) = (K::KIND, false);
        while let Some(event) = events.next().await {
            let now_forbidden = event.as_ref().err().is_some_and(is_forbidden);
            // Another failure says nothing about the permission.
            if now_forbidden != forbidden && (now_forbidden || event.is_ok()) {
                forbidden = now_forbidden;
                self.send(Event::Access { kind, forbidden }).await;
            }
            let event = match event {
                Ok(event) => list.translate(event),
                Err(error) => {
                    tracing::warn!(%kind, %error, "a watch failed and is tried again");
                    None
                }
            };
            let Some(event) = event else {
                continue;
            };
            if matches!(event, Event::ObjectsListed { .. }) {
                listed.send_replace(true);
            }
            if !self.send(event).await {
                return;
            }
        }
    }

    /// Asks for an object that was added after the first list.
    async fn find(&self, key: ObjectKey, mut listed: watch::Receiver<bool>) {
        // The sender lives as long as its watch.
        let _ = listed.wait_for(|listed| *listed).await;
        let mut wait = FIRST_WAIT;
        while self.wanted.is_open(&key) {
            let asked = match key.kind {
                ObjectKind::ConfigMap => self.get::<ConfigMap>(&key.name).await,
                ObjectKind::Secret => self.get::<Secret>(&key.name).await,
            };
            match asked {
                Ok(found) => {
                    // A watch that was faster has newer data, which the pool keeps.
                    self.wanted.answer(&key);
                    self.send(Event::Object(key, found)).await;
                    return;
                }
                Err(error) => {
                    tracing::warn!(object = %key, %error, "a request failed and is tried again");
                    sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
            }
        }
    }

    async fn get<K: Referenced>(&self, name: &str) -> Result<SeenObject, kube::Error> {
        let found = self.api::<K>().get_opt(name).await?;
        let (data, version) = (None, None);
        Ok(found.map_or(SeenObject { data, version }, |object| seen(object).1))
    }
}

/// Whether the API server forbids the watch.
fn is_forbidden(error: &watcher::Error) -> bool {
    const FORBIDDEN: u16 = 403;
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => status.code == FORBIDDEN,
        _ => false,
    }
}
